"""Recorded completions instead of a model: for tests, demos, audits and benchmarks of everything around the model."""

import asyncio
import threading
from pathlib import Path

from medllm.engines._recording import (
    RECORDED,
    Header,
    Recording,
    completion_line,
    count_line,
    counting_rule,
    open_to_append,
    request_key,
    text_key,
)
from medllm.engines._wrapping import Wrapper
from medllm.engines.base import Completion, Engine, Request
from medllm.errors import EngineError

__all__ = ["Recorder", "ReplayEngine", "request_key"]


class ReplayEngine:
    """Answers from a recording that a Recorder made, gzipped or not. Usage and log probabilities are those of the recorded calls.

    ``torn`` says that the recording was cut off while it was written, and that its last line was left out. Raises EngineError.
    """

    name = "replay"
    concurrency = 64

    def __init__(self, source: str | Path) -> None:
        self._recording = Recording(Path(source))
        self._reading = threading.Lock()
        header = self._recording.header
        self.model = header.model
        self.fingerprint = header.fingerprint
        self.context_tokens = header.context_tokens
        self.constrained = header.constrained
        self.torn = self._recording.torn
        self._characters = counting_rule(header.counting)
        self._closed = False

    def count_tokens(self, text: str) -> int:
        """The recorded engine's count. Raises EngineError where it was not recorded."""
        if self._characters is not None:
            return -(-len(text) // self._characters)
        tokens = self._recording.count(text_key(text))
        if tokens is None:
            raise self._missing(f"the token count of a text of {len(text)} characters")
        return tokens

    async def complete(self, request: Request) -> Completion:
        """The recorded answer. Raises EngineError where the request was not recorded."""
        await asyncio.sleep(0)  # let others have a turn, as a model would
        key = request_key(request)
        with self._reading:
            if self._closed:
                raise EngineError("The engine has been closed", hint="Make a new engine for further requests.")
            completion = self._recording.completion(key)
        if completion is None:
            raise self._missing(f"an answer to the request {key[:12]}")
        if completion.logprobs and not request.logprobs:
            return Completion(completion.text, completion.finish_reason, completion.usage)
        return completion

    async def aclose(self) -> None:
        """Give back the file."""
        with self._reading:
            self._closed = True
            self._recording.close()

    def _missing(self, what: str) -> EngineError:
        return EngineError(
            f"The recording {self._recording.path} does not hold {what}",
            hint="Record it: run the same notes with the same options and the engine wrapped in medllm.engines.replay.Recorder.",
        )


class Recorder(Wrapper):
    """Any engine, with its answers and token counts written to ``path``; gzipped where the name ends in ``.gz``.

    A recording that is there is gone on with, and must be of the same model. What is in it already is not written twice. An engine
    that counts tokens by a rule may name it in an attribute ``counting``, ``characters/N``; counts are then not written at all.
    The file holds no prompts, but its answers quote the notes: it is created readable by its owner alone. Raises EngineError.
    """

    def __init__(self, engine: Engine, path: str | Path) -> None:
        super().__init__(engine)
        self._path = Path(path)
        self._writing = threading.Lock()
        self._known: set[int] = set()
        self._with_logprobs: set[int] = set()
        counting = getattr(engine, "counting", RECORDED)
        header = Header(engine.name, engine.model, engine.fingerprint, engine.context_tokens, engine.constrained, counting)
        self._counts = counting_rule(counting) is None
        try:
            begun = self._path.exists() and self._path.stat().st_size > 0
            if begun:
                self._take_up(header)
            self._file = open_to_append(self._path)
            if not begun:
                self._write(header.line())
        except OSError as error:
            raise EngineError(
                f"The recording {path} cannot be written ({error.strerror})", hint="Name a file in a folder of yours."
            ) from error

    def count_tokens(self, text: str) -> int:
        """The engine's own count, which is recorded."""
        tokens = super().count_tokens(text)
        if self._counts:
            self._record(key := text_key(text), count_line(key, tokens))
        return tokens

    async def complete(self, request: Request) -> Completion:
        """The engine's own answer, which is recorded."""
        completion = await self._engine.complete(request)
        key = request_key(request)
        self._record(key, completion_line(key, completion), better=bool(completion.logprobs))
        return completion

    async def aclose(self) -> None:
        """Close the recording and the engine."""
        with self._writing:
            self._file.close()
        await super().aclose()

    def _record(self, key: str, line: bytes, *, better: bool = False) -> None:
        """Write a line unless there is one for its key; an answer with log probabilities takes the place of one without."""
        number = int(key[:16], 16)
        with self._writing:
            if self._file.closed or (number in self._known and not (better and number not in self._with_logprobs)):
                return
            self._write(line)
            self._known.add(number)
            if better:
                self._with_logprobs.add(number)

    def _write(self, line: bytes) -> None:
        try:
            self._file.write(line)
            self._file.flush()
        except OSError as error:
            raise EngineError(f"The recording {self._path} cannot be written ({error.strerror})", hint="Make room on the disk.") from error

    def _take_up(self, header: Header) -> None:
        """Go on with a recording: check that it is of the same engine, learn its keys, and cut off a torn end."""
        recording = Recording(self._path)
        whole = self._path.with_name(f"whole-{self._path.name}")
        try:
            if recording.header != header:
                raise EngineError(
                    f"The recording {self._path} is of another engine or model ({recording.header.engine}, {recording.header.model})",
                    hint="Name a new file.",
                )
            self._known = {int(name[:16], 16) for name in recording.names()}
            if recording.torn:
                whole.unlink(missing_ok=True)
                with open_to_append(whole) as file:
                    file.writelines(recording.lines())
        finally:
            recording.close()
        if recording.torn:
            whole.replace(self._path)
