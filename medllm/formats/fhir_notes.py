"""FHIR R4 resources -> the notes in them: ``DocumentReference`` and ``DiagnosticReport``, in bundles, alone, or one a line (bulk export).

A DocumentReference is a note, from its attachments; a DiagnosticReport one from its ``presentedForm``, else its ``conclusion``. FHIR says
that several attachments of one of them are the same document: plain text is taken before HTML, RTF, Word and PDF. Links are not followed.
Other resources of a bundle are passed over. Each resource read is validated with ``fhir.resources`` (its R4B models, which are those of R4
for these two); one that does not validate is told by the places of its faults, and the others are read.

``meta``: ``resource_type``, ``status``, ``type``, ``date``, ``patient_id`` where they are there.
"""

import base64
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from medllm.errors import InputError
from medllm.formats.decoding import Refusal, decode
from medllm.formats.documents import CONTENT_TYPES, extract
from medllm.formats.documents.base import Found

TYPES = ("DocumentReference", "DiagnosticReport")

_PLAIN = "text/plain"
_PREFERRED = (_PLAIN, *CONTENT_TYPES)
_MAX_FAULTS = 3
_CHARSET = re.compile(r"charset\s*=\s*\"?([\w.:-]+)", re.IGNORECASE)


def check_library() -> None:
    """Raises InputError without fhir.resources."""
    try:
        import fhir.resources.R4B  # noqa: F401
    except ImportError:
        raise InputError("reading FHIR needs fhir.resources, which is not installed", hint="pip install medllm[standards]") from None


def notes(resources: Iterable[Any], encoding: str) -> Iterator[Found]:
    """The notes of resources, those inside bundles too. What has none is passed over, but told where it is no resource at all."""
    for number, resource in enumerate(resources, 1):
        kind = resource.get("resourceType") if isinstance(resource, Mapping) else None
        if not isinstance(kind, str):
            yield Found(str(number), reason="malformed-row", detail=f"object {number} is no FHIR resource: it has no resourceType")
        elif kind == "Bundle":
            entries = resource.get("entry")
            inner = [e.get("resource") for e in entries if isinstance(e, Mapping)] if isinstance(entries, list) else []
            yield from notes((one for one in inner if one is not None), encoding)
        elif kind in TYPES:
            yield _note(kind, resource, number, encoding)


def _note(kind: str, resource: Mapping[str, Any], number: int, encoding: str) -> Found:
    own = resource.get("id")
    name = f"{kind}/{own if isinstance(own, str) and own else number}"
    if faults := _faults(kind, resource):
        return Found(name, reason="malformed-row", detail=f"not a valid {kind} of FHIR R4: {faults}")
    if kind == "DocumentReference":
        attachments = [content["attachment"] for content in resource.get("content", ())]
    else:
        attachments = list(resource.get("presentedForm", ()))
    held = sorted((a for a in attachments if a.get("data")), key=_preference)
    meta = _meta(kind, resource)
    if not held or _preference(held[0]) == len(_PREFERRED):
        if kind == "DiagnosticReport" and resource.get("conclusion"):
            return Found(name, resource["conclusion"], meta)
        types = ", ".join(sorted({_type_of(a) or "of no type" for a in held}))
        linked = any(a.get("url") for a in attachments)
        why = f"attachments of types that are not read: {types}" if held else "a link, which is not followed" if linked else "no attachment"
        return Found(name, reason="no-text", detail=why)
    try:
        text, more = _text(held[0], encoding)
    except ValueError:  # not base64, or characters beyond ASCII
        return Found(name, reason="malformed-row", detail="the attachment is not base64")
    except Refusal as refusal:
        return Found(name, reason=refusal.reason, detail=f"the attachment: {refusal.detail}")
    return Found(name, text, meta | more)


def _text(attachment: Mapping[str, Any], encoding: str) -> tuple[str, dict[str, str]]:
    data = base64.b64decode("".join(attachment["data"].split()), validate=True)
    charset = _CHARSET.search(str(attachment.get("contentType", "")))
    used = charset[1] if charset else encoding
    kind = _type_of(attachment)
    if kind != _PLAIN:
        document = extract(CONTENT_TYPES[kind], data, used)
        return document.text, document.meta
    try:
        return decode(data, used)[0], {}
    except LookupError:
        raise Refusal("encoding", "it names an encoding that is not known") from None


def _faults(kind: str, resource: Mapping[str, Any]) -> str:
    """Where a resource breaks the standard, without its values; nothing for a valid one."""
    from fhir.resources.R4B import get_fhir_model_class
    from pydantic import ValidationError

    try:
        get_fhir_model_class(kind).model_validate(resource)
    except ValidationError as error:
        found = error.errors(include_input=False, include_url=False, include_context=False)
        places = dict.fromkeys(f"{'.'.join(_place(part) for part in one['loc']) or 'the resource'} ({one['type']})" for one in found)
        more = [f"and {len(places) - _MAX_FAULTS} more"] if len(places) > _MAX_FAULTS else []
        return ", ".join([*list(places)[:_MAX_FAULTS], *more])
    except Exception as error:  # values that the library's own validators do not expect
        return type(error).__name__
    return ""


def _place(part: int | str) -> str:
    """A step of a fault's place; a name that no field of FHIR has may be anything, and is not shown."""
    name = str(part)
    return name if name.isdigit() or re.fullmatch(r"_?[A-Za-z]{1,40}", name) else "?"


def _preference(attachment: Mapping[str, Any]) -> int:
    kind = _type_of(attachment)
    return _PREFERRED.index(kind) if kind in _PREFERRED else len(_PREFERRED)


def _type_of(attachment: Mapping[str, Any]) -> str:
    return str(attachment.get("contentType", "")).partition(";")[0].strip().lower()


def _meta(kind: str, resource: Mapping[str, Any]) -> dict[str, str]:
    concept = resource.get("type") or resource.get("code") or {}
    coding: Mapping[str, Any] = next(iter(concept.get("coding") or ()), {})
    subject = resource.get("subject") or {}
    patient = str(subject.get("reference") or "").rpartition("/")[2] or str((subject.get("identifier") or {}).get("value") or "")
    date = resource.get("date") or resource.get("effectiveDateTime") or resource.get("issued") or ""
    told = {
        "resource_type": kind,
        "status": resource.get("status", ""),
        "type": concept.get("text") or coding.get("display") or coding.get("code") or "",
        "date": date,
        "patient_id": patient,
    }
    return {name: str(value) for name, value in told.items() if value}
