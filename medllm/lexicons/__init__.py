"""Terminologies as lists of concepts, and where their names stand in a text.

>>> from medllm.lexicons import Concept, Lexicon
>>> drugs = Lexicon([Concept("MESH", "D008687", "Metformin", ("Dimethylbiguanidine", "Glucophage"))])
>>> [tuple(match) for match in drugs.find("On glucophage 500 mg")]
[(3, 13, ('MESH:D008687',))]
"""

from medllm.lexicons.concept import Concept, Kind
from medllm.lexicons.lexicon import Lexicon, Match
from medllm.lexicons.loading import load
from medllm.lexicons.words import normalise

__all__ = ["Concept", "Kind", "Lexicon", "Match", "load", "normalise"]
