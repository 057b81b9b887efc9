"""Label Studio tasks with pre-annotations <-> Extraction (https://labelstud.io/guide/task_format, /guide/predictions).

::

    [{"data": {"text": "No fever.", "note_id": "ward/1", "meta": {}}, "predictions": [{"model_version": "medllm", "result": [
      {"id": "T1", "from_name": "label", "to_name": "text", "type": "labels", "score": 0.9,
       "value": {"start": 3, "end": 8, "text": "fever", "labels": ["problem"]}},
      {"id": "T1", "from_name": "assertion", "to_name": "text", "type": "choices", "value": {"start": 3, "end": 8, "choices": ["absent"]}},
      {"type": "relation", "from_id": "T1", "to_id": "T2", "direction": "right", "labels": ["TrAP"]}]}]}]

Beside the tasks stands ``labels.xml``, the labelling configuration that the project needs to show them: paste it into the project's
settings, then import the tasks.

Read are the tasks as exported (JSON): of a task the last annotation that was not cancelled, or without one its first prediction. Offsets
are code points, and the copied text decides where they are UTF-16 code units, as versions before 2022 have them: that is told. A region
of several labels is a mention for each; ``choices`` of a region are attributes, its ``textarea`` named ``codes`` its codes. Not held, and
told: further annotations of a task, and other controls. Not held by the format: parts of a discontinuous mention (written from start to
end), votes, ids of relations.
"""

import json
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Any

from medllm.document import Entity, Extraction, Note
from medllm.formats.base import Parsed, Problem
from medllm.formats.collecting import Collector, Given, attach
from medllm.formats.corpus_files import OneFile, clean, id_of, named_or_below
from medllm.formats.encodable import CodeUnits, xml
from medllm.formats.ids import named
from medllm.formats.placed_json import Placed, objects
from medllm.schema import Schema, attribute_value, attributes

ENDINGS = (".json",)
LABEL, TEXT, CODES = "label", "text", "codes"

_COLOURS = ("#d9480f", "#1971c2", "#2f9e44", "#9c36b5", "#e67700", "#0c8599", "#c2255c", "#5c940d")


def read(path: Path, schema: Schema | None = None) -> Iterator[Parsed]:
    """The tasks of a file, or of the ``.json`` files of a folder. Raises FormatError."""
    for name, file in named_or_below(path, ENDINGS):
        yield from attach(_read(file, id_of(name), schema))


def task(extraction: Extraction) -> dict[str, Any]:
    """The task of a note, its mentions and relations as one prediction."""
    mentions, relations = named(extraction)
    result: list[dict[str, Any]] = []
    for name, entity in mentions:
        place = {"start": entity.span.start, "end": entity.span.end}
        region: dict[str, Any] = {"id": name, "from_name": LABEL, "to_name": TEXT, "type": "labels"}
        region["value"] = {**place, "text": entity.span.of(extraction.note.text), "labels": [entity.label]}
        result.append(region if entity.confidence is None else region | {"score": entity.confidence})
        for attribute, value in _values(entity):
            own = {"id": name, "from_name": _control(attribute), "to_name": TEXT, "type": "choices"}
            result.append(own | {"value": place | {"choices": [value]}})
        if entity.codes:
            own = {"id": name, "from_name": CODES, "to_name": TEXT, "type": "textarea"}
            result.append(own | {"value": place | {"text": list(entity.codes)}})
    for _, relation, head, tail in relations:
        link = {"type": "relation", "from_id": head, "to_id": tail, "direction": "right", "labels": [relation.label]}
        result.append(link if relation.confidence is None else link | {"score": relation.confidence})
    note = extraction.note
    return {
        "data": {"text": note.text, "note_id": note.id, "meta": note.meta},
        "predictions": [{"model_version": "medllm", "result": result}],
    }


