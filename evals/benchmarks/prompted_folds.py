"""The prompted reader on a corpus: bare, with retrieved examples, with an adapter trained on the other folds, with and without the grammar.

    MEDLLM_DATA=corpora python evals/benchmarks/prompted_folds.py kiwi --model 0.5b --adapter --work WORK [--fold N] -o NAME.json
    MEDLLM_DATA=corpora python evals/benchmarks/prompted_folds.py gpt-mtsamples --model 1.5b --retrieve --work WORK -o NAME.json
    MEDLLM_DATA=corpora python evals/benchmarks/prompted_folds.py kiwi --free --sample NOTES.txt --work WORK -o NAME.json
    python evals/benchmarks/prompted_folds.py --table evals/results/prompted_*.json

One configuration a call; a table puts several records side by side. Every note is read and recorded alone in WORK, every fold
trains its adapter there (and goes on from its checkpoint), so that a run can be made on different days. Examples and training notes are
never of what is scored: folds are those of ``tagger_folds.py``, notes that share a line with a held-out one are left out of training and
of the examples, and retrieval excludes a note and its long lines by itself. ``--free`` decodes the same prompts without the grammar:
``malformed`` counts what was then no answer or not in the note, ``runaways`` the answers that ran into their limit. Nothing was tuned on
what is scored.
"""

import argparse
import asyncio
import dataclasses
import datetime
import json
import os
import platform
import shlex
import sys
import time
from collections import Counter
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from machine import cpu_model

from medllm.document import Extraction, Note
from medllm.engines import EngineOptions, create_engine
from medllm.engines.base import Completion, Engine, Request
from medllm.evaluation.score import score
from medllm.formats.annotated import read_annotated
from medllm.pipeline import Extractor
from medllm.prompting.retrieval import EXAMPLES_TOKENS, AnnotatedExamples
from medllm.schema import Schema
from medllm.training.tagger.card import as_extraction
from medllm.training.tagger.data import folds, of_extractions, overlapping

MAPS = Path(__file__).parents[1] / "labelmaps"
CORPORA: dict[str, dict[str, Any]] = {
    "kiwi": {
        "train": f"brat:kiwi-mtsamples/train@{MAPS}/kiwi-mtsamples-to-clinical.toml",
        "schema": "clinical",
        "labels": ("problem", "test", "treatment", "drug"),
        "folds": 5,
    },
    "gpt-mtsamples": {
        "train": f"conll:gpt-mtsamples/train@{MAPS}/gpt-mtsamples-to-i2b2-2010.toml",
        "dev": f"conll:gpt-mtsamples/valid@{MAPS}/gpt-mtsamples-to-i2b2-2010.toml",
        "schema": "i2b2-2010",
        "labels": ("problem", "treatment", "test"),
    },
    "bc5cdr": {
        "train": f"pubtator:bc5cdr/train.PubTator.txt@{MAPS}/bc5cdr-to-clinical.toml",
        "dev": f"pubtator:bc5cdr/dev.PubTator.txt@{MAPS}/bc5cdr-to-clinical.toml",
        "schema": "clinical",
        "labels": ("problem", "drug"),
    },
}
NOT_SETTINGS = ("work", "output", "table", "remark")
REASONS = {"malformed": ("unplaced", "unanswered"), "runaways": ("output-limit",), "not_read": ("context", "engine-error")}


