"""Relations between mentions: a pair classifier over an encoder that sees every mention between markers of its label."""

from medllm.taggers.relations.classifier import Linked, RelationClassifier
from medllm.taggers.relations.config import RelationConfig
from medllm.taggers.relations.pairs import PairMention

__all__ = ["Linked", "PairMention", "RelationClassifier", "RelationConfig"]