class Writer:
    """Writes a list of tasks and the labelling configuration. A path without the ending ``.json`` is a folder, which gets
    ``tasks.json`` and ``labels.xml``; the configuration of ``x.json`` is ``x.xml``."""

    def __init__(self, path: Path, schema: Schema | None = None) -> None:
        self._file = OneFile(path, ENDINGS, "tasks.json")
        own = self._file.path
        self._config = OneFile(own.with_suffix(".xml") if own == path else path / "labels.xml", (".xml",), "labels.xml")
        self._before = "[\n"
        entities, relations = (schema.entities, schema.relations) if schema else ((), ())
        self._labels = dict.fromkeys(c.label for c in entities)
        self._relations = dict.fromkeys(r.label for r in relations)
        self._choices: dict[str, dict[str, None]] = {}
        for attribute in (a for c in entities for a in attributes(c)):
            self._choices.setdefault(attribute.name, {}).update(dict.fromkeys(attribute.values))

    def write(self, extraction: Extraction) -> None:
        """Add a task. Raises FormatError."""
        for entity in extraction.entities:
            self._labels[entity.label] = None
            for name, value in _values(entity):
                self._choices.setdefault(name, {})[value] = None
        self._relations |= dict.fromkeys(r.label for r in extraction.relations)
        self._file.add(self._before + json.dumps(task(extraction)))
        self._before = ",\n"

    def close(self) -> None:
        """Finish and close the files. Raises FormatError."""
        self._file.close("[]\n" if self._before == "[\n" else "\n]\n")
        self._config.close(self._configuration())

    def _configuration(self) -> str:
        labels = [f'<Label value="{_quoted(v)}" background="{_COLOURS[n % len(_COLOURS)]}"/>' for n, v in enumerate(self._labels)]
        rows = [f'<Labels name="{LABEL}" toName="{TEXT}">', *("  " + label for label in labels), "</Labels>"]
        rows += ["<Relations>", *(f'  <Relation value="{_quoted(value)}"/>' for value in self._relations), "</Relations>"]
        rows += [f'<Text name="{TEXT}" value="$text"/>']
        for name, values in self._choices.items():
            rows += [f'<Header value="{_quoted(name)}"/>', f'<Choices name="{_quoted(_control(name))}" toName="{TEXT}" perRegion="true">']
            rows += [*(f'  <Choice value="{_quoted(value)}"/>' for value in values), "</Choices>"]
        rows += [f'<TextArea name="{CODES}" toName="{TEXT}" perRegion="true" maxSubmissions="9"/>']
        return "<View>\n" + "".join(f"  {row}\n" for row in rows) + "</View>\n"


def _values(entity: Entity) -> list[tuple[str, str]]:
    return [(name, attribute_value(value)) for name, value in entity.attributes.items() if value is not None]


def _control(attribute: str) -> str:
    return f"attribute_{attribute}" if attribute in (LABEL, TEXT, CODES) else attribute


def _attribute(control: str) -> str:
    own = control.removeprefix("attribute_")
    return own if own in (LABEL, TEXT, CODES) else control


def _quoted(value: str) -> str:
    return escape(xml(value))


# --- reading ---------------------------------------------------------------------------------------------------------


def _read(path: Path, name: str, schema: Schema | None) -> Iterator[Parsed | Problem]:
    for count, item in enumerate(objects(path), 1):
        if isinstance(item, Problem):
            yield item
            continue
        data = _object(item, "data")
        texts = [value for value in data.values() if isinstance(value, str)]
        text = data.get("text") if isinstance(data.get("text"), str) else texts[0] if len(texts) == 1 else None
        if text is None:
            yield Problem(str(path), item.line, "malformed-line", "a task without data.text", dropped=True)
            continue
        given = data.get("note_id") or item.get("id")
        note_id = clean(str(given)) if isinstance(given, str | int) and given else f"{name}/{count}"
        meta = data.get("meta")
        own = {str(k): str(v) for k, v in meta.items()} if isinstance(meta, dict) else {}
        yield _parsed(item, Note(id=note_id, text=text, meta=own), schema, str(path))


