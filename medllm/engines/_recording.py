"""The file format of recordings: JSON lines, as they are or gzipped.

The first line says what was recorded::

    {"medllm_recording": 1, "engine": "vllm", "model": "…", "fingerprint": "…", "context_tokens": 32768, "constrained": true,
     "counting": "recorded"}

Then come completions and token counts, in the order in which they were made; of two with the same key the later one counts::

    {"key": "<64 hex digits>", "text": "…", "finish_reason": "stop", "usage": [812, 0, 64, 1.5], "logprobs": [["chest", -0.01]]}
    {"count": "<32 hex digits>", "tokens": 118}

A key is the SHA-256 of the request, a count's name the first half of the SHA-256 of the text: no prompt is kept. The answers are, and
they quote the notes, so the file is its owner's alone. ``counting`` is ``recorded``, or ``characters/N`` for one token to each N
characters, rounded up.
"""

import gzip
import hashlib
import json
import os
import tempfile
import zlib
from array import array
from collections.abc import Iterator
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import IO, Any, cast

import numpy as np

from medllm.engines.base import Completion, Request, TokenLogprob, Usage
from medllm.errors import EngineError

VERSION = 1
RECORDED = "recorded"

_KEY = b'{"key": "'
_COUNT = b'{"count": "'
_TOKENS = b'", "tokens": '
_NAME = 32  # hex digits of a key that the index holds: 128 bits


@dataclass(frozen=True)
class Header:
    """What a recording is of. ``counting`` says how tokens were counted."""

    engine: str
    model: str
    fingerprint: str
    context_tokens: int
    constrained: bool
    counting: str = RECORDED

    def line(self) -> bytes:
        """The first line of a file."""
        return _line({"medllm_recording": VERSION, **self.__dict__})


def request_key(request: Request) -> str:
    """SHA-256 of what decides an answer: the messages, the grammar as Lark or the JSON schema, the budget, the temperature and the seed."""
    lark = None if request.constraint is None else request.constraint.lark
    parts: list[Any] = [[list(m) for m in request.messages], lark, request.max_tokens, float(request.temperature), request.seed]
    if request.json_schema is not None:
        parts.append(request.json_schema)
    return hashlib.sha256(json.dumps(parts, separators=(",", ":")).encode()).hexdigest()


