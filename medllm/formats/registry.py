"""Annotation formats by name. Others come from entry points of the group ``medllm.formats``, loaded when their name is asked for.

An entry point names an object (a module will do) with ``read(path, schema)``, a Reader, or ``Writer(path, schema)``, or both.
"""

import importlib.metadata
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from medllm.errors import FormatError
from medllm.formats import (
    bioc_json,
    bioc_xml,
    brat,
    ccks,
    cehrner,
    cmdd,
    cmeee,
    cmeie,
    conll,
    doccano,
    fhir,
    graphml,
    i2b2_2009,
    i2b2_2010,
    i2b2_2012,
    i2b2_2014,
    inline,
    jsonl,
    label_studio,
    medmentions,
    mimic,
    n2c2,
    neo4j,
    omop,
    pubtator,
    rdf,
    share_clef,
    spacy_docs,
    table,
    table_reading,
    web_annotation,
)
from medllm.formats.base import Parsed, Reader, WriterFactory
from medllm.schema import Schema

GROUP = "medllm.formats"


def _read_jsonl(path: Path, schema: Schema | None) -> Iterator[Parsed]:
    return map(Parsed, jsonl.read(path / "extractions.jsonl" if path.is_dir() else path, schema))


def _read_brat(path: Path, schema: Schema | None) -> Iterator[Parsed]:
    return brat.read_folder(path, schema) if path.is_dir() else iter((brat.read(path, schema),))


READERS: Mapping[str, Reader] = {
    "bioc-json": bioc_json.read,
    "bioc-xml": bioc_xml.read,
    "brat": _read_brat,
    "ccks": ccks.read,
    "cehrner": cehrner.read,
    "cmdd": cmdd.read,
    "cmeee": cmeee.read,
    "cmeie": cmeie.read,
    "conll": conll.read,
    "csv": table_reading.read_csv,
    "doccano": doccano.read,
    "fhir": fhir.read,
    "graphml": graphml.read,
    "i2b2-2009": i2b2_2009.read,
    "i2b2-2010": i2b2_2010.read,
    "i2b2-2012": i2b2_2012.read,
    "i2b2-2014": i2b2_2014.read,
    "inline": inline.read,
    "jsonl": _read_jsonl,
    "label-studio": label_studio.read,
    "medmentions": medmentions.read,
    "mimic": mimic.read,
    "n2c2-2018": n2c2.read,
    "n2c2-2022": n2c2.read,
    "neo4j": neo4j.read,
    "omop": omop.read,
    "parquet": table_reading.read_parquet,
    "pubtator": pubtator.read,
    "rdf": rdf.read,
    "share-clef": share_clef.read,
    "spacy": spacy_docs.read,
    "web-annotation": web_annotation.read,
}

WRITERS: Mapping[str, WriterFactory] = {
    "bioc-json": bioc_json.Writer,
    "bioc-xml": bioc_xml.Writer,
    "brat": brat.Writer,
    "ccks": ccks.Writer,
    "cehrner": cehrner.Writer,
    "cmdd": cmdd.Writer,
    "cmeee": cmeee.Writer,
    "cmeie": cmeie.Writer,
    "conll": conll.Writer,
    "csv": table.CsvWriter,
    "doccano": doccano.Writer,
    "fhir": fhir.Writer,
    "graphml": graphml.Writer,
    "i2b2-2009": i2b2_2009.Writer,
    "i2b2-2010": i2b2_2010.Writer,
    "i2b2-2012": i2b2_2012.Writer,
    "i2b2-2014": i2b2_2014.Writer,
    "inline": inline.Writer,
    "jsonl": jsonl.Writer,
    "label-studio": label_studio.Writer,
    "medmentions": medmentions.Writer,
    "mimic": mimic.Writer,
    "n2c2-2018": n2c2.Writer2018,
    "n2c2-2022": n2c2.Writer2022,
    "neo4j": neo4j.Writer,
    "omop": omop.Writer,
    "parquet": table.ParquetWriter,
    "pubtator": pubtator.Writer,
    "rdf": rdf.Writer,
    "share-clef": share_clef.Writer,
    "spacy": spacy_docs.Writer,
    "web-annotation": web_annotation.Writer,
}


def reader(name: str) -> Reader:
    """The reader of a format. Raises FormatError, with the names there are."""
    found: Reader | None = READERS.get(name) or _plugin(name, "read")
    if found is None:
        raise _unknown("read", name, READERS)
    return found


def writer(name: str) -> WriterFactory:
    """What opens a path for writing in a format. Raises FormatError, with the names there are."""
    found: WriterFactory | None = WRITERS.get(name) or _plugin(name, "Writer")
    if found is None:
        raise _unknown("written", name, WRITERS)
    return found


def _plugin(name: str, part: str) -> Any:
    for entry in importlib.metadata.entry_points(group=GROUP, name=name):
        try:
            loaded = entry.load()
        except Exception as error:
            raise FormatError(
                f"the format {name!r} cannot be loaded: {type(error).__name__}", hint=f"it comes from {entry.value}"
            ) from error
        return getattr(loaded, part, None)
    return None


def _unknown(what: str, name: str, known: Mapping[str, object]) -> FormatError:
    names = sorted({*known, *importlib.metadata.entry_points(group=GROUP).names})
    return FormatError(f"there is no format {name!r} that can be {what}", hint=f"formats: {', '.join(names)}")