def _parsed(item: Placed, note: Note, schema: Schema | None, path: str) -> Parsed:
    found = Collector(note, schema, path)
    results = _chosen(item, found)
    own: dict[str, list[Placed]] = {}
    for one in results:
        if one.get("type") in ("choices", "textarea"):
            own.setdefault(str(one.get("id")), []).append(one)
    by_id: dict[str, Entity | None] = {}
    units = CodeUnits(note.text)
    for one in results:
        value = one.get("value")
        if isinstance(value, Placed) and isinstance(labels := value.get(_labels_key(one)), list):
            name = str(one.get("id") or "")
            made = [
                _mention(found, one, value, str(label), own.get(name, []), units, name if n == 0 else "") for n, label in enumerate(labels)
            ]
            by_id.setdefault(name, next(filter(None, made), None))
    for one in results:
        kind = one.get("type")
        if kind == "relation":
            _link(found, one, by_id)
        elif kind not in ("choices", "textarea") and not (isinstance(one.get("value"), Placed) and _labels_key(one) in one["value"]):
            found.report(one.line, "not-held", "a result that is no region of a text, no choice and no relation", dropped=True)
    return found.parsed()


def _chosen(item: Placed, found: Collector) -> list[Placed]:
    """The results of the last annotation, or of the first prediction."""
    annotations = [a for a in _listed(item, "annotations") if not a.get("was_cancelled")]
    if len(annotations) > 1:
        found.report(item.line, "not-held", f"{len(annotations)} annotations of the task; the last is read", dropped=True)
    chosen = annotations[-1:] or _listed(item, "predictions")[:1]
    return [one for part in chosen for one in _listed(part, "result")]


def _mention(found: Collector, one: Placed, value: Placed, label: str, more: list[Placed], units: CodeUnits, name: str) -> Entity | None:
    place = _object(value, "globalOffsets") or value
    start, end, written = place.get("start"), place.get("end"), value.get("text")
    if type(start) is not int or type(end) is not int:
        found.report(one.line, "malformed-line", "a region whose start and end are no numbers", dropped=True)
        return None
    written = written if isinstance(written, str) else None
    text = found.note.text
    if written is not None and text[start:end] != written and text[units.points(start) : units.points(end)] == written:
        found.report(one.line, "text-mismatch", "start and end are UTF-16 code units, and taken so", dropped=False)
        start, end = units.points(start), units.points(end)
    given, codes = [], []
    for extra in more:
        inner = _object(extra, "value")
        control = str(extra.get("from_name") or "")
        if extra["type"] == "choices":
            given += [Given(_attribute(control), str(choice), extra.line) for choice in _strings(inner.get("choices"))]
        elif control == CODES:
            codes += _strings(inner.get("text"))
        else:
            found.report(extra.line, "not-held", "a text that is not named codes", dropped=True)
    score = one.get("score")
    confidence = float(score) if isinstance(score, int | float) and 0 <= score <= 1 else None
    return found.entity(one.line, label, [(start, end)], name=name, written=written, attributes=given, codes=codes, confidence=confidence)


def _link(found: Collector, one: Placed, by_id: dict[str, Entity | None]) -> None:
    ends = [by_id.get(str(one.get(key))) for key in ("from_id", "to_id")]
    if one.get("direction") == "left":
        ends.reverse()
    score = one.get("score")
    confidence = float(score) if isinstance(score, int | float) and 0 <= score <= 1 else None
    for label in _strings(one.get("labels")) or [""]:
        found.relation(one.line, label, *ends, name=f"R{len(found.relations) + 1}", confidence=confidence)


def _labels_key(one: Placed) -> str:
    kind = one.get("type")
    return kind if isinstance(kind, str) and kind.endswith("labels") else "labels"


def _object(item: Placed, key: str) -> Placed:
    found = item.get(key)
    return found if isinstance(found, Placed) else Placed()


def _listed(item: Placed, key: str) -> list[Placed]:
    found = item.get(key)
    return [one for one in found if isinstance(one, Placed)] if isinstance(found, list) else []


def _strings(value: Any) -> list[str]:
    return [one for one in value if isinstance(one, str)] if isinstance(value, list) else [value] if isinstance(value, str) else []