def text_key(text: str) -> str:
    """Name of a text's token count."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:_NAME]


def completion_line(key: str, completion: Completion) -> bytes:
    """One completion."""
    return _line(
        {
            "key": key,
            "text": completion.text,
            "finish_reason": completion.finish_reason,
            "usage": astuple(completion.usage),
            "logprobs": completion.logprobs,
        }
    )


def count_line(key: str, tokens: int) -> bytes:
    """One token count."""
    return _line({"count": key, "tokens": tokens})


class Recording:
    """A recording opened for reading: an index in memory, 40 bytes a completion or count, and the answers on the disk.

    A gzipped one is unpacked into a temporary file that has no name. A last line that was cut off is left out, and ``torn`` says so.
    Raises EngineError.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.torn = False
        try:
            self._file = self._open()
        except OSError as error:
            raise EngineError(
                f"The recording {path} cannot be read ({error.strerror or 'damaged'})", hint="Give a file that exists."
            ) from error
        try:
            self.header = self._read_header()
            self._read_index()
        except BaseException:
            self._file.close()
            raise

    def completion(self, key: str) -> Completion | None:
        """The answer to a request."""
        at = _find(self._keys, key)
        if at is None:
            return None
        self._file.seek(int(self._offsets[at]))
        line = self._file.readline()
        try:
            entry = json.loads(line)
            if entry["key"] != key:  # pragma: no cover (two keys whose first 128 bits are the same)
                return None
            return Completion(
                entry["text"], entry["finish_reason"], Usage(*entry["usage"]), tuple(TokenLogprob(*p) for p in entry["logprobs"])
            )
        except (ValueError, KeyError, TypeError) as error:
            raise self._damaged(int(self._offsets[at])) from error

    def count(self, key: str) -> int | None:
        """The number of tokens of a text."""
        at = _find(self._texts, key)
        return None if at is None else int(self._tokens[at])

    def names(self) -> Iterator[str]:
        """What the index knows completions and counts by: 32 digits each."""
        for name in (*self._keys, *self._texts):
            yield bytes(name).decode()

    def lines(self) -> Iterator[bytes]:
        """The file's whole lines."""
        self._file.seek(0)
        for line in self._file:
            if line.endswith(b"\n"):
                yield line

    def close(self) -> None:
        """Give back the file. May be called twice."""
        self._file.close()

    def _open(self) -> IO[bytes]:
        with self.path.open("rb") as file:
            packed = file.read(2) == b"\x1f\x8b"
        if not packed:
            return self.path.open("rb")
        unpacked = cast(IO[bytes], tempfile.TemporaryFile())  # noqa: SIM115 (closed with the recording)
        try:
            with gzip.open(self.path) as source:
                while block := source.read1(1 << 20):
                    unpacked.write(block)
        except (EOFError, zlib.error, gzip.BadGzipFile):
            self.torn = True
        unpacked.seek(0)
        return unpacked

    def _read_header(self) -> Header:
        try:
            first = json.loads(self._file.readline())
            if first.pop("medllm_recording") == VERSION:
                header = Header(**first)
                if header.counting == RECORDED or counting_rule(header.counting):
                    return header
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise EngineError(f"{self.path} is not a recording", hint="Record one with medllm.engines.replay.Recorder.") from error
        raise EngineError(f"{self.path} was made by another version of medllm", hint="Update medllm, or record it again.")

    def _read_index(self) -> None:
        names, offsets, texts, tokens = bytearray(), _Numbers(), bytearray(), _Numbers()
        at = self._file.tell()
        for line in self._file:
            if not line.endswith(b"\n"):
                self.torn = True
                break
            if line.startswith(_KEY):
                names += self._name(line, _KEY, at)
                offsets.append(at)
            elif line.startswith(_COUNT):
                texts += self._name(line, _COUNT, at)
                tokens.append(self._number(line, at))
            else:
                raise self._damaged(at)
            at += len(line)
        self._keys, self._offsets = _sorted(names, offsets.array())
        self._texts, self._tokens = _sorted(texts, tokens.array())

    def _name(self, line: bytes, start: bytes, at: int) -> bytes:
        name = line[len(start) : len(start) + _NAME]
        if len(name) != _NAME or b'"' in name:
            raise self._damaged(at)
        return name

    def _number(self, line: bytes, at: int) -> int:
        _, between, number = line.rstrip(b"}\n").partition(_TOKENS)
        if not between or not number.isdigit():
            raise self._damaged(at)
        return int(number)

    def _damaged(self, at: int) -> EngineError:
        return EngineError(f"The recording {self.path} is damaged at byte {at}", hint="Record it again.")


def counting_rule(counting: str) -> int | None:
    """Characters to a token, where tokens are counted by rule.

    >>> counting_rule("characters/4"), counting_rule("recorded")
    (4, None)
    """
    rule, _, number = counting.partition("/")
    return int(number) if rule == "characters" and number.isdecimal() and int(number) > 0 else None


def open_to_append(path: Path) -> IO[bytes]:
    """Open for appending, readable by its owner alone where it is new; gzipped where the name ends in ``.gz``."""
    raw = os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab")
    return cast(IO[bytes], _Zipped(raw)) if path.suffix == ".gz" else raw


class _Zipped(gzip.GzipFile):
    """A gzip stream that closes the file below it."""

    def __init__(self, raw: IO[bytes]) -> None:
        self._raw = raw
        super().__init__(fileobj=raw, mode="ab")

    def close(self) -> None:
        super().close()
        self._raw.close()


class _Numbers:
    """Integers gathered in 8 bytes each."""

    def __init__(self) -> None:
        self._values = array("q")
        self.append = self._values.append

    def array(self) -> "np.ndarray[Any, np.dtype[np.int64]]":
        return np.frombuffer(self._values, dtype=np.int64) if self._values else np.empty(0, np.int64)


def _sorted(names: bytearray, values: "np.ndarray[Any, Any]") -> "tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]":
    """Names in order with their values; of the same names the last alone."""
    found = np.frombuffer(bytes(names), dtype=f"S{_NAME}")
    order = np.argsort(found, kind="stable")
    found, values = found[order], values[order]
    last = np.append(found[1:] != found[:-1], True)[: len(found)]
    return found[last], values[last]


def _find(names: "np.ndarray[Any, Any]", key: str) -> int | None:
    name = np.bytes_(key[:_NAME].encode())
    at = int(np.searchsorted(names, name))
    return at if at < len(names) and names[at] == name else None


def _line(entry: dict[str, Any]) -> bytes:
    return json.dumps(entry, ensure_ascii=True).encode() + b"\n"
