"""Two readers and one answer: what the boundary policy, reconciling and the calibrator are worth on notes with gold.

    MEDLLM_DATA=corpora python evals/benchmarks/ensemble.py --tagger RUN --llm RUN [--name 1.5b] [-o evals/results/NAME.json]

The runs are of ``medllm extract --no-relations`` over notes of ``kiwi-mtsamples/train``, one with ``--readers tagger --calibrator off``,
one with ``--readers llm --boundary off``; the notes that both read are scored. The boundary policy is the shipped one, learnt from the
project's own notes. The calibrator and the threshold are fitted anew for every note, on the other notes alone (leave one note out), and
so is the policy's preference where "nested" stands.
Intervals are bootstraps over notes, p is of an approximate randomisation test over the same notes.
"""

import argparse
import datetime
import json
import os
import platform
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any

from machine import cpu_model

from medllm.document import Entity, Extraction, Span
from medllm.ensemble.boundary import BoundaryPolicy, move_edges
from medllm.ensemble.gate import choose, tagger_score
from medllm.ensemble.reconcile import reconcile
from medllm.ensemble.shipped import find_policy
from medllm.evaluation.score import compare, score
from medllm.formats import jsonl, labelmap, registry
from medllm.runs.directory import read_run
from medllm.schema import Schema
from medllm.training.calibrator import Judged, calibration_error, fit_calibrator, judge_mentions

LABELS = ("problem", "test", "treatment", "drug")
MAP = Path(__file__).parents[1] / "labelmaps" / "kiwi-mtsamples-to-clinical.toml"
PREFERENCES = (0.0, 0.5, 1.0, 2.0, 3.0)
PROMISE = 0.95
SHARES = (0.1, 0.3, 0.5)
Notes = dict[str, Extraction]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--tagger",
        type=Path,
        required=True,
        action="append",
        help="a run of the tagger, or predictions of tagger_folds.py; may be repeated",
    )
    parser.add_argument("--llm", type=Path, required=True, help="the run of the language model")
    parser.add_argument("--name", default="")
    parser.add_argument("--remark", default="")
    parser.add_argument("--samples", type=int, default=1000)
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    root = os.environ.get("MEDLLM_DATA")
    if not root:
        sys.exit("MEDLLM_DATA is not set: it names the folder with the corpora")
    schema = Schema.load("clinical")
    policy = find_policy("auto", schema)
    assert policy is not None
    chosen = labelmap.load(MAP)
    parsed = registry.reader("brat")(Path(root) / "kiwi-mtsamples" / "train", None)
    gold = main_of(labelmap.apply(each.extraction, chosen, schema) for each in parsed)
    tagged = main_of(x for run in options.tagger for x in (read_run(run).extractions if run.is_dir() else jsonl.read(run)))
    prompted = main_of(read_run(options.llm).extractions)
    ids = sorted(gold.keys() & tagged.keys() & prompted.keys())
    gold, tagged, prompted = ({i: notes[i] for i in ids} for notes in (gold, tagged, prompted))

    def scored(notes: Notes, against: Notes | None = None) -> dict[str, Any]:
        exact = score(gold, notes, "exact", LABELS, options.samples)
        overlap = score(gold, notes, "overlap", LABELS, options.samples)
        figures = {"exact": figure(exact), "overlap": figure(overlap)}
        if against is not None:
            other = score(gold, against, "exact", LABELS)
            figures["exact_gain"] = round(exact.micro.f1 - other.micro.f1, 4)
            figures["p"] = compare(exact, other).p
        return figures

    moved = {p: with_policy(prompted, policy, p) for p in PREFERENCES}
    best = {i: max(PREFERENCES, key=lambda p: f1([j for j in ids if j != i], gold, moved[p])) for i in ids}
    nested = {i: moved[best[i]][i] for i in ids}
    joined = {}
    for i in ids:
        answer = reconcile((tagged[i].entities, ()), (nested[i].entities, ()), known=LABELS)
        joined[i] = tagged[i].model_copy(update={"entities": answer.entities, "rejected": answer.rejected})
    alone, alone_lane = calibrated(tagged, gold)
    both, both_lane = calibrated(joined, gold)
    record = {
        "benchmark": "ensemble",
        "name": options.name,
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "command": "python evals/benchmarks/ensemble.py --tagger RUN --llm RUN",
        "remark": options.remark,
        "data": "kiwi-mtsamples/train, the notes that both read",
        "notes": len(ids),
        "gold_mentions": sum(len(x.entities) for x in gold.values()),
        "readers": {"tagger": models(tagged), "llm": models(prompted)},
        "policy": dict(policy.about) | {"sha256": policy.digest},
        "boundary": {
            "as_read": scored(prompted),
            **{f"preference {p:g}": scored(moved[p], prompted) for p in PREFERENCES},
            "preference nested": scored(nested, prompted),
        },
        "tagger": scored(tagged),
        "tagger_calibrated": scored(alone, tagged),
        "both_uncalibrated": scored({i: joined[i] for i in ids}, tagged),
        "both": scored(both, tagged),
        "both_against_tagger_calibrated": scored(both, alone),
        "cascade": cascade(tagged, nested, gold, parts_of(options.llm), scored),
        "calibration": {"tagger": alone_lane, "both": both_lane},
        "votes": votes(joined, gold),
        "machine": f"{cpu_model()}, {os.cpu_count()} cores",
        "python": platform.python_version(),
        "versions": {name: metadata.version(name) for name in ("medllm", "scikit-learn")},
    }
    text = json.dumps(record, indent=1, ensure_ascii=False) + "\n"
    if options.output:
        options.output.write_text(text, encoding="utf-8")
    print(text)


