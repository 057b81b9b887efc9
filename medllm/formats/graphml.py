"""GraphML, one ``.graphml`` for each note <-> Extraction (Brandes et al. 2002, GD); needs networkx.

A directed multigraph. Its nodes have a ``kind``: the ``note`` (with ``text``, ``note_id`` and ``meta_NAME``), its ``mention`` s (``label``,
``start``, ``end``, ``spans`` as ``3 8;12 15``, ``text``, ``confidence``, ``attribute_NAME``) and their ``code`` s. So have its edges:
``has_mention`` from the note, ``has_code`` from a mention to a code, and ``relation`` (``label``, ``confidence``) from head to tail, whose
id is the relation's. Not held by the format: votes, the ledger, empty attributes, what XML cannot have (U+FFFD).
"""

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

from medllm.document import Entity, Extraction, Note, Relation
from medllm.errors import FormatError
from medllm.formats.base import Parsed, Problem
from medllm.formats.collecting import Collector, Given, attach
from medllm.formats.corpus_files import id_of, named_or_below, read_text, write_note
from medllm.formats.encodable import xml
from medllm.formats.ids import named
from medllm.formats.table_reading import number_in, spans_in
from medllm.schema import Schema, attribute_value

ENDINGS = (".graphml",)
NOTE, MENTION, CODE = "note", "mention", "code"
HAS_MENTION, HAS_CODE, RELATION = "has_mention", "has_code", "relation"
_ATTRIBUTE, _META = "attribute_", "meta_"


def read(path: Path, schema: Schema | None = None) -> Iterator[Parsed]:
    """The notes of a folder of ``.graphml`` files, or of one. Raises FormatError."""
    networkx = _networkx()
    for name, file in named_or_below(path, ENDINGS):
        text = read_text(file)
        try:
            graph = networkx.parse_graphml(text, force_multigraph=True)
        except Exception as error:  # of the XML parser, and of networkx for what is no GraphML
            raise FormatError(f"not GraphML that can be read ({type(error).__name__})", path=str(file)) from None
        yield from attach([to_extraction(graph, id_of(name), schema, path=str(file))])


def to_extraction(graph: Any, note_id: str, schema: Schema | None = None, *, path: str = "") -> Parsed | Problem:
    """What a graph of one note says; a problem where it has none."""
    notes = [data for _, data in graph.nodes(data=True) if data.get("kind") == NOTE]
    if len(notes) != 1:
        return Problem(path, None, "malformed-line", f"{len(notes)} nodes of the kind note", dropped=True)
    own = notes[0]
    meta = {key.removeprefix(_META): str(value) for key, value in own.items() if key.startswith(_META)}
    found = Collector(Note(id=str(own.get("note_id") or note_id), text=str(own.get("text", "")), meta=meta), schema, path)
    by_node: dict[Any, Entity | None] = {}
    for node, data in graph.nodes(data=True):
        if data.get("kind") == MENTION:
            linked = (there for _, there, edge in graph.out_edges(node, data=True) if edge.get("kind") == HAS_CODE)
            by_node[node] = found.entity(
                None,
                str(data.get("label") or ""),
                spans_in(data.get("spans")) or [(data.get("start", 0), data.get("end", 0))],
                name=str(data.get("mention_id", "")),
                written=data.get("text"),
                attributes=[Given(k.removeprefix(_ATTRIBUTE), str(v)) for k, v in data.items() if k.startswith(_ATTRIBUTE)],
                codes=[str(graph.nodes[there].get(CODE) or there) for there in linked],
                confidence=number_in(data.get("confidence")),
            )
    links = [edge for edge in graph.edges(keys=True, data=True) if edge[3].get("kind") == RELATION]
    for head, tail, key, data in sorted(links, key=lambda edge: edge[3].get("order", 0)):
        label, confidence = str(data.get("label") or ""), number_in(data.get("confidence"))
        found.relation(None, label, by_node.get(head), by_node.get(tail), name=str(key), confidence=confidence)
    return found.parsed()


def graph_of(extraction: Extraction) -> Any:
    """The networkx ``MultiDiGraph`` of a note. Raises FormatError without networkx."""
    graph = _networkx().MultiDiGraph()
    note = extraction.note
    meta = {f"{_META}{xml(key)}": xml(value) for key, value in note.meta.items()}
    graph.add_node(NOTE, kind=NOTE, note_id=xml(note.id), text=xml(note.text), **meta)
    mentions, relations = named(extraction)
    for name, entity in mentions:
        own = {f"{_ATTRIBUTE}{xml(k)}": xml(attribute_value(v)) for k, v in entity.attributes.items() if v is not None}
        spans = ";".join(f"{span.start} {span.end}" for span in entity.spans)
        node = f"{MENTION}/{xml(name)}"
        outer = {"start": entity.span.start, "end": entity.span.end, "spans": spans, "text": xml(entity.text)}
        graph.add_node(node, kind=MENTION, mention_id=xml(name), label=xml(entity.label), **outer, **own, **_belief(entity))
        graph.add_edge(NOTE, node, kind=HAS_MENTION)
        for code in map(xml, entity.codes):
            graph.add_node(f"{CODE}/{code}", kind=CODE, code=code)
            graph.add_edge(node, f"{CODE}/{code}", kind=HAS_CODE)
    for order, (name, relation, head, tail) in enumerate(relations):
        ends = f"{MENTION}/{xml(head)}", f"{MENTION}/{xml(tail)}"
        graph.add_edge(*ends, key=xml(name), kind=RELATION, label=xml(relation.label), order=order, **_belief(relation))
    return graph


class Writer:
    """Writes ``NOTE_ID.graphml`` below a folder, readable by the owner only."""

    def __init__(self, path: Path, schema: Schema | None = None) -> None:
        _networkx()
        self._folder = path

    def write(self, extraction: Extraction) -> None:
        """Write the file of a note. Raises FormatError."""
        content = BytesIO()
        _networkx().write_graphml_xml(graph_of(extraction), content, prettyprint=False)
        # A parser would read a carriage return in a text as a line feed, unless it stands as a reference.
        write_note(self._folder, extraction.note.id, {".graphml": content.getvalue().decode().replace("\r", "&#13;")})

    def close(self) -> None:
        """Nothing is left open."""


def _belief(one: Entity | Relation[Any, Any]) -> dict[str, float]:
    return {} if one.confidence is None else {"confidence": float(one.confidence)}


def _networkx() -> Any:
    try:
        import networkx
    except ImportError:
        raise FormatError("GraphML needs networkx, which is not installed", hint="pip install medllm[graph]") from None
    return networkx