class Free:
    """An engine without its grammar: the same prompts, decoded freely."""

    constrained = False

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    async def complete(self, request: Request) -> Completion:
        return await self._engine.complete(dataclasses.replace(request, constraint=None, json_schema=None))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", choices=CORPORA, nargs="?")
    parser.add_argument("--table", nargs="+", type=Path, help="put records side by side, and do nothing else")
    parser.add_argument("--model", default="0.5b")
    parser.add_argument("--engine", default="embedded")
    parser.add_argument("--layout", default="lines", choices=("lines", "copy"))
    parser.add_argument("--chunk-tokens", type=int, default=64)
    parser.add_argument("--context", type=int)
    parser.add_argument("--parallel", type=int)
    parser.add_argument("--retrieve", action="store_true", help="examples from the training part, or the other folds")
    parser.add_argument("--examples-tokens", type=int, default=EXAMPLES_TOKENS)
    parser.add_argument("--no-worked", action="store_true", help="without the pack's own examples")
    parser.add_argument("--free", action="store_true", help="without the grammar")
    parser.add_argument("--relations", action="store_true", help="modifiers and relations too")
    parser.add_argument("--adapter", action="store_true", help="train an adapter on the training part, or the other folds")
    parser.add_argument("--adapter-folder", type=Path, help="an adapter that has seen nothing of the corpus")
    parser.add_argument("--base", help="what the adapter is trained on, where it is not --model")
    parser.add_argument("--epochs", type=float, default=3)
    parser.add_argument("--rate", type=float, default=2e-4)
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--save-steps", type=int, default=50)
    parser.add_argument("--sample", type=Path, help="a file with the ids of the notes to score")
    parser.add_argument("--fold", type=int, action="append", help="only these folds, from 0")
    parser.add_argument("--train-only", action="store_true")
    parser.add_argument("--work", type=Path)
    parser.add_argument("--remark", default="")
    parser.add_argument("-o", "--output", type=Path)
    given = parser.parse_args()
    if given.table:
        table(given.table)
        return
    root = os.environ.get("MEDLLM_DATA")
    if not root or given.corpus is None or given.work is None:
        sys.exit("give a corpus and --work, and set MEDLLM_DATA to the folder with the corpora")
    chosen = CORPORA[given.corpus]
    schema = Schema.load(chosen["schema"])
    parts = divide(chosen, Path(root), schema, given.sample)
    for number, (training, held_out) in enumerate(parts):
        if given.fold is None or number in given.fold:
            one_fold(given, chosen, schema, training, held_out, given.work / f"fold-{number}")
    record(given, chosen, parts)


def divide(chosen: dict[str, Any], root: Path, schema: Schema, sample: Path | None) -> list[tuple[list[Extraction], list[Extraction]]]:
    """Pairs of training notes and notes to score."""

    def read(location: str) -> list[Extraction]:
        name, _, path = location.partition(":")
        return read_annotated(f"{name}:{root / path}", schema)[0]

    notes = {x.note.id: x for x in read(chosen["train"])}
    known = of_extractions(list(notes.values()), name="").notes
    if "folds" in chosen:
        pairs = [([notes[n.id] for n in train], [notes[n.id] for n in held]) for train, held in folds(known, chosen["folds"])]
    else:
        pairs = [(list(notes.values()), read(chosen["dev"]))]
    names = None if sample is None else {line for line in sample.read_text().splitlines() if line and not line.startswith("#")}
    kept = []
    for train, held in pairs:
        shared = overlapping(of_extractions(train, name="").notes, of_extractions(held, name="").notes, least=25)
        kept.append(([x for x in train if x.note.id not in shared], [x for x in held if names is None or x.note.id in names]))
    return kept


def one_fold(
    given: argparse.Namespace,
    chosen: dict[str, Any],
    schema: Schema,
    training: Sequence[Extraction],
    held_out: Sequence[Extraction],
    folder: Path,
) -> None:
    """Train where it is asked for, then read the notes that are not yet recorded."""
    folder.mkdir(parents=True, exist_ok=True)
    adapter = given.adapter_folder or (train_adapter(given, training, schema, folder / "adapter") if given.adapter else None)
    left = [x for x in held_out if not (folder / f"{_file(x.note.id)}.json").is_file()]
    if not left or given.train_only:
        return
    pack = dataclasses.replace(schema, examples=()) if given.no_worked else schema
    options = EngineOptions(given.context, given.parallel, adapter=adapter)
    engine = create_engine(given.engine, given.model, options)
    extractor = Extractor(
        pack if given.relations else pack.restrict([c.label for c in pack.main_entities if c.label in chosen["labels"]]),
        engine=Free(engine) if given.free else engine,  # type: ignore[arg-type]
        layout=given.layout,
        relations=given.relations,
        chunk_tokens=given.chunk_tokens,
        examples=AnnotatedExamples(training, schema) if given.retrieve else None,
        examples_tokens=given.examples_tokens,
    )
    with extractor:
        for extraction in left:
            asyncio.run(read(extractor, extraction, chosen["labels"], folder))