def parts_of(run: Path) -> dict[str, list[tuple[Span, int]]]:
    """By note, the parts that the language model was asked about, each with its tokens (prompt and answer)."""
    parts: dict[str, list[tuple[Span, int]]] = {}
    for line in (run / "usage.jsonl").read_text(encoding="utf-8").splitlines():
        used = json.loads(line)
        part = Span(start=used["start"], end=used["end"])
        parts.setdefault(used["note_id"], []).append((part, used["prompt_tokens"] + used["completion_tokens"]))
    return parts


def cascade(
    tagged: Notes, prompted: Notes, gold: Notes, parts: dict[str, list[tuple[Span, int]]], scored: Callable[[Notes, Notes], dict[str, Any]]
) -> dict[str, Any]:
    """Both readers, where the language model is heard on the parts alone that the gate chooses for a share of its tokens."""
    found = {}
    for share in SHARES:
        joined, spent = {}, 0
        for i, tags in tagged.items():
            spans, costs = [part for part, _ in parts[i]], [cost for _, cost in parts[i]]
            asked = set(choose(spans, costs, tags.entities, share * sum(costs), tagger_score))
            spent += sum(costs[n] for n in asked)
            heard = [e for e in prompted[i].entities if any(spans[n].start <= e.span.start < spans[n].end for n in asked)]
            left = [span for n, span in enumerate(spans) if n not in asked]
            answer = reconcile((tags.entities, ()), (heard, ()), known=LABELS, not_asked=left)
            joined[i] = tags.model_copy(update={"entities": answer.entities, "rejected": answer.rejected})
        tokens = spent / sum(cost for i in tagged for _, cost in parts[i])
        found[str(share)] = {"tokens": round(tokens, 3)} | scored(calibrated(joined, gold)[0], tagged)
    return found


def main_of(extractions: Any) -> Notes:
    """The mentions that are scored, by note."""
    kept = {}
    for x in extractions:
        entities = tuple(e for e in x.entities if e.label in LABELS)
        kept[x.note.id] = x.model_copy(update={"entities": entities, "relations": (), "rejected": ()})
    return kept


def with_policy(notes: Notes, policy: BoundaryPolicy, preference: float) -> Notes:
    """The notes with the edges of the policy; two mentions that become one are one."""
    preferring = replace(policy, preference=preference)
    return {
        i: x.model_copy(update={"entities": distinct(move_edges(x.note.text, e, preferring) for e in x.entities)}) for i, x in notes.items()
    }


def distinct(mentions: Any) -> tuple[Entity, ...]:
    """Each mention once, in reading order."""
    return tuple(sorted({(e.label, e.spans): e for e in mentions}.values(), key=Entity.sort_key))


def calibrated(notes: Notes, gold: Notes) -> tuple[Notes, dict[str, Any]]:
    """Each note with what a calibrator of the other notes keeps of it, and how good the probabilities and the promised lane are."""
    judged = judge_mentions(notes.values(), gold, LABELS)
    by_note: dict[str, list[Judged]] = {i: [j for j in judged if j.note == i] for i in notes}
    out, probabilities, right, lane, reached = {}, [], [], [], 0
    for i in notes:
        others = [j for j in judged if j.note != i]
        model, _ = fit_calibrator(others, schema="clinical", about={})
        seen = [model.judge(j.entity) for j in by_note[i]]
        out[i] = notes[i].model_copy(update={"entities": distinct(e for e in seen if (e.confidence or 0) >= model.keep), "rejected": ()})
        probabilities += [float(e.confidence or 0) for e in seen]
        right += [j.right for j in by_note[i]]
        at = model.lanes.get(PROMISE)
        reached += at is not None
        lane += [j.right for e, j in zip(seen, by_note[i], strict=True) if at is not None and (e.confidence or 0) >= at]
    ece, bins = calibration_error(probabilities, right)
    kept = sum(len(x.entities) for x in out.values())
    return out, {
        "candidates": len(judged),
        "kept": kept,
        "ece": round(ece, 4),
        "bins": bins,
        "lane": {
            "promised": PROMISE,
            "fits_that_could_promise": reached,
            "precision": round(sum(lane) / len(lane), 4) if lane else None,
            "share_of_kept": round(len(lane) / kept, 4),
        },
    }


def votes(notes: Notes, gold: Notes) -> dict[str, Any]:
    """For each pair of votes: how many mentions have it, and the share that is right."""
    counts: Counter[tuple[str, bool]] = Counter()
    for j in judge_mentions(notes.values(), gold, LABELS):
        said = {v.reader: v.about.partition("=")[0] or "found" for v in j.entity.votes if v.reader in ("tagger", "llm")}
        counts[f"tagger {said.get('tagger', '-')}, llm {said.get('llm', '-')}", j.right] += 1
    names = sorted({name for name, _ in counts})
    return {n: {"mentions": (m := counts[n, True] + counts[n, False]), "right": round(counts[n, True] / m, 3)} for n in names}


def f1(ids: Sequence[str], gold: Notes, notes: Mapping[str, Extraction]) -> float:
    return score({i: gold[i] for i in ids}, {i: notes[i] for i in ids}, "exact", LABELS).micro.f1


def figure(result: Any) -> dict[str, Any]:
    micro, interval = result.summary()["micro"], result.summary()["intervals"]["micro"]["f1"]
    return {k: round(micro[k], 4) for k in ("precision", "recall", "f1")} | {"interval": [round(v, 4) for v in interval]}


def models(notes: Notes) -> list[str]:
    return sorted({v.model for x in notes.values() for e in x.entities for v in e.votes if not v.about})


if __name__ == "__main__":
    main()
