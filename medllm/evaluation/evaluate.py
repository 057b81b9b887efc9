"""A suite from gold to report: the notes through an extractor into a run directory, then scored. Nothing is asked twice.

Beside what a run writes (``medllm.runs.directory``), OUT gets::

    gold.jsonl          the gold standard in the classes of the pack, for the notes that were read
    scores/METRIC.json  results that can be scored again (``medllm.evaluation.result``)
    evaluation.json     the suite, the data, the settings of the run, and every figure
    report.md           tables and methods, without note text
    report.html         the same with figures and every disagreement; it holds note text

So ``medllm score --gold jsonl:OUT/gold.jsonl --pred jsonl:OUT`` scores the run again without a model.
"""

import datetime
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from medllm.document import Extraction
from medllm.engines import EngineOptions
from medllm.errors import InputError
from medllm.evaluation.before import check
from medllm.evaluation.from_files import OFFICIAL
from medllm.evaluation.gold import Gold
from medllm.evaluation.official.result import OfficialResult
from medllm.evaluation.report import Options, Report, make_report, write_html, write_markdown
from medllm.evaluation.suite import ALL, Suite
from medllm.formats import jsonl, registry
from medllm.formats.files import open_private, private_folder
from medllm.pipeline import Extractor
from medllm.prompting.reader import CHUNK_TOKENS
from medllm.runs.directory import EXTRACTIONS, RunDirectory
from medllm.runs.run import Progress, RunResult, configuration, run
from medllm.schema import Schema

GOLD, SCORES, SUMMARY = "gold.jsonl", "scores", "evaluation.json"
REPORT_HTML, REPORT_MARKDOWN = "report.html", "report.md"
FORMAT, VERSION = "medllm-evaluation", 1


@dataclass(frozen=True)
class Evaluation:
    """What came of an evaluation: the run, its report, and the official scorer's figures where the suite names one."""

    run: RunResult
    report: Report
    official: OfficialResult | None = None


async def evaluate(
    suite: Suite,
    gold: Gold,
    extractor: Extractor,
    out: Path,
    *,
    options: Options,
    fresh: bool = False,
    versus: tuple[str, Mapping[str, Extraction]] | None = None,
    progress: Callable[[Progress], None] = lambda _: None,
) -> Evaluation:
    """Read the notes that OUT does not hold yet, score all of gold's, and write results and reports into OUT.

    Labels of ``options`` that neither side has in these notes get no row. Raises what ``before.check`` raises, before the first note is
    read, and what the run directory, the scores and the writers raise.
    """
    check(suite, extractor.schema, gold.notes, versus[1] if versus else None)
    settings = configuration(extractor)
    directory = RunDirectory(out, extractor.schema, settings, fresh=fresh)
    try:
        result = await run(extractor, (x.note for x in gold.notes.values()), directory, report=progress)
    finally:
        directory.close()
    jsonl.write(out / GOLD, gold.notes.values())
    pred = {x.note.id: x for x in jsonl.read(out / EXTRACTIONS, extractor.schema) if x.note.id in gold.notes}
    official = score_officially(suite, gold.notes, pred, out) if suite.official else None
    report = make_report(
        gold.notes,
        pred,
        replace(options, labels=_occurring(options.labels, gold.notes, pred, versus[1] if versus else {})),
        title=f"{suite.name}: {Path(str(settings.get('tagger', settings['model']))).name}",
        facts=_facts(suite, gold, settings, result.ledger),
        versus=versus,
        problems=gold.problems,
        official=official,
        methods=_methods(suite, gold, settings),
    )
    _write(suite, gold, settings, report, official, out)
    return Evaluation(result, report, official)


def extractor_of(
    suite: Suite, schema: Schema, options: EngineOptions, prompts: Path | None = None, examples: Sequence[str] | None = None
) -> Extractor:
    """The extractor that a suite asks for.

    Only the suite's labels are asked for where relations are not, unless they are all that the pack asks line by line.
    """
    given = suite.reading
    main = {c.label for c in schema.main_entities}
    whole = suite.labels is None or given.relations or main == set(suite.labels)
    return Extractor(
        schema,
        engine=given.engine,
        model=given.model,
        layout=given.layout,
        prompts=prompts,
        language=given.language,
        labels=None if whole else suite.labels,
        relations=given.relations,
        chunk_tokens=given.chunk_tokens or CHUNK_TOKENS,
        options=options,
        readers=given.readers,
        tagger=given.tagger,
        tagger_labels=given.tagger_labels,
        tagger_relations=given.tagger_relations,
        examples=examples or None,
    )


