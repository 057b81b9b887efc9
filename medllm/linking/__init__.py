"""Mentions linked to the concepts of a terminology: an id is looked up, never made up, and "no code" is an answer.

Four steps, each tried where those before it find nothing: the names of the terminology for what an abbreviation of the note stands for;
for the mention as it is written; for its words without order, endings and spelling; the nearest name, where it is near enough.
"""

from medllm.linking.abbreviations import defined_abbreviations
from medllm.linking.linker import Link, Linker
from medllm.linking.vocabularies import Linkers, linkers

__all__ = ["Link", "Linker", "Linkers", "defined_abbreviations", "linkers"]
