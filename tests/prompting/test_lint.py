"""The prompt linter: each fault of a pack is told, and a pack without faults is left in peace."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from medllm.cli import app
from medllm.document import Entity, Relation
from medllm.grammar.layout import get_layout
from medllm.prompting.examples import parse_example
from medllm.prompting.lint import estimated_tokens, lint
from medllm.prompting.questions import Questions
from medllm.prompting.render import Prompts
from medllm.schema import Schema, shipped_packs


class Problem(Entity):
    """A problem."""


class Procedure(Entity):
    """A procedure."""


class Process(Entity):
    pass


class For(Relation[Procedure, Problem]):
    """Done for it."""


EXAMPLE = "[procedure #1|Appendectomy] for [problem <For#1|acute appendicitis] went well.\nHe lives alone."
GOOD = Schema("good", [Problem, Procedure], [For], examples=[EXAMPLE])


def told(schema: Schema, **options: object) -> list[str]:
    given = {"count_tokens": estimated_tokens, "context_tokens": 4096, **options}
    return [remark.what for remark in lint(Questions(schema, get_layout("lines"), Prompts()), **given)]  # type: ignore[arg-type]


def test_a_good_pack_is_left_in_peace() -> None:
    assert told(GOOD, texts=["He had an appendectomy."]) == []


@pytest.mark.parametrize("name", shipped_packs())
def test_the_shipped_packs_fit_and_have_guidelines(name: str) -> None:
    assert [what for what in told(Schema.load(name)) if "docstring" in what or "tokens" in what] == []


@pytest.mark.parametrize(
    ("schema", "options", "said"),
    [
        (
            GOOD,
            {"texts": ["x", "PLAN:\n  appendectomy for ACUTE appendicitis, went well"]},
            "example 1 is told to the model",
        ),
        (GOOD, {"texts": [parse_example(EXAMPLE).text]}, "stands in 1 of the notes"),
        (GOOD, {"context_tokens": 300}, "the context of 300"),
        (GOOD, {"context_tokens": 1024, "examples_tokens": 800}, "the context of 1024"),
        (Schema("p", [Problem, Process], examples=["[problem|Pain] and [process|aging].\nNone."]), {}, "Process has no docstring"),
        (Schema("p", [Procedure, Process]), {}, "'procedure' and 'process' both begin with 'proce'"),
        (Schema("p", [Problem, Procedure]), {}, "no example shows problem, procedure"),
        (Schema("p", [Problem, Procedure], [For], examples=["[problem|Pain], [procedure|surgery].\nNone."]), {}, "no example shows For"),
        (Schema("p", [Problem], examples=["[problem|Pain]."]), {}, "every line of the examples has a mention"),
    ],
)
def test_each_fault_is_told(schema: Schema, options: dict[str, object], said: str) -> None:
    assert any(said in what for what in told(schema, **options)), told(schema, **options)


def test_the_doctor_tells_it(tmp_path: Path) -> None:
    text = "2. Coronary artery disease, status post a bypass operation in 2015.\n<drug>Aspirin</drug>.\n"
    (tmp_path / "a.txt").write_text(text)
    line = ["doctor", "--schema", "clinical", "--context", "512", "--notes", str(tmp_path), "--examples", f"inline:{tmp_path}"]
    done = CliRunner().invoke(app, line)
    assert "example 1 is told to the model and stands in 2 of the notes" in done.output
    assert "do not fit in the context of 512" in done.output
    assert "no annotated note shows problem, test" in done.output
    assert "bypass" not in done.output
    assert CliRunner().invoke(app, ["doctor", "--notes", str(tmp_path)]).exit_code != 0
