"""Disputes asked again: how often the language model's answer is right, by kind of dispute, and what the answers add to two readers.

    MEDLLM_DATA=corpora python evals/benchmarks/disputes.py --tagger RUN --llm RUN --model FILE.gguf --work ANSWERS.jsonl [-o RESULT.json]

The runs are those of ``ensemble.py``, over notes of ``kiwi-mtsamples/train``; the model's mentions get the edges of the shipped policy.
Each note is asked once and kept in ``--work``: a run that ends goes on there. ``--minutes`` bounds the processor time of one go; what is
recorded is of the notes asked so far. An answer is right if it takes a candidate that gold has, label and edges, or none where gold has
none. "Tagger" is how often what the tagger found (or did not find) is right on the same disputes. Calibrators are fitted anew for every
note, on the other notes alone; p is of an approximate randomisation test over notes.
"""

import argparse
import asyncio
import datetime
import json
import os
import platform
import random
import sys
import time
from collections import Counter
from importlib import metadata
from pathlib import Path
from typing import Any

from ensemble import LABELS, MAP, Notes, calibrated, figure, main_of, models, with_policy
from machine import cpu_model

from medllm.document import Entity, Vote
from medllm.engines.embedded import EmbeddedEngine
from medllm.ensemble.calibration import NOTHING
from medllm.ensemble.disputes import LLM_ONLY, Dispute, find_disputes, with_votes
from medllm.ensemble.reconcile import Joined, join, settle
from medllm.ensemble.shipped import find_policy
from medllm.evaluation.score import compare, score
from medllm.formats import labelmap, registry
from medllm.grammar.layout import get_layout
from medllm.prompting.disputes import ask_again
from medllm.prompting.questions import Questions
from medllm.prompting.reader import PromptedReader
from medllm.prompting.render import Prompts
from medllm.runs.directory import read_run
from medllm.schema import Schema
from medllm.training.links import FOLDS

SAMPLES = 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tagger", type=Path, required=True, help="a run of the tagger")
    parser.add_argument("--llm", type=Path, required=True, help="a run of the language model over the same notes")
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True, help="the answers so far, one note a line")
    parser.add_argument("--minutes", type=float, default=60, help="of processor time, after which no further note is begun")
    parser.add_argument("--name", default="")
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    root = os.environ.get("MEDLLM_DATA")
    if not root:
        sys.exit("MEDLLM_DATA is not set: it names the folder with the corpora")
    schema = Schema.load("clinical")
    policy = find_policy("auto", schema)
    assert policy is not None
    tagged = main_of(read_run(options.tagger).extractions)
    prompted = with_policy(main_of(read_run(options.llm).extractions), policy, policy.preference)
    joined: dict[str, list[Joined]] = {
        i: join((tagged[i].entities, ()), (x.entities, ()), known=LABELS) for i, x in sorted(prompted.items()) if i in tagged
    }
    disputes = {i: find_disputes(mentions) for i, mentions in joined.items()}
    asyncio.run(ask(options, schema, {i: tagged[i].note for i in joined}, disputes))
    answers = kept(options.work)
    ids = [i for i in joined if i in answers]
    chosen = labelmap.load(MAP)
    parsed = registry.reader("brat")(Path(root) / "kiwi-mtsamples" / "train", None)
    gold = {i: x for i, x in main_of(labelmap.apply(e.extraction, chosen, schema) for e in parsed).items() if i in answers}
    votes = {i: {int(n): Vote(**vote) for n, vote in answers[i]["votes"].items()} for i in ids}
    before: Notes = {}
    after: Notes = {}
    for i in ids:
        for notes, mentions in ((before, joined[i]), (after, with_votes(joined[i], votes[i]))):
            answer = settle(mentions, (), known=LABELS)
            notes[i] = tagged[i].model_copy(update={"entities": answer.entities, "rejected": answer.rejected})
    record = {
        "benchmark": "disputes",
        "name": options.name,
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "command": "python evals/benchmarks/disputes.py --tagger RUN --llm RUN --model FILE --work FILE",
        "data": "kiwi-mtsamples/train, of the 20 sampled notes one, and those with the fewest disputes, as far as the time went",
        "notes": len(ids),
        "of_notes": len(joined),
        "mentions": sum(len(joined[i]) for i in ids),
        "disputes": sum(len(disputes[i]) for i in ids),
        "without_answer": sum(len(disputes[i]) - len(votes[i]) for i in ids),
        "readers": {"tagger": models(tagged), "llm": models(prompted)},
        "kinds": kinds(ids, disputes, votes, gold),
        "calibrated": calibrated_with(before, after, gold),
        "cost": {
            name: round(sum(a["cost"][name] for a in answers.values()), 1)
            for name in ("requests", "prompt_tokens", "cached_tokens", "completion_tokens", "cpu_seconds")
        },
        "machine": f"{cpu_model()}, {os.cpu_count()} cores, one thread",
        "python": platform.python_version(),
        "versions": {name: metadata.version(name) for name in ("medllm", "scikit-learn", "xllamacpp")},
    }
    text = json.dumps(record, indent=1, ensure_ascii=False) + "\n"
    if options.output:
        options.output.write_text(text, encoding="utf-8")
    print(text)


