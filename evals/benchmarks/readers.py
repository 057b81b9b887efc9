"""Are released corpora read without an offset error, and written back as they were?

    MEDLLM_DATA=corpora python evals/benchmarks/readers.py -o evals/results/readers.json

Every annotation file of each corpus goes through its reader. An offset error is a mention whose text is not what stands at its
offsets in the note. Where a file's own copy of a mention's text differs from the note, the fault is the file's: it is told by the
reader as ``text-mismatch``, and counted and listed apart. Written back is tried twice:

* ``file_model``: through the model of the file itself (for brat, PubTator and BioC XML), which keeps every line;
* ``extraction``: through ``Extraction`` and the format's writer. What an extraction does not hold is missing from these
  files (comments, events as such, the order of lines, a seventh column); ``same_when_read_again`` says whether the
  notes, mentions, attributes, codes and relations are all the same when the written files are read.
"""

import argparse
import collections
import datetime
import filecmp
import importlib.metadata
import json
import os
import platform
import tempfile
from collections.abc import Iterable
from pathlib import Path

from machine import cpu_model

from medllm.document import Entity, Extraction
from medllm.formats import bioc_xml, registry
from medllm.formats.base import Parsed
from medllm.formats.bioc_model import Document, Header
from medllm.formats.pubtator_lines import documents
from medllm.formats.standoff import Standoff

CORPORA = {
    "kiwi-mtsamples/train": ("brat", "kiwi-mtsamples/train"),
    "maccrobat/train": ("brat", "maccrobat/train"),
    "chia/train": ("brat", "chia/train"),
    "phee/train": ("brat", "phee/train"),
    "phee/dev": ("brat", "phee/dev"),
    "ncbi-disease/train": ("brat", "ncbi-disease/train"),
    "ncbi-disease/dev": ("brat", "ncbi-disease/dev"),
    "gpt-mtsamples/train": ("conll", "gpt-mtsamples/train"),
    "gpt-mtsamples/valid": ("conll", "gpt-mtsamples/valid"),
    "bc5cdr/train": ("pubtator", "bc5cdr/train.PubTator.txt"),
    "bc5cdr/dev": ("pubtator", "bc5cdr/dev.PubTator.txt"),
    "bc5cdr/train, XML": ("bioc-xml", "bc5cdr/train.BioC.xml"),
    "bc5cdr/dev, XML": ("bioc-xml", "bc5cdr/dev.BioC.xml"),
    "biored/train": ("pubtator", "biored/train.PubTator.txt"),
    "biored/dev": ("pubtator", "biored/dev.PubTator.txt"),
    "cehrner/train, JSON": ("cehrner", "cehrner/train.json"),
    "cehrner/dev, JSON": ("cehrner", "cehrner/dev.json"),
    "cehrner/train, tags": ("cehrner", "cehrner/train.txt"),
    "cehrner/dev, tags": ("cehrner", "cehrner/dev.txt"),
}
ENDINGS = {"brat": ".ann", "conll": ".bio"}
WRITTEN = {"brat": ".ann", "conll": ".conll"}
LISTED = 20
NOT_KEPT = {
    "brat": "Through the file model every .ann is byte-equal. An extraction does not hold the order of lines, events as such (their "
    "arguments are relations), comments, the names of normalisation entries and the case of their system (MeSH is written MESH).",
    "conll": "Byte-equal, but for three files whose mention begins with I-: told as a malformed line, and written as B-.",
    "pubtator": "Through the file model byte-equal. An extraction does not hold the seventh column of composite mentions (BC5CDR), the "
    "novelty of relations, and how ids are divided (BioRED).",
    "bioc-xml": "Through the file model equal but for blank lines between some documents, which the model does not hold. An extraction "
    "does not hold ids and infons as such. Relations of BC5CDR join concepts, and the first mention of each stands for it: in one note of "
    "the training part that is another mention after writing and reading again.",
    "cehrner": "Byte-equal, JSON and tags.",
}
"""Where a file is not written back as it was, and why."""


