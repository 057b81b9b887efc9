"""W3C Web Annotations, a ``.txt`` and a ``.jsonld`` for each note <-> Extraction (W3C Recommendation 23 February 2017).

https://www.w3.org/TR/annotation-model/ . The ``.jsonld`` is an AnnotationCollection whose first page has

* an Annotation for each mention: its target is the ``.txt`` with a TextPositionSelector (code points, as the model demands) and a
  TextQuoteSelector; the parts of a discontinuous mention are a Composite of such targets. Its bodies are TextualBodies: ``classifying``
  is the label, ``identifying`` a code, ``describing`` an attribute as ``NAME=VALUE``, NAME percent-encoded.
* an Annotation ``linking`` for each relation: its target is the head, its bodies the label (``classifying``) and the tail (``linking``).

Ids are ``urn:medllm:NOTE_ID:T1``, percent-encoded. Not held by the format: confidence, votes, the note's meta.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from medllm.document import Entity, Extraction, Note
from medllm.formats.base import Parsed
from medllm.formats.collecting import Collector, Given, attach
from medllm.formats.corpus_files import id_of, named_or_below, read_text, write_note
from medllm.formats.files import note_path
from medllm.formats.ids import named
from medllm.formats.placed_json import Placed, objects
from medllm.schema import Schema, attribute_value

CONTEXT = "http://www.w3.org/ns/anno.jsonld"
ENDINGS = (".jsonld",)

_AROUND = 32
"""Characters before and after a quote, so that it can be found where the text has changed."""


def read(path: Path, schema: Schema | None = None) -> Iterator[Parsed]:
    """The notes of a folder, or of one ``.jsonld``; its ``.txt`` stands beside it. Raises FormatError."""
    for name, file in named_or_below(path, ENDINGS):
        text = read_text(
            file.with_name(file.name[: -len(".jsonld")] + ".txt") if file.name.endswith(".jsonld") else file.with_suffix(".txt")
        )
        found = Collector(Note(id=id_of(name), text=text), schema, str(file))
        problems = []
        for item in objects(file):
            if isinstance(item, Placed):
                _collect(item, found)
            else:
                problems.append(item)
        yield from attach([found.parsed(), *problems])


def to_jsonld(extraction: Extraction, source: str) -> dict[str, Any]:
    """The collection of a note whose text is at the IRI ``source``."""
    text = extraction.note.text
    base = f"urn:medllm:{_quoted(extraction.note.id)}"
    mentions, relations = named(extraction)
    items: list[dict[str, Any]] = []
    for name, entity in mentions:
        targets = [{"source": source, "selector": _selectors(text, span.start, span.end)} for span in entity.spans]
        items.append(
            {
                "id": f"{base}:{_quoted(name)}",
                "type": "Annotation",
                "motivation": "classifying",
                "body": [
                    _body("classifying", entity.label),
                    *(_body("identifying", code) for code in entity.codes),
                    *(_body("describing", f"{_quoted(k)}={attribute_value(v)}") for k, v in entity.attributes.items() if v is not None),
                ],
                "target": targets[0] if len(targets) == 1 else {"type": "Composite", "items": targets},
            }
        )
    for name, relation, head, tail in relations:
        link = {"type": "SpecificResource", "purpose": "linking", "source": f"{base}:{_quoted(tail)}"}
        body = [_body("classifying", relation.label), link]
        own = {"id": f"{base}:{_quoted(name)}", "type": "Annotation", "motivation": "linking"}
        items.append(own | {"body": body, "target": f"{base}:{_quoted(head)}"})
    page = {"type": "AnnotationPage", "startIndex": 0, "items": items}
    return {"@context": CONTEXT, "id": base, "type": "AnnotationCollection", "total": len(items), "first": page}


class Writer:
    """Writes ``NOTE_ID.txt`` and ``NOTE_ID.jsonld`` below a folder, readable by the owner only."""

    def __init__(self, path: Path, schema: Schema | None = None) -> None:
        self._folder = path

    def write(self, extraction: Extraction) -> None:
        """Write the files of a note. Raises FormatError."""
        name = note_path(self._folder, extraction.note.id, ".txt").name
        content = json.dumps(to_jsonld(extraction, _quoted(name)), indent=1) + "\n"
        write_note(self._folder, extraction.note.id, {".txt": extraction.note.text, ".jsonld": content})

    def close(self) -> None:
        """Nothing is left open."""


def _selectors(text: str, start: int, end: int) -> list[dict[str, Any]]:
    around = {"prefix": text[max(0, start - _AROUND) : start], "suffix": text[end : end + _AROUND]}
    return [
        {"type": "TextPositionSelector", "start": start, "end": end},
        {"type": "TextQuoteSelector", "exact": text[start:end], **around},
    ]


def _body(purpose: str, value: str) -> dict[str, str]:
    return {"type": "TextualBody", "purpose": purpose, "value": value}


def _quoted(name: str) -> str:
    return quote(name, safe="", errors="surrogatepass")


# --- reading ---------------------------------------------------------------------------------------------------------


def _collect(item: Placed, found: Collector) -> None:
    first = item.get("first")
    page = first if isinstance(first, Placed) else item
    items = [one for one in _list(page.get("items")) if isinstance(one, Placed)] or ([item] if item.get("target") else [])
    by_id: dict[str, Entity | None] = {}
    links = []
    for one in items:
        bodies = [body for body in _list(one.get("body")) if isinstance(body, Placed)]
        targets = [target for target in _list(one.get("target")) if isinstance(target, Placed)]
        if not targets:
            links.append((one, bodies))
            continue
        parts = [part for target in targets for part in _list(target.get("items") or target)]
        places = [place for part in parts if isinstance(part, Placed) for place in [_position(part)] if place]
        name = _name(one.get("id"))
        made = found.entity(
            one.line,
            _first(bodies, "classifying") or _first(bodies, "tagging"),
            places if len(places) == len(parts) else [],
            name=name,
            written=" ".join(filter(None, (_exact(part) for part in parts if isinstance(part, Placed)))) or None,
            attributes=[
                Given(unquote(k, errors="surrogatepass"), v)
                for k, _, v in (value.partition("=") for value in _values(bodies, "describing"))
            ],
            codes=_values(bodies, "identifying"),
        )
        if by_id.setdefault(str(one.get("id")), made) is not made:
            found.report(one.line, "duplicate-id", "an earlier annotation has the same id, and the relations to it", dropped=False)
    for one, bodies in links:
        tail = next((body.get("source") for body in bodies if body.get("purpose") == "linking"), None)
        ends = by_id.get(str(one.get("target"))), by_id.get(str(tail))
        found.relation(one.line, _first(bodies, "classifying"), *ends, name=_name(one.get("id")))


def _position(target: Placed) -> tuple[int, int] | None:
    for selector in _list(target.get("selector")):
        if isinstance(selector, Placed) and selector.get("type") == "TextPositionSelector":
            start, end = selector.get("start"), selector.get("end")
            if type(start) is int and type(end) is int:
                return start, end
    return None


def _exact(target: Placed) -> str:
    found = (s.get("exact") for s in _list(target.get("selector")) if isinstance(s, Placed))
    return next((one for one in found if isinstance(one, str)), "")


def _values(bodies: list[Placed], purpose: str) -> list[str]:
    return [str(body.get("value")) for body in bodies if body.get("purpose") == purpose and isinstance(body.get("value"), str)]


def _first(bodies: list[Placed], purpose: str) -> str:
    return next(iter(_values(bodies, purpose)), "")


def _name(iri: Any) -> str:
    return unquote(str(iri or "").rpartition(":")[2], errors="surrogatepass")


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]
