"""Makes ``medllm/lexicons/data/mesh-mentions.tsv``: how abstracts call diseases and chemicals that MeSH calls otherwise.

    MEDLLM_DATA=corpora python evals/mesh_mentions.py

From the mentions of BC5CDR and NCBI Disease (training parts) and BioRED (both), all in the public domain; abstracts that stand in a
development part that is scored are left out. A name goes to the code that most of its mentions have, where that is at least two thirds of
them. Names that MeSH or the lexicons that lend it names have already are left out, whatever they name there.
"""

import csv
import os
from collections import Counter, defaultdict
from pathlib import Path

from medllm.document import Extraction
from medllm.formats.registry import reader
from medllm.lexicons import Kind, Lexicon, load, normalise
from medllm.linking.abbreviations import defined_abbreviations
from medllm.linking.linker import expanded
from medllm.linking.vocabularies import VOCABULARIES, borrowed

OUT = Path(__file__).parents[1] / "medllm" / "lexicons" / "data" / "mesh-mentions.tsv"
LEARNT = (
    ("pubtator", "bc5cdr/train.PubTator.txt"),
    ("brat", "ncbi-disease/train"),
    ("pubtator", "biored/train.PubTator.txt"),
    ("pubtator", "biored/dev.PubTator.txt"),
)
SCORED = (("pubtator", "bc5cdr/dev.PubTator.txt"), ("brat", "ncbi-disease/dev"))
KINDS: dict[str, Kind] = {"Chemical": "drug", "ChemicalEntity": "drug", "DiseaseOrPhenotypicFeature": "disorder", "Disease": "disorder"}
KINDS |= dict.fromkeys(("SpecificDisease", "DiseaseClass", "Modifier"), "disorder")
SHARE = 2 / 3


def main() -> None:
    data = Path(os.environ["MEDLLM_DATA"])
    vocabulary = VOCABULARIES["mesh"]
    lexicon = load(*vocabulary.lexicons)
    lent = Lexicon(borrowed(lexicon, (load(name) for name in vocabulary.lenders if name != "mesh-mentions")))
    scored = {_bare(e) for name, path in SCORED for e in _read(data, name, path)}
    counted: dict[tuple[str, Kind], Counter[str]] = defaultdict(Counter)
    for name, path in LEARNT:
        for extraction in _read(data, name, path):
            if _bare(extraction) in scored:
                continue
            abbreviations = defined_abbreviations(extraction.note.text)
            for entity in extraction.entities:
                kind, called = KINDS.get(entity.label), normalise(expanded(entity.text, abbreviations))
                codes = [code if ":" in code else f"MESH:{code}" for code in entity.codes]
                if kind and called and len(codes) == 1 and codes[0] in lexicon and entity.text not in abbreviations:
                    counted[called, kind][codes[0]] += 1
    rows = []
    for (called, kind), codes_of in counted.items():
        code, most = codes_of.most_common(1)[0]
        known = [c for some in (lexicon, lent) for c in some.named(called) if kind in lexicon[c.code].kinds]
        if most >= SHARE * codes_of.total() and not known:
            rows.append(("MESH", code.partition(":")[2], called, kind))
    OUT.parent.mkdir(exist_ok=True)
    with OUT.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, delimiter="\t", lineterminator="\n")
        table.writerow(("system", "id", "name", "kind"))
        table.writerows(sorted(rows))


def _read(data: Path, name: str, path: str) -> list[Extraction]:
    return [parsed.extraction for parsed in reader(name)(data / path, None)]


def _bare(extraction: Extraction) -> str:
    """The text without white space, which corpora treat differently."""
    return "".join(extraction.note.text.split())


if __name__ == "__main__":
    main()
