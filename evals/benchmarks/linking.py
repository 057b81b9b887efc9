"""Accuracy@1 of linking gold mentions to MeSH, on the development parts of BC5CDR and NCBI Disease.

    python evals/benchmarks/linking.py [--part dev] [-o evals/results/linking.json]

A mention counts as right where the linker's answer is the gold answer: the one code, or no code where gold has none in MeSH. A mention of
several codes together is never right, as the linker gives one. ``mesh`` rows are over mentions with a MeSH id in gold, ``all`` rows over
all. ``ceiling``: the share of mentions whose gold is one id that is in the lexicon. Three systems: the terminologies alone; the linker as
it ships, which knows names from training parts where the terminologies have none (``mesh-mentions``); and that with all names of the two
training parts as a user's own ``table``, which win (a name has the code that most of its training mentions have). Training abstracts that
are in a development part are left out. Everything in the linker was chosen on training parts. Intervals: bootstrap over abstracts, 95 %.
"""

import argparse
import datetime
import json
import os
import platform
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import version
from pathlib import Path

import numpy as np
from machine import cpu_model

from medllm.document import Extraction
from medllm.formats.registry import reader
from medllm.lexicons import Concept, Kind, Lexicon, load, normalise
from medllm.lexicons.loading import SHIPPED
from medllm.linking import Link, Linker, defined_abbreviations
from medllm.linking.embedding import SentenceEncoder
from medllm.linking.linker import expanded
from medllm.linking.vocabularies import VOCABULARIES, borrowed

CORPORA = {"bc5cdr": ("pubtator", "bc5cdr/{}.PubTator.txt"), "ncbi-disease": ("brat", "ncbi-disease/{}")}
KINDS: Mapping[str, tuple[Kind, ...]] = {"Chemical": ("drug",)} | dict.fromkeys(
    ("Disease", "SpecificDisease", "DiseaseClass", "CompositeMention", "Modifier"), ("disorder",)
)
RESAMPLES = 1000
Row = tuple[str, str, str, tuple[str, ...], Link | None]
"""Corpus, abstract, label, gold codes, answer."""


def notes(data: Path, corpus: str, part: str) -> list[Extraction]:
    name, path = CORPORA[corpus]
    return [parsed.extraction for parsed in reader(name)(data / path.format(part), None)]


def _bare(extraction: Extraction) -> str:
    """The text without white space, which corpora treat differently."""
    return "".join(extraction.note.text.split())


def mesh(codes: Iterable[str]) -> tuple[str, ...]:
    return tuple(code for code in codes if code.startswith("MESH:"))


def pairs(extractions: Iterable[Extraction], lexicon: Lexicon) -> Iterator[Concept]:
    """The names that mentions of one code have, as concepts, the most frequent code of each name alone."""
    counted: dict[tuple[str, tuple[Kind, ...]], Counter[str]] = defaultdict(Counter)
    for extraction in extractions:
        abbreviations = defined_abbreviations(extraction.note.text)
        for entity in extraction.entities:
            codes = mesh(entity.codes)
            if len(codes) == len(entity.codes) == 1 and codes[0] in lexicon:
                counted[normalise(expanded(entity.text, abbreviations)), KINDS[entity.label]][codes[0]] += 1
    names: dict[str, list[str]] = defaultdict(list)
    for (name, _), codes_of in counted.items():
        if name:
            names[codes_of.most_common(1)[0][0]].append(name)
    for code, found in names.items():
        system, _, identifier = code.partition(":")
        yield Concept(system, identifier, found[0], tuple(found[1:]), lexicon[code].kinds)


def answers(linker: Linker, corpus: str, extractions: Iterable[Extraction]) -> list[Row]:
    rows = []
    known: dict[tuple[str, str, str], Link | None] = {}
    for extraction in extractions:
        abbreviations = linker.abbreviations(extraction)
        for entity in extraction.entities:
            key = (entity.label, entity.text, expanded(entity.text, abbreviations))
            if key not in known:
                known[key] = linker.link_mention(entity.text, entity.label, abbreviations)
            label = "Chemical" if entity.label == "Chemical" else "Disease"
            rows.append((corpus, extraction.note.id, label, mesh(entity.codes), known[key]))
    return rows


