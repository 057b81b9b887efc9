"""Every exchange format writes and reads 1,000 synthetic notes: offsets, round trips, other people's parsers, seconds.

    python evals/benchmarks/formats.py --work work/formats -o evals/results/formats.json

The notes are invented by this script from a seed: letters of several scripts, line ends of all kinds, mentions that overlap, have several
parts, codes, attributes, confidences and relations. A round trip is equal if all comes back that the format holds
(``medllm.formats.holding``) and nothing else changes. The result is written beside as ``.md`` too.
"""

import argparse
import csv
import datetime
import importlib.metadata
import json
import os
import platform
import random
import shlex
import shutil
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from machine import cpu_model

from medllm.document import Entity, Extraction, Note, Span, Vote, any_entity, any_relation
from medllm.formats import registry
from medllm.formats.conll import flat
from medllm.formats.holding import HELD, Feature

NAMES = [
    "brat",
    "bioc-json",
    "bioc-xml",
    "conll",
    "csv",
    "doccano",
    "fhir",
    "graphml",
    "jsonl",
    "label-studio",
    "neo4j",
    "omop",
    "parquet",
    "rdf",
    "spacy",
    "web-annotation",
]
WORDS = [
    "fever",
    "cough",
    "pain",
    "chest",
    "left",
    "knee",
    "aspirin",
    "81",
    "mg",
    "daily",
    "denies",
    "no",
    "mother",
    "état",
    "发热",
    "🤒",
    "β-blocker",
    "étude",
    "<5",
    "&",
    '"so"',
    "it's",
]
GAPS = (" ", " ", " ", "\n", "  ", "\r\n", "\t", ".\n\n")
LABELS = ("problem", "drug", "test", "severity", "ade")
CODES = ("MESH:D005334", "UMLS:C0015967", "LOINC:718-7", "X:1")


def notes(count: int, seed: int) -> list[Extraction]:
    rng = random.Random(seed)
    return [_note(n, rng) for n in range(count)]


def _note(number: int, rng: random.Random) -> Extraction:
    text, words = "", []
    for _ in range(rng.randint(20, 80)):
        word = rng.choice(WORDS)
        words.append((len(text), len(text) + len(word)))
        text += word + rng.choice(GAPS)
    entities: list[Entity] = []
    for _ in range(rng.randint(0, 12)):
        first = rng.randrange(len(words) - 4)
        parts = [(words[first][0], words[first + rng.randint(0, 1)][1])]
        if rng.random() < 0.2:
            parts.append(words[first + 3])
        own = {"assertion": rng.choice(("present", "absent", "possible"))} if rng.random() < 0.5 else {}
        entities.append(
            any_entity(rng.choice(LABELS))(
                spans=tuple(Span(start=s, end=e) for s, e in parts),
                text=" ".join(text[s:e] for s, e in parts),
                codes=tuple(sorted(rng.sample(CODES, rng.randint(0, 2)))),
                confidence=rng.choice((None, round(rng.random(), 3))),
                votes=(Vote(reader="llm", model="m", placed="grammar", score=round(rng.random(), 3)),),
                **own,
            )
        )
    entities = [e.model_copy(update={"id": f"T{n}"}) for n, e in enumerate(sorted(entities, key=Entity.sort_key), 1)]
    count = rng.randint(0, 4) if len(entities) > 1 else 0
    relations = tuple(
        any_relation(rng.choice(("TrAP", "hasAttr")))(id=f"R{n}", head=pair[0], tail=pair[1])
        for n, pair in enumerate((rng.sample(entities, 2) for _ in range(count)), 1)
    )
    note = Note(id=f"ward {number % 7}/{number}", text=text, meta={"patient_id": str(number)})
    return Extraction(note=note, entities=tuple(entities), relations=relations)


# --- what comes back -------------------------------------------------------------------------------------------------


