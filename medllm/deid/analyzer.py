"""Presidio as the engine: our finders as its recognizers, beside its own for cards, accounts and the like. Its recognizer
of mail addresses is not used: it fetches a list from the net.

No language model for names is needed, and none is fetched: names come from titles, fields, lists and repetition. Where a spaCy pipeline
with an entity recognizer is installed, it can be named, and what it calls a person, a place or an organization is found too.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from medllm.deid.dates import find_dates
from medllm.deid.findings import Finding, resolve
from medllm.deid.names import find_names
from medllm.deid.numbers import find_ages, find_numbers
from medllm.deid.places import find_places
from medllm.errors import UsageError

if TYPE_CHECKING:
    from presidio_analyzer import AnalyzerEngine

EXTRA = "pip install 'medllm[deid]'"

FINDERS: Sequence[tuple[str, Callable[[str], Iterator[Finding]]]] = (
    ("names", find_names),
    ("dates", find_dates),
    ("numbers", find_numbers),
    ("ages", find_ages),
    ("places", find_places),
)

_PRESIDIO = {
    "IP_ADDRESS": "IPADDRESS",
    "US_SSN": "SSN",
    "CREDIT_CARD": "ACCOUNT",
    "IBAN_CODE": "ACCOUNT",
    "PERSON": "PATIENT",
    "LOCATION": "CITY",
    "ORGANIZATION": "ORGANIZATION",
}
"""Presidio's entities that are used, and their i2b2-2014 types. Not its dates and telephone numbers, which take measurements for such."""

_SURE = 0.58
"""Presidio's own findings yield to ours where ours are surer than so."""


class Analyzer:
    """Finds identifying text. ``ner`` names an installed spaCy pipeline. Raises UsageError where Presidio or the pipeline is missing."""

    def __init__(self, ner: str | None = None) -> None:
        self.ner = ner
        self._engine = _engine(ner)

    def find(self, text: str) -> list[Finding]:
        """Findings in reading order that do not overlap."""
        found = self._engine.analyze(text, language="en")
        findings = [
            Finding(r.start, r.end, _PRESIDIO.get(r.entity_type, r.entity_type), min(r.score, _SURE if r.entity_type in _PRESIDIO else 1.0))
            for r in found
        ]
        return resolve(text, findings)


def _engine(ner: str | None) -> "AnalyzerEngine":
    try:
        import presidio_analyzer as presidio
        from presidio_analyzer.predefined_recognizers import CreditCardRecognizer, IbanRecognizer, IpRecognizer, UsSsnRecognizer
    except ImportError:
        raise UsageError("de-identification needs Presidio, which is not installed", hint=EXTRA) from None
    logging.getLogger("presidio-analyzer").setLevel(logging.CRITICAL)  # it may quote what it finds
    registry = presidio.RecognizerRegistry(supported_languages=["en"])
    for name, finder in FINDERS:
        registry.add_recognizer(_recognizer(name, finder))
    for recognizer in (CreditCardRecognizer, IbanRecognizer, IpRecognizer, UsSsnRecognizer):
        registry.add_recognizer(recognizer())
    if ner is not None:
        from presidio_analyzer.predefined_recognizers import SpacyRecognizer

        registry.add_recognizer(SpacyRecognizer(supported_entities=["PERSON", "LOCATION", "ORGANIZATION"]))
    return presidio.AnalyzerEngine(registry=registry, nlp_engine=_nlp_engine(ner), supported_languages=["en"])


def _recognizer(name: str, finder: Callable[[str], Iterator[Finding]]) -> Any:
    from presidio_analyzer import EntityRecognizer, RecognizerResult

    from medllm.deid.findings import CATEGORIES

    class Recognizer(EntityRecognizer):
        def load(self) -> None:
            """Nothing to load."""

        def analyze(self, text: str, entities: list[str], nlp_artifacts: Any) -> list[Any]:
            return [RecognizerResult(f.type, f.start, f.end, f.score) for f in finder(text)]

    return Recognizer(supported_entities=sorted(CATEGORIES), name=f"medllm {name}", supported_language="en")


def _nlp_engine(ner: str | None) -> Any:
    import spacy
    from presidio_analyzer.nlp_engine import SpacyNlpEngine

    class Engine(SpacyNlpEngine):
        def __init__(self, pipeline: Any) -> None:
            super().__init__()
            self.nlp = {"en": pipeline}

    if ner is None:
        pipeline = spacy.blank("en")
    else:
        try:
            pipeline = spacy.load(ner)
        except OSError:
            raise UsageError(f"there is no spaCy pipeline {ner!r}", hint="install it first: medllm fetches none") from None
    pipeline.max_length = 10_000_000
    return Engine(pipeline)
