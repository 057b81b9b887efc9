"""Relations given the mentions: the pair classifier, fold by fold or on a corpus' development part, against attachment by rules.

    MEDLLM_DATA=corpora python evals/benchmarks/relations.py cid --base FOLDER --work WORK [--fold N] [-o evals/results/relations_cid.json]

Every fold is trained, scored and recorded alone in WORK (a broken one goes on from its checkpoint); the figures of all that are done are
pooled, with intervals over notes. Notes of training that share a line with a held-out note are left out of that fold. ``--method rules``
scores ``medllm.taggers.attachment`` on the same notes (with the corpus' own assertions; ``rules-blind`` with none), ``--method bilstm`` a
BiLSTM with attention (``relations_bilstm.py``). CID is scored by the official scorer too. The mentions are the corpus' own.
"""

import argparse
import dataclasses
import datetime
import json
import os
import platform
import sys
import tempfile
import time
from collections import Counter
from importlib import metadata
from pathlib import Path
from typing import Any

from machine import cpu_model

from medllm.document import Extraction
from medllm.evaluation.counts import Counts
from medllm.evaluation.official import bc5cdr
from medllm.evaluation.statistics import bootstrap
from medllm.formats import labelmap as maps
from medllm.formats.registry import reader
from medllm.schema import Schema
from medllm.taggers.attachment import attach
from medllm.taggers.relations import RelationClassifier
from medllm.training.relations import RelationOptions, fit
from medllm.training.relations.data import RelationNote, of_extractions
from medllm.training.tagger.data import TrainingNote, folds, overlapping

