"""Templates: what a user's folder overrides, what it may not do, and how it fails."""

from pathlib import Path

import pytest

from medllm.errors import PromptError
from medllm.grammar.layout import get_layout
from medllm.prompting.questions import Question, Questions
from medllm.prompting.render import Prompts
from medllm.schema import Schema
from medllm.text.chunks import split_chunks

SECRET = "Zebediah"
NOTE = f"HISTORY: {SECRET} has a fever.\nNo cough."


def template(folder: Path, name: str, text: str) -> Path:
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    return folder


def ask(prompts: Prompts, language: str | None = None, schema: str = "clinical") -> Question:
    questions = Questions(Schema.load(schema), get_layout("lines"), prompts, language)
    (chunk,) = split_chunks(NOTE, len, 1000)
    return questions.entities(chunk)


def test_a_folder_overrides_file_by_file(tmp_path: Path) -> None:
    shipped = ask(Prompts()).messages
    own = ask(Prompts(template(tmp_path, "entities/en/system.j2", "Find {{ labels | map(attribute='name') | join(', ') }}."))).messages
    assert own[0].content == "Find problem, test, treatment, drug."
    assert own[1:] == shipped[1:]


def test_a_language_of_one_s_own_may_have_some_of_the_files(tmp_path: Path) -> None:
    prompts = Prompts(template(tmp_path, "entities/fr/system.j2", "Liste ce qui est mentionné."))
    assert prompts.languages("entities") == ("en", "fr", "zh")
    assert prompts.languages("relations") == ("en", "zh")
    french, english = ask(prompts, "fr").messages, ask(Prompts()).messages
    assert french[0].content == "Liste ce qui est mentionné."
    assert french[1:] == english[1:]


def test_a_language_without_templates_is_refused() -> None:
    with pytest.raises(PromptError, match="'tlh'") as caught:
        ask(Prompts(), "tlh")
    assert "there are en" in caught.value.hint


def test_templates_may_share_a_file_of_macros(tmp_path: Path) -> None:
    template(tmp_path, "shared.j2", "{% macro shout(text) %}{{ text | upper }}!{% endmacro %}")
    prompts = Prompts(template(tmp_path, "entities/en/system.j2", "{% from 'shared.j2' import shout %}{{ shout('find') }}"))
    assert ask(prompts).messages[0].content == "FIND!"


@pytest.mark.parametrize(
    "name", ["system.j2", "entities/system.j2", "entity/en/system.j2", "entities/en/assistant.j2", "entities/en/user.txt"]
)
def test_a_folder_that_overrides_nothing_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(PromptError, match="no template of any task") as caught:
        Prompts(template(tmp_path, name, "Find."))
    assert "entities, modifiers, paraphrase, relations" in caught.value.hint


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PromptError, match="no template of any task"):
        Prompts(tmp_path / "nowhere")


def test_the_digest_follows_the_templates(tmp_path: Path) -> None:
    shipped = Prompts().digest
    assert Prompts().digest == shipped
    folder = template(tmp_path, "entities/en/user.j2", "{{ slots | length }}")
    own = Prompts(folder).digest
    assert own != shipped
    template(folder, "entities/en/user.j2", "{{ slots | length + 1 }}")
    assert Prompts(folder).digest not in (own, shipped)


@pytest.mark.parametrize(
    "trick",
    [
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ schema.__init__.__globals__ }}",
        "{{ schema.entities[0].model_construct.__func__.__globals__ }}",
        "{{ cycler.__init__.__globals__.os.getcwd() }}",
        "{{ (labels | first).update(name='other') }}",
        "{{ '{0.__class__}'.format(1) }}",
        "{{ lipsum.__globals__ }}",
    ],
)
def test_the_sandbox_refuses_attribute_tricks(tmp_path: Path, trick: str) -> None:
    prompts = Prompts(template(tmp_path, "entities/en/system.j2", trick))
    with pytest.raises(PromptError, match=r"entities/en/system\.j2 line 1 fails: SecurityError"):
        ask(prompts)


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ("{{ slots[0].line.view.nothing }}", "UndefinedError"),
        ("{{ 1 // (slots[0].line.view | int) }}", "ZeroDivisionError"),
        ("{{ slots[0].line.view + 1 }}", "TypeError"),
        ("{{ undefined_name }}", "UndefinedError"),
        ("{% for %}", "TemplateSyntaxError"),
        ("{{ slots | unheard_of }}", "TemplateAssertionError"),
    ],
)
def test_an_error_names_the_file_and_the_line_and_never_the_text(tmp_path: Path, wrong: str, error: str) -> None:
    prompts = Prompts(template(tmp_path, "entities/en/user.j2", f"Lines:\n{{# two #}}\n{wrong}\n"))
    with pytest.raises(PromptError) as caught:
        ask(prompts)
    assert str(caught.value) == f"the template entities/en/user.j2 line 3 fails: {error}"
    assert SECRET not in caught.value.hint
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_an_error_in_a_shared_file_names_that_file(tmp_path: Path) -> None:
    template(tmp_path, "entities/en/lines.j2", "Lines:\n{{ slots[0].line.view.nothing }}")
    prompts = Prompts(template(tmp_path, "entities/en/user.j2", "{% include 'entities/en/lines.j2' %}"))
    with pytest.raises(PromptError, match=r"entities/en/lines\.j2 line 2 fails"):
        ask(prompts)


def test_a_missing_shared_file_is_told_without_its_name(tmp_path: Path) -> None:
    prompts = Prompts(template(tmp_path, "entities/en/user.j2", "{% include slots[0].line.view %}"))
    with pytest.raises(PromptError, match=r"entities/en/user\.j2 needs another that is missing") as caught:
        ask(prompts)
    assert SECRET not in str(caught.value)


def test_a_template_that_is_not_utf_8_is_one_clear_error(tmp_path: Path) -> None:
    template(tmp_path, "entities/en/system.j2", "")
    (tmp_path / "entities/en/system.j2").write_bytes(b"fi\xe8vre")
    prompts = Prompts(tmp_path)
    with pytest.raises(PromptError, match=r"entities/en/system\.j2 fails: UnicodeDecodeError"):
        _ = prompts.digest
    with pytest.raises(PromptError, match=r"entities/en/system\.j2 fails: UnicodeDecodeError"):
        ask(prompts)
