"""De-identification of texts by others: the sentence templates of ``presidio-evaluator`` filled with its invented people.

    pip download --no-deps presidio-evaluator==0.3.2 && unzip presidio_evaluator-0.3.2-py3-none-any.whl -d FOLDER
    PYTHONPATH=. python evals/benchmarks/deid_templates.py FOLDER [--part sealed] [--errors] [-o evals/results/deid_templates.json]

Sentences of letters, chats with a bank and encyclopaedias, not notes; names of 24 countries, most of them not of the United States. They
show what the rules do where nothing clinical stands around a name. Templates with an even number are open, those with an odd number
sealed, and each part has people of its own: rules may be looked at on the first only. ``found``: words of the values filled in that lie
in any tag that was made. Intervals: 95 % bootstrap over templates. The package (MIT; its people are of FakeNameGenerator.com, CC BY-SA
3.0) is not part of medllm.
"""

import argparse
import csv
import datetime
import importlib.metadata
import json
import os
import platform
import random
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from deid import SAMPLES, SEED, WORD, interval
from machine import cpu_model

from medllm.deid.analyzer import Analyzer

RAW = Path("presidio_evaluator") / "data_generator" / "raw_data"
FIELD = re.compile(r"\{\{(\w+)\}\}")
COPIES = 10
PARTS = ("open", "sealed")
Person = Mapping[str, str]
FILLED: Mapping[str, tuple[str, Callable[[Person], str]]] = {
    **dict.fromkeys(("person", "name", "name_male", "name_female"), ("names", lambda p: f"{p['GivenName']} {p['Surname']}")),
    **dict.fromkeys(("first_name", "first_name_male", "first_name_female"), ("names", lambda p: p["GivenName"])),
    **dict.fromkeys(("last_name", "last_name_male", "last_name_female"), ("names", lambda p: p["Surname"])),
    "phone_number": ("contact", lambda p: p["TelephoneNumber"]),
    "email": ("contact", lambda p: p["EmailAddress"]),
    "date_of_birth": ("dates", lambda p: p["Birthday"]),
    "city": ("places", lambda p: p["City"]),
    "prefix": ("", lambda p: p["Title"]),
    "prefix_male": ("", lambda p: "Mr."),
    "prefix_female": ("", lambda p: "Ms."),
}
"""What is filled in, and as what it counts; templates with other fields are left out."""


def templates(folder: Path, part: str) -> list[str]:
    lines = (folder / RAW / "templates.txt").read_text("utf-8", "replace").replace("\\n", "\n").splitlines()
    fitting = [line for line in lines if (fields := FIELD.findall(line)) and all(field in FILLED for field in fields)]
    return fitting[PARTS.index(part) :: 2]


def people(folder: Path, part: str) -> list[Person]:
    with (folder / RAW / "FakeNameGenerator.com_3000.csv").open(encoding="utf-8-sig") as file:
        return list(csv.DictReader(file))[PARTS.index(part) :: 2]


def fill(template: str, person: Person) -> tuple[str, list[tuple[int, int, str]]]:
    """The text, and where which kind of value stands in it."""
    text, places, last = "", [], 0
    for match in FIELD.finditer(template):
        text += template[last : match.start()]
        kind, of = FILLED[match[1]]
        value = of(person)
        if kind:
            places.append((len(text), len(text) + len(value), kind))
        text, last = text + value, match.end()
    return text + template[last:], places


def words(text: str, places: list[tuple[int, int, str]]) -> Iterator[tuple[tuple[int, int], str]]:
    for start, end, kind in places:
        for match in WORD.finditer(text, start, end):
            yield match.span(), kind


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--part", choices=PARTS, default="open")
    parser.add_argument("--errors", action="store_true", help="print what was missed (not for the sealed part)")
    parser.add_argument("-o", "--output", type=Path)
    given = parser.parse_args()
    analyzer, rng = Analyzer(), random.Random(SEED)
    known, counts = people(given.folder, given.part), []
    by_set: dict[str, Counter[bool]] = defaultdict(Counter)
    for template in templates(given.folder, given.part):
        counted: Counter[tuple[str, bool]] = Counter()
        for person in rng.sample(known, COPIES):
            text, places = fill(template, person)
            tags = [(found.start, found.end) for found in analyzer.find(text)]
            for (start, end), kind in words(text, places):
                hit = any(a <= start and end <= b for a, b in tags)
                counted[kind, hit] += 1
                if kind == "names":
                    by_set[person["NameSet"]][hit] += 1
                if given.errors and given.part == "open" and not hit:
                    print(kind, person["NameSet"], text[start:end], text[max(0, start - 40) : end + 30].replace("\n", " "), sep="\t")
        counts.append(counted)
    rows = {}
    for kind in ("names", "contact", "dates", "places"):

        def recall(some: Any, kind: str = kind) -> float | None:
            hit, missed = (sum(c[kind, was] for c in some) for was in (True, False))
            return hit / (hit + missed) if hit + missed else None

        rows[kind] = {
            "words": sum(n for c in counts for (k, _), n in c.items() if k == kind),
            "recall": round(recall(counts) or 0, 4),
            "recall_interval": interval(counts, recall),
        }
    result = {
        "benchmark": "deid_templates",
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "command": f"PYTHONPATH=. python evals/benchmarks/deid_templates.py FOLDER --part {given.part}",
        "data": f"presidio-evaluator 0.3.2: {len(counts)} templates ({given.part}), each with {COPIES} people; bootstrap of {SAMPLES}",
        "machine": f"{cpu_model()}, {os.cpu_count()} cores",
        "python": platform.python_version(),
        "versions": {name: importlib.metadata.version(name) for name in ("medllm", "presidio-analyzer", "spacy", "regex")},
        "found": rows,
        "names_by_country": {name: round(hits[True] / hits.total(), 3) for name, hits in sorted(by_set.items())},
    }
    print(json.dumps(result, indent=1))
    if given.output:
        given.output.write_text(json.dumps(result, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