def held_of(extraction: Extraction, name: str) -> Any:
    """What a format holds of an extraction, in a form that can be compared."""
    holds, note = HELD[name], extraction.note
    entities = list(extraction.entities) if Feature.OVERLAPS in holds else flat(extraction.entities)[0]
    if name == "conll":  # it rebuilds the text: tokens are compared, and mentions without white space
        return "".join(note.text.split()), sorted((e.label, "".join(e.span.of(note.text).split())) for e in _in_lines(entities, note.text))

    def mention(e: Entity) -> Any:
        spans = [(s.start, s.end) for s in e.spans] if Feature.PARTS in holds else [(e.span.start, e.span.end)]
        values = sorted(e.attributes.items()) if Feature.ATTRIBUTES in holds else []
        codes = sorted(e.codes) if Feature.CODES in holds else []
        confidence = e.confidence if Feature.CONFIDENCE in holds else None
        return e.label, spans, values, codes, confidence, [v.model_dump() for v in e.votes] if Feature.VOTES in holds else []

    relations = (
        sorted(repr((r.label, mention(r.head), mention(r.tail))) for r in extraction.relations) if Feature.RELATIONS in holds else []
    )
    meta = note.meta if Feature.META in holds else {}
    return note.id, note.text, meta, sorted(repr(mention(e)) for e in entities), relations


def _in_lines(entities: list[Entity], text: str) -> Iterator[Entity]:
    """CoNLL divides a mention at line ends."""
    for entity in entities:
        start = entity.span.start
        for line in entity.span.of(text).split("\n"):
            if line.strip():
                yield any_entity(entity.label).at(text, start, start + len(line))
            start += len(line) + 1


def exact(extraction: Extraction) -> bool:
    return all(e.text == " ".join(s.of(extraction.note.text) for s in e.spans) for e in extraction.entities)


# --- other people's parsers: each counts the notes that it takes, and raises for what it refuses ---------------------


def _bioc_json(folder: Path) -> int:
    from bioc import biocjson

    (path,) = folder.glob("*.json")
    with open(path, encoding="utf-8") as file:
        return len(biocjson.load(file).documents)


def _bioc_xml(folder: Path) -> int:
    from bioc import biocxml

    (path,) = folder.glob("*.xml")
    with open(path, "rb") as file:
        return len(biocxml.load(file).documents)


def _spacy(folder: Path) -> int:
    import spacy

    vocab = spacy.blank("en").vocab
    return sum(bool(doc.text) for path in folder.glob("*.spacy") for doc in spacy.tokens.DocBin().from_disk(path).get_docs(vocab))


def _fhir(folder: Path) -> int:
    from fhir.resources.R4B.bundle import Bundle

    return sum(len(Bundle.model_validate_json(path.read_bytes()).entry) > 0 for path in folder.rglob("*.json"))


def _parquet(folder: Path) -> int:
    import pyarrow.parquet

    tables = [pyarrow.parquet.read_table(folder / f"{name}.parquet") for name in ("notes", "mentions", "relations")]
    return len(tables[0])


def _rdf(folder: Path) -> int:
    import rdflib

    return sum(len(rdflib.Graph().parse(path)) > 0 for path in folder.rglob("*.ttl"))


def _graphml(folder: Path) -> int:
    import networkx

    return sum(networkx.read_graphml(path, force_multigraph=True).nodes["note"]["text"] != "" for path in folder.rglob("*.graphml"))


def _csv(name: str) -> Callable[[Path], int]:
    def count(folder: Path) -> int:
        csv.field_size_limit(2**31 - 1)
        for path in folder.glob("*.csv"):
            with open(path, newline="", encoding="utf-8") as file:
                reader = csv.reader(file, strict=True)
                width = len(next(reader))
                rows = sum(len(row) == width or _refuse(path) for row in reader)
            if path.stem == name:
                found = rows
        return found

    return count


def _refuse(path: Path) -> bool:
    raise ValueError(f"{path.name}: a row of another width")


