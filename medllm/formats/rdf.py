"""RDF in Turtle, one ``.ttl`` for each note <-> Extraction; needs rdflib.

The vocabularies are NIF 2.0 (Hellmann et al. 2013, ISWC; offsets are code points) and ITS-RDF, and for what they do not have,
``urn:medllm:``::

    <urn:medllm:note:ward%2F1> a nif:Context ; dcterms:identifier "ward/1" ; nif:isString "No fever." .
    <urn:medllm:note:ward%2F1#T1> a nif:Phrase, <urn:medllm:label:problem> ; dcterms:identifier "T1" ; nif:anchorOf "fever" ;
        nif:referenceContext <urn:medllm:note:ward%2F1> ; nif:beginIndex 3 ; nif:endIndex 8 ;
        <urn:medllm:attribute:assertion> "absent" ; itsrdf:taIdentRef <urn:medllm:code:MESH:D005334> ; itsrdf:taConfidence 0.9 .
    <urn:medllm:note:ward%2F1#R1> a rdf:Statement ; dcterms:identifier "R1" ; rdf:subject <…#T2> ; rdf:object <…#T1> ;
        rdf:predicate <urn:medllm:relation:TrAP> .
    <…#T2> <urn:medllm:relation:TrAP> <…#T1> .

The parts of a discontinuous mention are nodes with a beginIndex and an endIndex of their own (``urn:medllm:part``); an entry of the
note's meta is ``<urn:medllm:meta:NAME> "VALUE"``. Read are ``.ttl`` and ``.nt`` files, of one note or of many. Not held by the format: the
order of relations, of codes and of mentions at one place, votes, the ledger, lone surrogates (U+FFFD).
"""

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from medllm.document import Entity, Extraction, Note
from medllm.errors import FormatError
from medllm.formats.base import Parsed, Problem
from medllm.formats.collecting import Collector, Given, attach
from medllm.formats.corpus_files import id_of, named_or_below, read_text, write_note
from medllm.formats.encodable import utf8
from medllm.formats.ids import named
from medllm.formats.quiet import quiet
from medllm.schema import Schema, attribute_value

ENDINGS = (".ttl", ".nt")
NIF = "http://persistence.uni-leipzig.org/nlp2rdf/ontologies/nif-core#"
ITS = "http://www.w3.org/2005/11/its/rdf#"
OWN = "urn:medllm:"


def read(path: Path, schema: Schema | None = None) -> Iterator[Parsed]:
    """The notes of a file, or of the ``.ttl`` and ``.nt`` files of a folder. Raises FormatError."""
    rdflib = _rdflib()
    for name, file in named_or_below(path, ENDINGS):
        graph = rdflib.Graph()
        try:
            with quiet("rdflib"):
                graph.parse(data=read_text(file), format="nt" if file.suffix.lower() == ".nt" else "turtle")
        except FormatError:
            raise
        except Exception as error:  # rdflib's parsers raise errors of many kinds, whose messages quote the file
            line = getattr(error, "lines", None)
            where = line + 1 if isinstance(line, int) else None
            raise FormatError(f"not RDF that can be read ({type(error).__name__})", path=str(file), line=where) from None
        yield from attach(_notes(graph, id_of(name), schema, str(file)))


def graph_of(extraction: Extraction) -> Any:
    """The rdflib ``Graph`` of a note. Raises FormatError without rdflib."""
    rdflib = _rdflib()
    rdf, dcterms = rdflib.RDF, rdflib.DCTERMS
    nif, its = rdflib.Namespace(NIF), rdflib.Namespace(ITS)
    graph = rdflib.Graph(bind_namespaces="none")
    for prefix, namespace in (("nif", nif), ("itsrdf", its), ("dcterms", dcterms), ("rdf", rdf), ("xsd", rdflib.XSD)):
        graph.bind(prefix, namespace)

    def iri(kind: str, name: str) -> Any:
        return rdflib.URIRef(f"{OWN}{kind}:{_quoted(name)}")

    def literal(text: str) -> Any:
        return rdflib.Literal(utf8(text))

    def offset(number: int) -> Any:
        return rdflib.Literal(number, datatype=rdflib.XSD.nonNegativeInteger)

    def confidence(node: Any, value: float | None) -> None:
        if value is not None:
            # As a decimal: rdflib writes a double with seven digits.
            graph.add((node, its.taConfidence, rdflib.Literal(f"{Decimal(repr(value)):f}", datatype=rdflib.XSD.decimal)))

    note = iri("note", extraction.note.id)
    graph.add((note, rdf.type, nif.Context))
    graph.add((note, dcterms.identifier, literal(extraction.note.id)))
    graph.add((note, nif.isString, literal(extraction.note.text)))
    for key, value in extraction.note.meta.items():
        graph.add((note, iri("meta", key), literal(value)))
    mentions, relations = named(extraction)
    for name, entity in mentions:
        node = rdflib.URIRef(f"{note}#{_quoted(name)}")
        graph.add((node, rdf.type, nif.Phrase))
        graph.add((node, rdf.type, iri("label", entity.label)))
        graph.add((node, dcterms.identifier, literal(name)))
        graph.add((node, nif.referenceContext, note))
        graph.add((node, nif.anchorOf, literal(entity.text)))
        places = [(node, entity.span)]
        if len(entity.spans) > 1:
            places += [(rdflib.URIRef(f"{node}.{n}"), span) for n, span in enumerate(entity.spans)]
        for place, span in places:
            graph.add((place, nif.beginIndex, offset(span.start)))
            graph.add((place, nif.endIndex, offset(span.end)))
        for place, _ in places[1:]:
            graph.add((node, rdflib.URIRef(f"{OWN}part"), place))
        for attribute, value in entity.attributes.items():
            if value is not None:
                graph.add((node, iri("attribute", attribute), literal(attribute_value(value))))
        for code in entity.codes:
            graph.add((node, its.taIdentRef, iri("code", code)))
        confidence(node, entity.confidence)
    for name, relation, head, tail in relations:
        node, ends = rdflib.URIRef(f"{note}#{_quoted(name)}"), [rdflib.URIRef(f"{note}#{_quoted(end)}") for end in (head, tail)]
        kind = iri("relation", relation.label)
        graph.add((ends[0], kind, ends[1]))
        for predicate, value in ((rdf.type, rdf.Statement), (rdf.subject, ends[0]), (rdf.predicate, kind), (rdf.object, ends[1])):
            graph.add((node, predicate, value))
        graph.add((node, dcterms.identifier, literal(name)))
        confidence(node, relation.confidence)
    return graph


