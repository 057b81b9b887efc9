"""Training a relation classifier: annotated notes in, a folder that reads relations among a tagger's mentions out."""

from medllm.training.relations.data import RelationCorpus, read_relations
from medllm.training.relations.fit import RelationOptions, fit

__all__ = ["RelationCorpus", "RelationOptions", "fit", "read_relations"]