def accuracy(rows: list[Row]) -> dict[str, object]:
    by_note: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0])
    for corpus, note, _, gold, link in rows:
        count = by_note[corpus, note]
        count[0] += (() if link is None else (link.code,)) == gold
        count[1] += 1
    table = np.array(list(by_note.values()))
    drawn = np.random.default_rng(0).integers(0, len(table), (RESAMPLES, len(table)))
    sums = table[drawn].sum(axis=1)
    low, high = np.quantile(sums[:, 0] / sums[:, 1], [0.025, 0.975])
    return {
        "accuracy": round(float(table[:, 0].sum() / table[:, 1].sum()), 4),
        "interval": [round(float(low), 4), round(float(high), 4)],
        "mentions": int(table[:, 1].sum()),
        "notes": len(table),
    }


def scored(rows: list[Row], lexicon: Lexicon) -> dict[str, object]:
    with_id = [row for row in rows if row[3]]
    steps = Counter((row[4].step if row[4] else "none", (() if row[4] is None else (row[4].code,)) == row[3]) for row in rows)
    selections = {
        "mesh": with_id,
        "mesh, bc5cdr": [r for r in with_id if r[0] == "bc5cdr"],
        "mesh, bc5cdr Chemical": [r for r in with_id if r[0] == "bc5cdr" and r[2] == "Chemical"],
        "mesh, bc5cdr Disease": [r for r in with_id if r[0] == "bc5cdr" and r[2] == "Disease"],
        "mesh, ncbi-disease Disease": [r for r in with_id if r[0] == "ncbi-disease"],
        "mesh, all ids in the lexicon": [r for r in with_id if all(code in lexicon for code in r[3])],
        "all": rows,
        "no MeSH id in gold": [r for r in rows if not r[3]],
    }
    return {
        "accuracy@1": {name: accuracy(some) for name, some in selections.items() if some},
        "ceiling": {
            name: round(sum(len(r[3]) == 1 and r[3][0] in lexicon for r in some) / len(some), 4)
            for name, some in selections.items()
            if name.startswith("mesh") and some
        },
        "steps": {step: {"right": steps[step, True], "wrong": steps[step, False]} for step in sorted({step for step, _ in steps})},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", default="dev", choices=["train", "dev"], help="train: the lexicons alone, for development")
    parser.add_argument("--encoder", type=Path, help="a sentence encoder's folder: a fourth system orders near names with it")
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    if "MEDLLM_DATA" not in os.environ:
        sys.exit("MEDLLM_DATA must name the folder of the corpora")
    data = Path(os.environ["MEDLLM_DATA"])
    started = time.perf_counter()
    vocabulary = VOCABULARIES["mesh"]
    lexicon = load(*vocabulary.lexicons)
    lenders = {name: load(name) for name in vocabulary.lenders}
    loading = time.perf_counter() - started
    without = [lender for name, lender in lenders.items() if name not in SHIPPED]
    systems = {"terminologies": Linker(lexicon, aliases=Lexicon(borrowed(lexicon, without)), kinds=KINDS)}
    scored_notes = {corpus: notes(data, corpus, options.part) for corpus in CORPORA}
    if options.part == "dev":
        scored_texts = {_bare(e) for some in scored_notes.values() for e in some}
        train = [e for corpus in CORPORA for e in notes(data, corpus, "train") if _bare(e) not in scored_texts]
        shipped = Linker(lexicon, aliases=Lexicon(borrowed(lexicon, lenders.values())), kinds=KINDS)
        systems["as shipped"] = shipped
        if options.encoder:
            encoder = SentenceEncoder(options.encoder, threads=1)
            systems[f"as shipped, near names by {options.encoder.name}"] = shipped.with_encoder(encoder)
        systems["as shipped, with the names of the training parts as own"] = shipped.with_names(Lexicon(pairs(train, lexicon)))
    result: dict[str, object] = {}
    for name, linker in systems.items():
        started = time.perf_counter()
        rows = [row for corpus, extractions in scored_notes.items() for row in answers(linker, corpus, extractions)]
        result[name] = scored(rows, lexicon) | {"seconds": round(time.perf_counter() - started, 1)}
    record = {
        "benchmark": "linking",
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "command": f"python evals/benchmarks/linking.py --part {options.part}" + (" --encoder FOLDER" if options.encoder else ""),
        "data": f"gold mentions of the {options.part} parts of BC5CDR and NCBI Disease",
        "lexicons": [*vocabulary.lexicons, *vocabulary.lenders],
        "concepts": len(lexicon),
        "loading_seconds": round(loading, 1),
        "machine": f"{cpu_model()}, {os.cpu_count()} cores, busy with other work",
        "python": platform.python_version(),
        "versions": {name: version(name) for name in ("medllm", "rapidfuzz", "numpy")},
        "systems": result,
    }
    text = json.dumps(record, indent=1)
    if options.output:
        options.output.write_text(text + "\n", "utf-8")
    print(text)


if __name__ == "__main__":
    main()