class Writer:
    """Writes ``NOTE_ID.ttl`` below a folder, readable by the owner only."""

    def __init__(self, path: Path, schema: Schema | None = None) -> None:
        _rdflib()
        self._folder = path

    def write(self, extraction: Extraction) -> None:
        """Write the file of a note. Raises FormatError."""
        with quiet("rdflib"):
            written = graph_of(extraction).serialize(format="turtle")
        write_note(self._folder, extraction.note.id, {".ttl": written})

    def close(self) -> None:
        """Nothing is left open."""


# --- reading ---------------------------------------------------------------------------------------------------------


def _notes(graph: Any, name: str, schema: Schema | None, path: str) -> Iterator[Parsed | Problem]:
    rdflib = _rdflib()
    rdf, nif = rdflib.RDF, rdflib.Namespace(NIF)
    contexts = sorted(set(graph.subjects(rdf.type, nif.Context)))
    for count, context in enumerate(contexts, 1):
        text = graph.value(context, nif.isString)
        if text is None:
            yield Problem(path, None, "malformed-line", "a nif:Context without nif:isString", dropped=True)
            continue
        told = graph.value(context, rdflib.DCTERMS.identifier)
        note_id = str(told or "") or (name if len(contexts) == 1 else f"{name}/{count}")
        note = Note(id=note_id, text=str(text), meta=dict(_own(graph, context, "meta")))
        yield _parsed(graph, context, Collector(note, schema, path))
    if not contexts:
        yield Problem(path, None, "malformed-line", "no nif:Context", dropped=True)


def _parsed(graph: Any, context: Any, found: Collector) -> Parsed:
    rdflib = _rdflib()
    rdf, nif, its, part = rdflib.RDF, rdflib.Namespace(NIF), rdflib.Namespace(ITS), rdflib.URIRef(f"{OWN}part")
    by_node: dict[Any, Entity | None] = {}
    for node in sorted(graph.subjects(nif.referenceContext, context), key=lambda n: (_offset(graph, n) or (-1, -1), str(n))):
        places = [_offset(graph, place) for place in graph.objects(node, part)] or [_offset(graph, node)]
        spans = sorted(place for place in places if place)
        written = graph.value(node, nif.anchorOf)
        by_node[node] = found.entity(
            None,
            next((label for label in sorted(_names(graph.objects(node, rdf.type), "label"))), ""),
            spans if len(spans) == len(places) else [],
            name=_name(graph, node),
            written=None if written is None else str(written),
            attributes=[Given(key, value) for key, value in _own(graph, node, "attribute")],
            codes=sorted(_names(graph.objects(node, its.taIdentRef), "code")),
            confidence=_confidence(graph.value(node, its.taConfidence)),
        )
    statements = [n for n in graph.subjects(rdf.type, rdf.Statement) if graph.value(n, rdf.subject) in by_node]
    for node in sorted(statements):
        label = next(_names([graph.value(node, rdf.predicate)], "relation"), "")
        ends = by_node.get(graph.value(node, rdf.subject)), by_node.get(graph.value(node, rdf.object))
        found.relation(None, label, *ends, name=_name(graph, node), confidence=_confidence(graph.value(node, its.taConfidence)))
    return found.parsed()


def _offset(graph: Any, node: Any) -> tuple[int, int] | None:
    nif = _rdflib().Namespace(NIF)
    begin, end = (getattr(graph.value(node, which), "value", None) for which in (nif.beginIndex, nif.endIndex))
    return (begin, end) if isinstance(begin, int) and isinstance(end, int) else None


def _own(graph: Any, node: Any, kind: str) -> list[tuple[str, str]]:
    start = f"{OWN}{kind}:"
    found = ((str(p), str(o)) for p, o in graph.predicate_objects(node))
    return sorted((unquote(p.removeprefix(start)), o) for p, o in found if p.startswith(start))


def _names(nodes: Any, kind: str) -> Iterator[str]:
    start = f"{OWN}{kind}:"
    return (unquote(str(node).removeprefix(start)) for node in nodes if str(node).startswith(start))


def _name(graph: Any, node: Any) -> str:
    told = graph.value(node, _rdflib().DCTERMS.identifier)
    return "" if told is None else str(told)


def _confidence(literal: Any) -> float | None:
    value = getattr(literal, "value", None)
    return float(value) if isinstance(value, int | float | Decimal) and 0 <= value <= 1 else None


def _quoted(name: str) -> str:
    return quote(utf8(name), safe=":")


def _rdflib() -> Any:
    try:
        import rdflib
    except ImportError:
        raise FormatError("RDF needs rdflib, which is not installed", hint="pip install medllm[graph]") from None
    return rdflib