async def read(extractor: Extractor, gold: Extraction, labels: Sequence[str], folder: Path) -> None:
    """Read one note and record it: offsets and labels, no text."""
    started = time.monotonic()
    reading = await extractor.read(Note(id=gold.note.id, text=gold.note.text))
    found = reading.extraction
    reasons = Counter(entry.reason for entry in found.ledger)
    own = {
        "note": gold.note.id,
        "length": len(gold.note.text),
        "seconds": round(time.monotonic() - started, 1),
        "requests": len(reading.requests),
        "prompt_tokens": sum(r.usage.prompt_tokens for r in reading.requests),
        "completion_tokens": sum(r.usage.completion_tokens for r in reading.requests),
        **{name: sum(reasons[r] for r in of) for name, of in REASONS.items()},
        "gold": _mentions(gold, labels),
        "found": _mentions(found, labels),
        "gold_links": _links(gold),
        "found_links": _links(found),
    }
    (folder / f"{_file(gold.note.id)}.json").write_text(json.dumps(own), "utf-8")
    print(json.dumps({k: own[k] for k in ("note", "seconds", *REASONS)}), file=sys.stderr, flush=True)


def train_adapter(given: argparse.Namespace, training: Sequence[Extraction], schema: Schema, folder: Path) -> Path:
    """An adapter of the training notes; it goes on where it was, and is left alone once it is made."""
    if (folder / "adapter_model.safetensors").is_file():
        return folder
    from medllm.engines._hub import load
    from medllm.prompting.gold import Losses
    from medllm.training.llm import AdapterOptions, fit
    from medllm.training.llm.conversations import Plan
    from medllm.training.llm.gguf import write_gguf
    from medllm.training.llm.run import TaughtCorpus, save, sequences_of
    from medllm.training.llm.schemas import annotated
    from medllm.weights import is_known, pull

    base = given.base or given.model
    loaded = load(str(pull(base)) if is_known(base) else base, device=None, dtype="auto")
    plan = Plan(given.layout, given.chunk_tokens, given.relations, worked=0.0 if given.no_worked else 0.3)
    options = AdapterOptions(epochs=given.epochs, rate=given.rate, batch=given.batch, save_steps=given.save_steps)
    taught = annotated(schema if given.relations else schema.restrict([c.label for c in schema.main_entities]), training, given.corpus)
    corpus = TaughtCorpus(given.corpus, taught, tuple(training))
    learnt = sequences_of([corpus], loaded.tokenizer, loaded.end_tokens, plan, options, Losses())
    print(f"{len(learnt)} conversations of {sum(map(len, learnt))} tokens", file=sys.stderr)
    config = loaded.network.config
    model, _ = fit(
        loaded.network, learnt, folder / "checkpoints", options, report=lambda row: print(json.dumps(row), file=sys.stderr, flush=True)
    )
    save(model, folder)
    write_gguf(folder, config)
    return folder