def options_of(suite: Suite, training: frozenset[str] | None) -> Options:
    """How a suite is scored."""
    drawn = suite.bootstrap
    return Options(suite.labels, suite.metrics, suite.slices, drawn.samples, drawn.level, drawn.seed, training=training)


def score_officially(suite: Suite, gold: Mapping[str, Extraction], pred: Mapping[str, Extraction], out: Path) -> OfficialResult:
    """Write both sides in the format of the suite's official scorer, below ``OUT/official``, and run it."""
    assert suite.official is not None
    for side, notes in (("gold", gold), ("pred", pred)):
        writer = registry.writer(suite.official)(out / "official" / side, None)
        try:
            for number, note_id in enumerate(sorted(gold), 1):
                note = gold[note_id].note.model_copy(update={"id": f"{number:05}"})  # the scorers know files of one folder only
                writer.write(notes[note_id].model_copy(update={"note": note}))
        finally:
            writer.close()
    return OFFICIAL[suite.official](out / "official" / "gold", out / "official" / "pred")


def _facts(suite: Suite, gold: Gold, settings: Mapping[str, Any], ledger: int) -> list[tuple[str, str]]:
    split = "" if gold.split == ALL else f", {gold.split}"
    return [
        ("data", f"{suite.name}{split} ({suite.corpus.format})"),
        *([("tagger", str(settings["tagger"]))] if "tagger" in settings else []),
        *([("model", str(settings["model"]))] if settings["readers"] != "tagger" else []),
        ("engine", str(settings["engine"])),
        ("schema", str(settings["schema"]["name"])),
        ("medllm", str(settings["medllm"])),
        ("date", datetime.datetime.now(datetime.UTC).date().isoformat()),
        *([("not read", f"{ledger} entries in the ledger")] if ledger else []),
    ]


def _methods(suite: Suite, gold: Gold, settings: Mapping[str, Any]) -> list[str]:
    """Data and system, for a methods section."""
    which = "all notes" if gold.split == ALL else f"the part {gold.split!r}"
    mentions = sum(len(extraction.entities) for extraction in gold.notes.values())
    asked = "mentions and relations" if settings["relations"] else "mentions"
    systems = []
    if "tagger" in settings:
        where = "" if settings["readers"] == "tagger" else " where it knows schema and language"
        systems.append(f"the tagger {settings['tagger']} (SHA-256 {settings['tagger_sha256'][:12]}…){where}")
    if settings["readers"] != "tagger":
        systems.append(
            f"{settings['model']} (SHA-256 {str(settings['model_sha256'])[:12]}…, engine {settings['engine']}), asked in chunks of "
            f"{settings['chunk_tokens']} tokens (layout {settings['layout']!r}, temperature 0)" + (" elsewhere" if systems else "")
        )
    return [
        f"Data: {suite.name}, {which}: {len(gold.notes):,} notes with {mentions:,} mentions. {suite.about} {suite.source}".strip(),
        f"System: medllm {settings['medllm']} read {asked} of the schema {settings['schema']['name']!r} with {', '.join(systems)}.",
    ]


def _occurring(labels: tuple[str, ...] | None, *sides: Mapping[str, Extraction]) -> tuple[str, ...] | None:
    """The labels that a mention of any side has: in a few notes not every label occurs."""
    if labels is None:
        return None
    found = {e.label for side in sides for extraction in side.values() for e in extraction.entities}
    if kept := tuple(label for label in labels if label in found):
        return kept
    raise InputError(
        f"neither gold nor the predictions have a mention of {', '.join(labels)}", hint="read more notes, or score other labels"
    )


def _write(suite: Suite, gold: Gold, settings: Mapping[str, Any], report: Report, official: OfficialResult | None, out: Path) -> None:
    private_folder(out / SCORES)
    for name, result in report.results.items():
        result.save(out / SCORES / f"{name.replace(':', '-')}.json")
    summary = {
        "format": FORMAT,
        "version": VERSION,
        "suite": suite.to_json(),
        "notes": len(gold.notes),
        "configuration": settings,
        "problems": len(gold.problems),
        "scores": {name: result.summary() for name, result in report.results.items()},
    }
    if official:
        summary["official"] = official.summary()
    with open_private(out / SUMMARY) as file:
        file.write(json.dumps(summary, ensure_ascii=False, indent=1) + "\n")
    write_markdown(report, out / REPORT_MARKDOWN)
    write_html(report, out / REPORT_HTML)