async def ask(options: argparse.Namespace, schema: Schema, notes: dict[str, Any], disputes: dict[str, dict[int, Dispute]]) -> None:
    """Ask about the notes that are not in the file yet."""
    todo = sorted((i for i in notes if i not in kept(options.work)), key=lambda i: len(disputes[i]))
    if not todo or options.minutes <= 0:
        return
    engine = EmbeddedEngine(options.model, threads=1)
    reader = PromptedReader(engine, Questions(schema, get_layout("lines"), Prompts()))
    try:
        for i in todo:
            if time.process_time() > 60 * options.minutes:
                break
            started = time.process_time()
            verdicts = await ask_again(reader, notes[i], disputes[i], asyncio.Semaphore(1))
            used = [r.usage for r in verdicts.requests]
            cost = {
                "requests": len(used),
                "prompt_tokens": sum(u.prompt_tokens for u in used),
                "cached_tokens": sum(u.cached_tokens for u in used),
                "completion_tokens": sum(u.completion_tokens for u in used),
                "cpu_seconds": time.process_time() - started,
            }
            line = {"note": i, "votes": {n: v.model_dump() for n, v in verdicts.votes.items()}, "cost": cost}
            with options.work.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
            print(i, len(disputes[i]), cost, file=sys.stderr, flush=True)
    finally:
        await engine.aclose()


def kept(work: Path) -> dict[str, dict[str, Any]]:
    """What was answered so far, by note."""
    return {line["note"]: line for line in map(json.loads, work.read_text().splitlines())} if work.exists() else {}


def calibrated_with(before: Notes, after: Notes, gold: Notes) -> dict[str, Any] | None:
    """Two readers, calibrated without and with the answers; None where the notes are too few to fit on the others."""
    if len(before) <= FOLDS:
        return None
    (without, _), (with_answers, lane) = calibrated(before, gold), calibrated(after, gold)
    exact = {name: score(gold, notes, "exact", LABELS, SAMPLES) for name, notes in (("both", without), ("both_and_disputes", with_answers))}
    gain = exact["both_and_disputes"].micro.f1 - exact["both"].micro.f1
    p = compare(exact["both_and_disputes"], exact["both"]).p
    return {name: figure(result) for name, result in exact.items()} | {"gain": round(gain, 4), "p": p, "ece": lane["ece"]}


def kinds(
    ids: list[str], disputes: dict[str, dict[int, Dispute]], votes: dict[str, dict[int, Vote]], gold: dict[str, Any]
) -> dict[str, Any]:
    """For each kind of dispute: how often the answer is right and how often the tagger is; so too for each answer."""
    counts: dict[str, dict[str, Counter[str]]] = {}
    for i in ids:
        truth = {key(e) for e in gold[i].entities}
        for number, vote in votes[i].items():
            dispute = disputes[i][number]
            right = [key(c) in truth for c in dispute.candidates]
            said = vote.about.partition("=")[0] or "same"
            answer = not any(right) if said == NOTHING else right[0 if said == "same" else 1]
            tagger = not right[0] if dispute.kind == LLM_ONLY else right[0]
            name = {"same": "this one", NOTHING: "none"}.get(said, "the other")
            for group in (dispute.kind, f"{dispute.kind}, {name}", "all"):
                counts.setdefault(group, {}).setdefault(i, Counter()).update(disputes=1, answer=answer, tagger=tagger)
    return {group: shares(list(by_note.values())) for group, by_note in sorted(counts.items())}


def shares(by_note: list[Counter[str]]) -> dict[str, Any]:
    """The shares that are right, with the interval of a bootstrap over notes for the answers and for their lead over the tagger."""

    def share(notes: list[Counter[str]], who: str) -> float:
        return sum(n[who] for n in notes) / sum(n["disputes"] for n in notes)

    def interval(values: list[float]) -> list[float]:
        return [round(sorted(values)[int(SAMPLES * q)], 3) for q in (0.025, 0.975)]

    chance = random.Random(0)
    drawn = [chance.choices(by_note, k=len(by_note)) for _ in range(SAMPLES)]
    return {
        "disputes": sum(n["disputes"] for n in by_note),
        "answer": round(share(by_note, "answer"), 3),
        "interval": interval([share(notes, "answer") for notes in drawn]),
        "tagger": round(share(by_note, "tagger"), 3),
        "lead_interval": interval([share(notes, "answer") - share(notes, "tagger") for notes in drawn]),
    }


def key(entity: Entity) -> tuple[Any, ...]:
    return entity.label, tuple((s.start, s.end) for s in entity.spans)


if __name__ == "__main__":
    main()
