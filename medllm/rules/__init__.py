"""Rules: what the words around a mention say of it (ConText), without a model and without training.

>>> from medllm.document import Span
>>> (fever,) = assess("He denies chest pain or fever.", [Span(start=24, end=29)])
>>> fever.assertion.value, fever.cue.start, fever.cue.end
('absent', 3, 9)
"""

from medllm.rules.context import Experiencer, Judgement, Temporality, assess
from medllm.rules.cues import Cue, Direction, Kind, find_cues

__all__ = ["Cue", "Direction", "Experiencer", "Judgement", "Kind", "Temporality", "assess", "find_cues"]
