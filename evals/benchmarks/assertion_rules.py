"""Assertion rules (medllm.rules) against gold modifiers and assertions, given the gold mentions.

    MEDLLM_DATA=... python evals/benchmarks/assertion_rules.py -o evals/results/assertion_rules.json [--only CORPUS ...]

Also written: the same tables as Markdown, beside the JSON. Two views of the same mentions:

* *cues*: for each of negation, possible, hypothetical and experiencer, whether the annotators joined such a modifier to the mention (or
  gave it that assertion), and whether a rule of that kind tells of it. Over problems, and over mentions of every label.
* *classes*: the six classes of i2b2 2010 over problems, as the label map derives them from the modifiers.

``kiwi-mtsamples`` is for measuring only: no cue was made, changed or chosen by looking at its text or its errors. The cue tables were
developed on ``maccrobat`` and the cue words that CHIA and PHEE list, so that the figures of ``maccrobat`` are those of development.
CHIA was scored once then, and dropped: its gold does not annotate what the rules judge. Intervals: 95 % bootstrap over notes.
"""

import argparse
import datetime
import importlib.metadata
import json
import os
import platform
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from machine import cpu_model

from medllm.document import Assertion, Entity, Extraction
from medllm.evaluation.counts import Counts
from medllm.evaluation.statistics import bootstrap
from medllm.formats import labelmap, registry
from medllm.rules import Judgement, Kind, assess
from medllm.schema import Schema

LABEL_MAPS = Path(__file__).parents[1] / "labelmaps"
CORPORA = {"kiwi-mtsamples": ("brat", "kiwi-mtsamples/train"), "maccrobat": ("brat", "maccrobat/train")}
MODIFIERS = {"negation": Kind.NEGATION, "uncertain": Kind.POSSIBLE, "condition": Kind.HYPOTHETICAL, "subject": Kind.EXPERIENCER}
ASSERTIONS = {
    Assertion.ABSENT: Kind.NEGATION,
    Assertion.POSSIBLE: Kind.POSSIBLE,
    Assertion.HYPOTHETICAL: Kind.HYPOTHETICAL,
    Assertion.ASSOCIATED_WITH_SOMEONE_ELSE: Kind.EXPERIENCER,
}
CLASSES = tuple(a.value for a in Assertion)


def mapped(corpus: str, data: Path) -> Iterator[Extraction]:
    """The notes of a corpus in the classes of ``clinical``."""
    format_, path = CORPORA[corpus]
    schema, rules = Schema.load("clinical"), labelmap.load(LABEL_MAPS / f"{corpus}-to-clinical.toml")
    for parsed in registry.reader(format_)(data / path, None):
        yield labelmap.apply(parsed.extraction, rules, schema)


def gold_kinds(extraction: Extraction) -> dict[int, set[Kind]]:
    """By the identity of a mention, what annotators said of it."""
    found: dict[int, set[Kind]] = {id(e): set() for e in extraction.entities}
    for relation in extraction.relations:
        if relation.tail.label in MODIFIERS:
            found[id(relation.head)].add(MODIFIERS[relation.tail.label])
    for entity in extraction.entities:
        if (kind := ASSERTIONS.get(getattr(entity, "assertion", Assertion.PRESENT))) and not found[id(entity)]:
            found[id(entity)].add(kind)
    return found


def judged(extraction: Extraction) -> list[tuple[Entity, Judgement]]:
    """The mentions that can have an assertion or a negation, with what the rules say of them."""
    mentions = [e for e in extraction.entities if e.label in ("problem", "test", "treatment", "drug")]
    return list(zip(mentions, assess(extraction.note.text, [e.span for e in mentions]), strict=True))


def add(counts: dict[str, Counts], label: str, gold: bool, predicted: bool) -> None:
    counts[label] = counts.get(label, Counts()) + Counts(gold and predicted, predicted and not gold, gold and not predicted)