FOREIGN: dict[str, tuple[str, Callable[[Path], int]]] = {
    "bioc-json": ("bioc", _bioc_json),
    "bioc-xml": ("bioc", _bioc_xml),
    "csv": ("csv of Python", _csv("notes")),
    "fhir": ("fhir.resources", _fhir),
    "graphml": ("networkx", _graphml),
    "neo4j": ("csv of Python", _csv("notes")),
    "omop": ("csv of Python", _csv("note")),
    "parquet": ("pyarrow", _parquet),
    "rdf": ("rdflib", _rdf),
    "spacy": ("spacy", _spacy),
}


def measure(name: str, given: list[Extraction], folder: Path) -> dict[str, Any]:
    shutil.rmtree(folder, ignore_errors=True)
    clock = time.process_time()
    writer = registry.writer(name)(folder, None)
    for one in given:
        writer.write(one)
    writer.close()
    wrote = time.process_time() - clock
    clock = time.process_time()
    parsed = list(registry.reader(name)(folder, None))
    read = time.process_time() - clock
    back = [p.extraction for p in parsed]
    by_text = {held_of(x, name)[0]: x for x in back}
    wanted = [held_of(x, name) for x in given]
    equal = sum(want[0] in by_text and held_of(by_text[want[0]], name) == want for want in wanted)
    result = {
        "notes": len(back),
        "offsets_exact": sum(map(exact, back)),
        "round_trip_equal": equal,
        "problems": sum(len(p.problems) for p in parsed),
        "not_held": sorted(what.value for what in set(Feature) - HELD[name]),
        "bytes": sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()),
        "write_cpu_seconds": round(wrote, 2),
        "read_cpu_seconds": round(read, 2),
    }
    if name in FOREIGN:
        library, count = FOREIGN[name]
        result |= {"foreign_parser": library, "foreign_parser_accepts": count(folder)}
    return result


def table(result: dict[str, Any]) -> str:
    lines = [
        f"# Formats: {result['notes']} synthetic notes, written and read\n",
        f"`{result['command']}`, {result['date']}, {result['machine']}, Python {result['python']}, "
        + ", ".join(f"{k} {v}" for k, v in result["versions"].items())
        + ".\n",
        "A round trip is equal if all comes back that the format holds, and nothing else changes. Seconds are of one core's time.\n",
        "| format | offsets exact | round trip equal | another parser accepts | MB | write s | read s | not held |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, row in result["formats"].items():
        foreign = f"{row['foreign_parser_accepts']} ({row['foreign_parser']})" if "foreign_parser" in row else "none here"
        size, held = row["bytes"] / 1e6, ", ".join(row["not_held"]) or "-"
        numbers = f"{row['offsets_exact']} | {row['round_trip_equal']} | {foreign} | {size:.1f}"
        lines.append(f"| {name} | {numbers} | {row['write_cpu_seconds']} | {row['read_cpu_seconds']} | {held} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--notes", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--formats", default=",".join(NAMES))
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    given = notes(options.notes, options.seed)
    found = {}
    for name in options.formats.split(","):
        found[name] = measure(name, given, options.work / name)
        print(name, json.dumps(found[name]), flush=True)
    libraries = ("medllm", "bioc", "fhir.resources", "networkx", "pyarrow", "rdflib", "spacy")
    result = {
        "benchmark": "formats",
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "command": shlex.join(
            ["python", "evals/benchmarks/formats.py", "--work", "WORK", "--notes", str(options.notes), "--seed", str(options.seed)]
        ),
        "machine": f"{cpu_model()}, {os.cpu_count()} cores",
        "python": platform.python_version(),
        "versions": {name: importlib.metadata.version(name) for name in libraries},
        "notes": len(given),
        "mentions": sum(len(x.entities) for x in given),
        "relations": sum(len(x.relations) for x in given),
        "formats": found,
    }
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(result, indent=1) + "\n")
    options.output.with_suffix(".md").write_text(table(result))


if __name__ == "__main__":
    main()