def measure(name: str, path: Path, root: Path) -> dict[str, object]:
    """Everything that is told of one part of a corpus."""
    parsed = list(registry.reader(name)(path, None))
    notes = [one.extraction for one in parsed]
    mentions = [(x.note.text, e) for x in notes for e in x.entities]
    problems = [p for one in parsed for p in one.problems]
    kinds = collections.Counter(p.kind for p in problems)
    files = sorted(path.rglob(f"*{ENDINGS[name]}")) if path.is_dir() else [path]
    with tempfile.TemporaryDirectory() as folder:
        written = write(name, notes, Path(folder), path)
        target = Path(folder) if path.is_dir() else written[path]
        again = list(registry.reader(name)(target, None))
        same = sum(filecmp.cmp(old, new, shallow=False) for old, new in written.items())
        missing = len(files) - len(written)
    record: dict[str, object] = {
        "format": name,
        "files": len(files),
        "notes": len(notes),
        "mentions": len(mentions),
        "relations": sum(len(x.relations) for x in notes),
        "offset_errors": sum(e.text != " ".join(s.of(text) for s in e.spans) for text, e in mentions),
        "problems": dict(sorted(kinds.items())),
        "lines_left_out": sum(p.dropped for p in problems),
        "text_mismatches": [str(p).replace(f"{root}/", "") for p in problems if p.kind == "text-mismatch"][:LISTED],
        "written_back": {
            "file_model": model_bytes(name, files),
            "extraction": {"files": len(written), "byte_equal": same, "not_written": missing},
            "same_when_read_again": sum(map(same_content, parsed, again)) if len(parsed) == len(again) else 0,
        },
    }
    return record


def model_bytes(name: str, files: list[Path]) -> dict[str, int] | None:
    """How many files the model of the format gives back byte for byte; None where the format has no such model."""
    equal = without_blank_lines = 0
    for file in files:
        data = file.read_bytes().decode("utf-8", "surrogatepass")
        if name == "brat":
            back = Standoff.loads(data).dumps()
        elif name == "pubtator":
            back = "".join(document.dumps() for document in documents(data.splitlines(keepends=True)))
        elif name == "bioc-xml":
            items = list(bioc_xml.read_documents(file))
            heads = [bioc_xml.dumps_header(i) for i in items if isinstance(i, Header)]
            back = "".join(heads + [bioc_xml.dumps_document(i) for i in items if isinstance(i, Document)]) + bioc_xml.END
        else:
            return None
        equal += back == data
        without_blank_lines += [line for line in back.split("\n") if line] == [line for line in data.split("\n") if line]
    return {"files": len(files), "byte_equal": equal, "equal_but_for_blank_lines": without_blank_lines}


def write(name: str, notes: Iterable[Extraction], folder: Path, path: Path) -> dict[Path, Path]:
    """Write the notes in their format; which file came of which."""
    writer = registry.writer(name)(folder if path.is_dir() else folder / path.name, None)
    for one in notes:
        writer.write(one)
    writer.close()
    if not path.is_dir():
        return {path: folder / path.name}
    pairs = {file: folder / file.relative_to(path).with_suffix(WRITTEN[name]) for file in path.rglob(f"*{ENDINGS[name]}")}
    return {old: new for old, new in pairs.items() if new.is_file()}


def same_content(first: Parsed, again: Parsed) -> bool:
    """Whether two readings of a note tell the same, whatever the ids."""
    return content(first.extraction) == content(again.extraction)


def content(extraction: Extraction) -> tuple[object, ...]:
    def key(mention: Entity) -> tuple[object, ...]:
        return mention.label, tuple((s.start, s.end) for s in mention.spans), mention.codes, sorted(mention.attributes.items())

    relations = sorted(repr((r.label, key(r.head), key(r.tail))) for r in extraction.relations)
    return extraction.note.text, sorted(repr(key(e)) for e in extraction.entities), relations


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path, default=Path("evals/results/readers.json"))
    options = parser.parse_args()
    root = Path(os.environ["MEDLLM_DATA"])
    record = {
        "benchmark": "readers and writers on released corpora",
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "command": "MEDLLM_DATA=corpora python evals/benchmarks/readers.py -o evals/results/readers.json",
        "machine": {"cpu": cpu_model()},
        "versions": {"python": platform.python_version(), "medllm": importlib.metadata.version("medllm")},
        "not_kept": NOT_KEPT,
        "corpora": {},
    }
    for corpus, (name, place) in CORPORA.items():
        if not (root / place).exists():
            print(f"{corpus}: not there, left out")
            continue
        found = measure(name, root / place, root)
        record["corpora"][corpus] = found  # type: ignore[index]
        print(corpus, json.dumps({k: v for k, v in found.items() if k != "text_mismatches"}), flush=True)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