MAP = Path(__file__).parents[1] / "labelmaps" / "kiwi-mtsamples-to-clinical.toml"
CORPORA: dict[str, dict[str, Any]] = {
    "cid": {"train": "pubtator:bc5cdr/train.PubTator.txt", "dev": "pubtator:bc5cdr/dev.PubTator.txt", "concepts": True},
    "kiwi": {"train": "brat:kiwi-mtsamples/train", "map": MAP, "folds": 5},
    "maccrobat": {"train": "brat:maccrobat/train", "folds": 5},
}
SHARED = 60
"""Letters and digits of a line that two notes may not share: shorter ones are the headers that MTSamples gives to all of its notes."""
Parts = list[tuple[list[Extraction], list[Extraction]]]
Triples = list[tuple[Any, Any, str]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", choices=CORPORA)
    parser.add_argument("--method", choices=("encoder", "rules", "rules-blind", "bilstm"), default="encoder")
    parser.add_argument("--base", default="", help="the encoder: a folder or a hub name")
    parser.add_argument("--base-name", help="what the record calls it")
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--fold", type=int, action="append", help="only these folds, from 0")
    parser.add_argument("--remark", default="", help="what a reader of the record must know")
    parser.add_argument("-o", "--output", type=Path)
    for field in dataclasses.fields(RelationOptions):
        if field.type in ("int", "float", int, float):
            parser.add_argument(f"--{field.name.replace('_', '-')}", type=type(field.default), default=field.default)
    options = parser.parse_args()
    root = os.environ.get("MEDLLM_DATA")
    if not root:
        sys.exit("MEDLLM_DATA is not set: it names the folder with the corpora")
    chosen = CORPORA[options.corpus]
    numbers = {f.name: getattr(options, f.name) for f in dataclasses.fields(RelationOptions) if hasattr(options, f.name)}
    settings = RelationOptions(**numbers, concepts=chosen.get("concepts", False))
    parts = divide(chosen, Path(root))
    for number, (training, held_out) in enumerate(parts):
        record = options.work / f"{options.method}-{number}.json"
        if record.is_file() or (options.fold is not None and number not in options.fold):
            continue
        one_fold(options.method, training, held_out, options.base, options.work / f"fold-{number}", settings, record)
    done = [json.loads(p.read_text()) for n in range(len(parts)) if (p := options.work / f"{options.method}-{n}.json").is_file()]
    named = f" --base {options.base_name or Path(options.base).name}" if options.method == "encoder" else f" --method {options.method}"
    summary = {
        "benchmark": "relations",
        "corpus": options.corpus,
        "method": options.method,
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "command": f"python evals/benchmarks/relations.py {options.corpus}{named}",
        "remark": options.remark,
        "settings": dataclasses.asdict(settings) if options.method == "encoder" else {},
        "machine": f"{cpu_model()}, {os.cpu_count()} cores",
        "python": platform.python_version(),
        "versions": {name: metadata.version(name) for name in ("medllm", "torch", "transformers")},
        "folds": [{k: v for k, v in fold.items() if k not in ("notes", "labels")} for fold in done],
        "folds_done": f"{len(done)} of {len(parts)}",
        "scores": pooled(done),
    }
    if options.output:
        options.output.write_text(json.dumps(summary, indent=1) + "\n", "utf-8")
    print(json.dumps({k: summary[k] for k in ("folds", "folds_done", "scores")}, indent=1))


def divide(chosen: dict[str, Any], root: Path) -> Parts:
    """Pairs of training and held-out notes; the same folds as the taggers'."""
    schema, mapping = (Schema.load("clinical"), maps.load(chosen["map"])) if "map" in chosen else (None, None)

    def read(location: str) -> dict[str, Extraction]:
        name, _, path = location.partition(":")
        found = (p.extraction for p in reader(name)(root / path, None))
        return {x.note.id: maps.apply(x, mapping, schema) if mapping and schema else x for x in found}

    whole = read(chosen["train"])
    notes = {x.note.id: TrainingNote(x.note.id, x.note.text, (), frozenset()) for x in whole.values()}
    if "folds" in chosen:
        divided = folds(list(notes.values()), chosen["folds"])
        pairs = [(train, held_out, [whole[n.id] for n in held_out]) for train, held_out in divided]
    else:
        dev = list(read(chosen["dev"]).values())
        pairs = [(list(notes.values()), [TrainingNote(x.note.id, x.note.text, (), frozenset()) for x in dev], dev)]
    kept = []
    for train, held_out, scored in pairs:
        shared = overlapping(train, held_out, least=SHARED)
        kept.append(([whole[n.id] for n in train if n.id not in shared], scored))
    return kept


def one_fold(
    method: str, training: list[Extraction], held_out: list[Extraction], base: str, folder: Path, settings: RelationOptions, record: Path
) -> None:
    started = time.process_time(), time.monotonic()
    gold_notes = of_extractions(held_out, name="held out").notes
    learnt = of_extractions(training, name="training").notes
    facts: dict[str, Any] = {"training_notes": len(training), "held_out_notes": len(held_out)}
    if method.startswith("rules"):
        found = [by_rules(x if method == "rules" else without_assertions(x)) for x in held_out]
    elif method == "bilstm":
        import relations_bilstm

        predict, facts["model"] = relations_bilstm.train(learnt, concepts=settings.concepts, seed=settings.seed)
        found = [predict(note) for note in gold_notes]
    else:
        fitted = fit(learnt, base, folder, settings, report=lambda row: print(json.dumps(row), file=sys.stderr, flush=True))
        facts |= {"losses": dataclasses.asdict(fitted.losses), "reach": fitted.config.reach, "signatures": len(fitted.config.signatures)}
        classifier = fitted.classifier()
        found = [by_classifier(classifier, note) for note in gold_notes]
    facts |= {"cpu_minutes": round((time.process_time() - started[0]) / 60, 1), "minutes": round((time.monotonic() - started[1]) / 60, 1)}
    if settings.concepts:
        facts["official"] = officially(held_out, found)
    gold = [list(note.codes if settings.concepts else note.relations) for note in gold_notes]
    notes = [[tally(g, f), by_label(note, g, f)] for note, g, f in zip(gold_notes, gold, found, strict=True)]
    record.parent.mkdir(parents=True, exist_ok=True)
    record.write_text(json.dumps(facts | {"micro": pooled([{"notes": notes}])["micro"], "notes": notes}), "utf-8")


def by_rules(extraction: Extraction) -> Triples:
    """Relations by place. An assertion that the attachment of cues looks at is the corpus' own."""
    number = {id(e): n for n, e in enumerate(extraction.entities)}
    return [
        (number[id(r.head)], number[id(r.tail)], r.label)
        for r in attach(extraction.note.text, extraction.entities, Schema.load("clinical"))
    ]


def without_assertions(extraction: Extraction) -> Extraction:
    """The same mentions, all present."""
    entities = tuple(e.model_copy(update={"assertion": "present"}) if "assertion" in e.attributes else e for e in extraction.entities)
    return extraction.model_copy(update={"entities": entities, "relations": ()})


def by_classifier(classifier: RelationClassifier, note: RelationNote) -> Triples:
    found = classifier.classify(note.text, note.mentions)
    if classifier.config.concepts:
        return [(link.head.code, link.tail.code, link.label) for link in found]
    return [(link.head.members[0], link.tail.members[0], link.label) for link in found]


def tally(gold: Triples, found: Triples) -> list[int]:
    """True positives, false positives, false negatives of one note."""
    want, have = {tuple(g) for g in gold}, {tuple(f) for f in found}
    return [len(want & have), len(have - want), len(want - have)]


def by_label(note: RelationNote, gold: Triples, found: Triples) -> dict[str, list[int]]:
    """The same by relation, head's and tail's label where relations join mentions."""

    def name(triple: tuple[Any, Any, str]) -> str:
        head, tail, label = triple
        return f"{label}({note.mentions[head].label},{note.mentions[tail].label})" if isinstance(head, int) else label

    names = {name(t) for t in [*gold, *found]}
    return {each: tally([g for g in gold if name(g) == each], [f for f in found if name(f) == each]) for each in sorted(names)}


def officially(held_out: list[Extraction], found: list[Triples]) -> dict[str, Any]:
    """The official scorer over the same documents as PubTator files."""
    with tempfile.TemporaryDirectory() as folder:
        for side in ("gold", "pred"):
            lines = []
            for extraction, triples in zip(held_out, found, strict=True):
                gold = of_extractions([extraction], name="one").notes[0].codes if side == "gold" and extraction.relations else ()
                for head, tail, label in gold if side == "gold" else triples:
                    lines.append(f"{extraction.note.id}\t{label}\t{head.removeprefix('MESH:')}\t{tail.removeprefix('MESH:')}\n")
            (Path(folder) / f"{side}.txt").write_text("".join(lines), "utf-8")
        row = bc5cdr.score(Path(folder) / "gold.txt", Path(folder) / "pred.txt").row("relation", "CID")
    return {"scorer": bc5cdr.SCORER} | row.to_json()


def pooled(done: list[dict[str, Any]]) -> dict[str, Any]:
    """Micro scores over the notes of all folds that are done, with 95 % intervals over notes, and F1 with support by kind of relation."""
    if not done:
        return {}
    notes = [{"all": Counts(*micro)} for fold in done for micro, _ in fold["notes"]]
    total = [sum(getattr(n["all"], k) for n in notes) for k in ("tp", "fp", "fn")]
    intervals = bootstrap(notes, ["all"], samples=1000).micro
    kinds: Counter[str] = Counter()
    sums: dict[str, list[int]] = {}
    for fold in done:
        for _, labels in fold["notes"]:
            for kind, counts in labels.items():
                sums[kind] = [a + b for a, b in zip(sums.get(kind, [0, 0, 0]), counts, strict=True)]
                kinds[kind] += counts[0] + counts[2]
    return {
        "micro": measures(*total)
        | {"f1_interval": [round(intervals["f1"].low, 4), round(intervals["f1"].high, 4)], "gold": total[0] + total[2]},
        "kinds": {kind: measures(*sums[kind]) | {"gold": count} for kind, count in kinds.most_common(30)},
    }


def measures(tp: int, fp: int, fn: int) -> dict[str, float]:
    """Precision, recall and F1."""
    return {
        "precision": round(tp / (tp + fp), 4) if tp + fp else 0.0,
        "recall": round(tp / (tp + fn), 4) if tp + fn else 0.0,
        "f1": round(2 * tp / (2 * tp + fp + fn), 4) if tp else 0.0,
    }


if __name__ == "__main__":
    main()