def score(extractions: Iterable[Extraction]) -> dict[str, Any]:
    """Both views of a corpus."""
    problems: list[dict[str, Counts]] = []
    everything: list[dict[str, Counts]] = []
    classes: list[dict[str, Counts]] = []
    confusion: Counter[str] = Counter()
    for extraction in extractions:
        gold = gold_kinds(extraction)
        problems.append({}), everything.append({}), classes.append({})
        for mention, judgement in judged(extraction):
            for kind in MODIFIERS.values():
                add(everything[-1], kind.value, kind in gold[id(mention)], judgement.has(kind))
                if mention.label == "problem":
                    add(problems[-1], kind.value, kind in gold[id(mention)], judgement.has(kind))
            if mention.label == "problem":
                wanted, given = mention.attributes["assertion"].value, judgement.assertion.value
                confusion[f"{wanted} -> {given}"] += 1
                for name in CLASSES:
                    add(classes[-1], name, wanted == name, given == name)
    right = sum(n for pair, n in confusion.items() if len(set(pair.split(" -> "))) == 1)
    return {
        "notes": len(problems),
        "problems": sum(confusion.values()),
        "cues_of_problems": table(problems, [k.value for k in MODIFIERS.values()]),
        "cues_of_all_mentions": table(everything, [k.value for k in MODIFIERS.values()]),
        "classes": table(classes, CLASSES),
        "accuracy": round(right / sum(confusion.values()), 4),
        "confusion": dict(confusion.most_common()),
    }


def table(notes: list[dict[str, Counts]], labels: Iterable[str]) -> dict[str, dict[str, Any]]:
    labels = list(labels)
    intervals = bootstrap(notes, labels).labels
    rows = {}
    for label in labels:
        total = sum((n[label] for n in notes if label in n), Counts())
        row: dict[str, Any] = {"support": total.tp + total.fn, "predicted": total.tp + total.fp}
        for measure in ("precision", "recall", "f1"):
            i = intervals[label][measure]
            row[measure] = round(getattr(total, measure), 4)
            row[f"{measure}_interval"] = [round(i.low, 4), round(i.high, 4)]
        rows[label] = row
    return rows


def markdown(result: Mapping[str, Any]) -> str:
    lines = ["# Assertion rules, given gold mentions", "", f"`{result['command']}`, {result['date']}, {result['machine']}.", ""]
    lines += ["What the two views are stands in the script. 95 % bootstrap intervals over notes.", ""]
    for corpus, found in result["corpora"].items():
        lines += [f"## {corpus}", "", f"{found['notes']} notes, {found['problems']} problems. {result['roles'][corpus]}", ""]
        for view in ("cues_of_problems", "cues_of_all_mentions", "classes"):
            lines += [f"| {view.replace('_', ' ')} | support | predicted | precision | recall | F1 |", "|---|---|---|---|---|---|"]
            for label, row in found[view].items():
                if not row["support"] and not row["predicted"]:
                    continue
                cells = [
                    f"{row[m]:.3f} ({row[m + '_interval'][0]:.3f}–{row[m + '_interval'][1]:.3f})" if row["support"] else "–"
                    for m in ("precision", "recall", "f1")
                ]
                lines.append(f"| {label} | {row['support']} | {row['predicted']} | {' | '.join(cells)} |")
            lines += [""]
        lines += [f"Accuracy over the six classes: {found['accuracy']:.3f}.", ""]
    return "\n".join(lines)


ROLES = {
    "kiwi-mtsamples": "For measuring only: nothing was made or changed by looking at these notes.",
    "maccrobat": "Development: the cue tables were made better on these reports, so these figures flatter them.",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--only", nargs="*", choices=CORPORA, default=list(CORPORA))
    given = parser.parse_args()
    if "MEDLLM_DATA" not in os.environ:
        sys.exit("set MEDLLM_DATA to the folder that holds the corpora")
    data = Path(os.environ["MEDLLM_DATA"])
    result = {
        "benchmark": "assertion_rules",
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "command": "python evals/benchmarks/assertion_rules.py -o evals/results/assertion_rules.json",
        "machine": f"{cpu_model()}, {os.cpu_count()} cores",
        "python": platform.python_version(),
        "versions": {name: importlib.metadata.version(name) for name in ("medllm", "numpy", "regex")},
        "roles": {name: ROLES[name] for name in given.only},
        "corpora": {name: score(mapped(name, data)) for name in given.only},
    }
    given.output.write_text(json.dumps(result, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    given.output.with_suffix(".md").write_text(markdown(result), encoding="utf-8")


if __name__ == "__main__":
    main()
