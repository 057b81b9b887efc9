"""What can be known to be wrong before a model reads the first note: hours of reading must not end in an error there from the start."""

from collections.abc import Iterable, Mapping
from importlib.util import find_spec

from medllm.document import Extraction
from medllm.errors import UsageError
from medllm.evaluation.from_files import OFFICIAL
from medllm.evaluation.metrics import metric
from medllm.evaluation.score import checked_notes
from medllm.evaluation.subgroups import SUBGROUPS
from medllm.evaluation.suite import Suite
from medllm.schema import Schema


def check(suite: Suite, schema: Schema, gold: Mapping[str, Extraction], versus: Mapping[str, Extraction] | None = None) -> None:
    """Check a suite against its pack, its gold standard, what is installed, and the predictions of a second system.

    Raises UsageError for labels, metrics, slices, scorers and settings that there are not, and for a pack that asks for a label which gold
    never has; what ``score`` raises for a gold standard or a second system whose notes or offsets do not fit.
    """
    for name in suite.metrics:
        metric(name)
    _among("slices", suite.slices, SUBGROUPS)
    _among("official scorers", [suite.official] if suite.official else [], OFFICIAL)
    if suite.bootstrap.samples == 1:
        raise UsageError("no interval from 1 sample", hint="give 0 for no intervals, or some hundreds")
    if find_spec("matplotlib") is None:
        raise UsageError("the report has figures, and matplotlib is not installed", hint="pip install 'medllm[eval]'")
    if suite.labels is not None:
        _among("labels", suite.labels, schema.labels)
    else:
        _asked_and_annotated(suite, schema, gold)
    checked_notes(gold, gold if versus is None else versus, allow_missing=False)


def _asked_and_annotated(suite: Suite, schema: Schema, gold: Mapping[str, Extraction]) -> None:
    kinds = (*schema.main_entities, *(schema.modifiers if suite.reading.relations else ()))
    annotated = {e.label for extraction in gold.values() for e in extraction.entities}
    if missing := sorted({kind.label for kind in kinds} - annotated):
        raise UsageError(
            f"the pack asks for {', '.join(missing)}, and gold has no mention of {'it' if len(missing) == 1 else 'them'}",
            hint=f"--labels {','.join(sorted(annotated)) or 'A,B'} scores only what is annotated; name the others too if they are, "
            "but not in these notes",
        )


def _among(what: str, names: Iterable[str], known: Iterable[str]) -> None:
    if unknown := [name for name in names if name not in known]:
        raise UsageError(f"there are no {what} {', '.join(unknown)}", hint=f"there are {', '.join(known)}")
