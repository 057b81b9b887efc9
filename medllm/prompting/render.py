"""Prompts: Jinja templates, one folder a task and language (``prompts/TASK/LANGUAGE/system.j2`` and ``user.j2``).

The system part and the worked examples depend only on the schema, so that servers can keep them in their prefix cache; what
belongs to the chunk comes last. ``prompts/guidelines/LANGUAGE/SCHEMA.toml`` holds the guidelines of a pack in a language that is not its
own. A user's folder (``--prompts DIR``) overrides file by file. Templates run in Jinja's sandbox.
"""

import hashlib
import re
import tomllib
import traceback
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

from jinja2 import ChoiceLoader, FileSystemLoader, StrictUndefined, TemplateNotFound
from jinja2.sandbox import ImmutableSandboxedEnvironment

from medllm.engines.base import Message
from medllm.errors import PromptError

DEFAULT_LANGUAGE = "en"
_TURN_MARK = re.compile(r"<(?=\|)|\|(?=>)|<(?=/?s>|<SYS>>|</SYS>>|(?:start|end)_of_turn>)|\[(?=/?INST\])")
"""Where the marks of chat templates begin (ChatML, Llama 2 and 3, Mistral, Gemma, Phi): engines read them as such wherever they stand."""

_IN_PLACE = re.compile(r"[^/]+/[^/]+/(system|user)\.j2")


@dataclass(frozen=True)
class Guidelines:
    """The guideline text of a pack in another language, by the labels of its classes; ``attributes`` by their names."""

    description: str = ""
    entities: Mapping[str, str] = field(default_factory=dict)
    relations: Mapping[str, str] = field(default_factory=dict)
    attributes: Mapping[str, str] = field(default_factory=dict)


class Prompts:
    """Renders the messages of a task.

    >>> Prompts().languages("entities")
    ('en', 'zh')
    """

    def __init__(self, overrides: str | Path | None = None) -> None:
        shipped = FileSystemLoader(Path(str(resources.files("medllm") / "prompts")))
        loaders = [shipped]
        if overrides is not None:
            own = FileSystemLoader(overrides)
            tasks = {name.split("/")[0] for name in shipped.list_templates() if _IN_PLACE.fullmatch(name)}
            if not any(name.split("/")[0] in tasks and _IN_PLACE.fullmatch(name) for name in own.list_templates()):
                raise PromptError(
                    f"there is no template of any task in the folder {overrides}",
                    hint=f"it must hold TASK/LANGUAGE/system.j2 or user.j2; tasks are {', '.join(sorted(tasks))}",
                )
            loaders.insert(0, own)
        self._environment = ImmutableSandboxedEnvironment(
            loader=ChoiceLoader(loaders),
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            autoescape=False,
        )
        self._environment.filters["lower_first"] = lambda text: text[:1].lower() + text[1:]

    def languages(self, task: str) -> tuple[str, ...]:
        """The languages that a task has templates for."""
        names = [name for name in self._environment.list_templates() if name.startswith(f"{task}/") and _IN_PLACE.fullmatch(name)]
        return tuple(sorted({name.split("/")[1] for name in names}))

    def guidelines(self, schema: str, language: str) -> "Guidelines":
        """The guideline text of a pack in another language (``guidelines/LANGUAGE/SCHEMA.toml``); empty where there is none."""
        name = f"guidelines/{language}/{schema}.toml"
        try:
            source, _, _ = self._environment.loader.get_source(self._environment, name)  # type: ignore[union-attr]
            return Guidelines(**tomllib.loads(source))
        except TemplateNotFound:
            return Guidelines()
        except (OSError, ValueError, TypeError) as error:
            raise PromptError(f"{name} fails: {type(error).__name__}", hint="compare it with the shipped ones") from None

    @property
    def digest(self) -> str:
        """SHA-256 over the names and sources of all templates in effect."""
        hashed = hashlib.sha256()
        for name in sorted(self._environment.list_templates(extensions=["j2", "toml"])):
            try:
                source, _, _ = self._environment.loader.get_source(self._environment, name)  # type: ignore[union-attr]
            except (OSError, UnicodeError) as error:
                raise _failed(name, error) from None
            hashed.update(f"{name}\0{source}\0".encode())
        return hashed.hexdigest()

    def messages(
        self,
        task: str,
        language: str,
        *,
        static: Mapping[str, Any],
        examples: Iterable[tuple[Mapping[str, Any], str]] = (),
        variables: Mapping[str, Any],
    ) -> tuple[Message, ...]:
        """System message from ``static``; a user and an assistant message an example; the user message from ``variables``.

        Raises PromptError, naming the template and never what it was filled with.
        """
        messages = [Message("system", self._render(task, language, "system", static))]
        for shown, answer in examples:
            messages += [Message("user", self._user(task, language, {**static, **shown})), Message("assistant", answer)]
        messages.append(Message("user", self._user(task, language, {**static, **variables})))
        return tuple(messages)

    def _user(self, task: str, language: str, variables: Mapping[str, Any]) -> str:
        return without_turn_marks(self._render(task, language, "user", variables))

    def _render(self, task: str, language: str, part: str, variables: Mapping[str, Any]) -> str:
        for name in (f"{task}/{language}/{part}.j2", f"{task}/{DEFAULT_LANGUAGE}/{part}.j2"):
            try:
                return self._environment.get_template(name).render(variables).strip()
            except TemplateNotFound as error:
                if error.name == name:
                    continue
                raise PromptError(f"the template {name} needs another that is missing", hint="it must stand in --prompts too") from None
            except Exception as error:  # a user's template can raise anything, and say anything in it
                raise _failed(name, error) from None
        known = ", ".join(self.languages(task))
        raise PromptError(f"there is no template {task}/{language}/{part}.j2", hint=f"languages of this task: {known}")


def without_turn_marks(text: str) -> str:
    """The text with a blank inside each mark of a chat template, so that no note can end its turn or begin another one.

    >>> without_turn_marks("<|im_end|> [INST] a < b </s>")
    '< |im_end| > [ INST] a < b < /s>'
    """
    return _TURN_MARK.sub(lambda mark: f"{mark[0]} ", text)


def _failed(name: str, error: Exception) -> PromptError:
    """What is wrong, where, and nothing of what the error itself says: it may quote the note."""
    line = getattr(error, "lineno", None)
    if line is None:  # Jinja puts the template's own lines into the traceback
        frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename.endswith(".j2")]
        line = frames[-1].lineno if frames else None
        name = "/".join(Path(frames[-1].filename).parts[-3:]) if frames else name
    else:
        name = getattr(error, "name", None) or name
    where = f"{name} line {line}" if line else name
    return PromptError(f"the template {where} fails: {type(error).__name__}", hint="compare it with the shipped one")
