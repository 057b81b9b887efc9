"""Training a tagger: annotated notes in, a folder that ``medllm extract --tagger`` reads out."""

from medllm.training.tagger.data import Corpus, read_corpus
from medllm.training.tagger.fit import TrainingOptions, fit

__all__ = ["Corpus", "TrainingOptions", "fit", "read_corpus"]