def record(given: argparse.Namespace, chosen: dict[str, Any], parts: Sequence[tuple[Any, Sequence[Extraction]]]) -> None:
    """The figures over all notes that are recorded so far."""
    wanted = [given.work / f"fold-{n}" / f"{_file(x.note.id)}.json" for n, (_, held) in enumerate(parts) for x in held]
    notes = [json.loads(path.read_text()) for path in wanted if path.is_file()]
    gold, found = {}, {}
    for number, note in enumerate(notes):
        for side, mentions in ((gold, note["gold"]), (found, note["found"])):
            side[str(number)] = as_extraction(str(number), "x" * note["length"], [tuple(m) for m in mentions])
    shown = [a for a in sys.argv[1:] if not a.startswith("/")]
    summary = {
        "benchmark": "prompted_folds",
        "corpus": given.corpus,
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "command": shlex.join(["python", "evals/benchmarks/prompted_folds.py", *shown]),
        "remark": given.remark,
        "settings": {
            k: str(v) if isinstance(v, Path) else v for k, v in vars(given).items() if k not in ("work", "output", "table", "remark")
        },
        "machine": f"{cpu_model()}, {os.cpu_count()} cores",
        "python": platform.python_version(),
        "versions": {name: metadata.version(name) for name in ("medllm", "xllamacpp", "llguidance", "bm25s")},
        "notes_done": f"{len(notes)} of {len(wanted)}",
        **{name: sum(n[name] for n in notes) for name in (*REASONS, "requests", "prompt_tokens", "completion_tokens")},
        "seconds_a_note": round(sum(n["seconds"] for n in notes) / len(notes), 1) if notes else None,
        "scores": {m: score(gold, found, m, chosen["labels"], 1000).summary() for m in ("exact", "overlap")} if notes else {},
        "links": _link_scores(notes) if given.relations else {},
    }
    if given.output:
        given.output.write_text(json.dumps(summary, indent=1) + "\n", "utf-8")
    print(json.dumps({k: summary[k] for k in ("notes_done", *REASONS, "scores", "links")}, indent=1))


def table(records: Sequence[Path]) -> None:
    """Markdown: one row a record."""
    print("| Corpus | Model | Layout | Examples | Adapter | Grammar | Notes | Exact F1 | Overlap F1 | Malformed | Runaways | s a note |")
    print("| :--- | :--- | :--- | :--- | :--- | :--- | ---: | ---: | ---: | ---: | ---: | ---: |")
    for one in map(json.loads, (path.read_text() for path in records)):
        s, exact = one["settings"], one["scores"]["exact"]
        low, high = exact["intervals"]["micro"]["f1"]
        cells = [
            one["corpus"],
            Path(s["model"]).name,
            s["layout"],
            "retrieved" if s["retrieve"] else "none" if s["no_worked"] else "the pack's",
            "yes" if s["adapter"] or s["adapter_folder"] else "no",
            "no" if s["free"] else "yes",
            one["notes_done"].split()[0],
            f"{exact['micro']['f1']:.3f} ({low:.3f} to {high:.3f})",
            f"{one['scores']['overlap']['micro']['f1']:.3f}",
            str(one["malformed"]),
            str(one["runaways"]),
            str(one["seconds_a_note"]),
        ]
        print(f"| {' | '.join(cells)} |")


def _link_scores(notes: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Relations end to end: label, both ends' labels and offsets right."""
    right, gold, found = Counter[str](), Counter[str](), Counter[str]()
    for note in notes:
        want, have = ({tuple(map(str, link)) for link in note[side]} for side in ("gold_links", "found_links"))
        for label in {link[0] for link in want | have}:
            gold[label] += sum(link[0] == label for link in want)
            found[label] += sum(link[0] == label for link in have)
            right[label] += sum(link[0] == label for link in want & have)
    return {label: {"gold": gold[label], "found": found[label], "right": right[label]} for label in sorted(gold | found)}


def _mentions(extraction: Extraction, labels: Sequence[str]) -> list[list[Any]]:
    return [[e.span.start, e.span.end, e.label] for e in extraction.entities if e.label in labels]


def _links(extraction: Extraction) -> list[list[Any]]:
    ends = ((r.label, r.head, r.tail) for r in extraction.relations)
    return [[f"{name} {h.label} {t.label}", h.span.start, h.span.end, t.span.start, t.span.end] for name, h, t in ends]


def _file(note_id: str) -> str:
    return note_id.replace("/", "__")


if __name__ == "__main__":
    main()
