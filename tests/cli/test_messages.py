"""Messages in Chinese: none of the command line's or of the view's is without a translation; the catalogue is compiled from its source."""

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from gettext import GNUTranslations
from pathlib import Path
from string import Formatter
from typing import Any

import pytest
import typer
from hypothesis import given, settings
from hypothesis import strategies as st

import medllm
from medllm import cli
from medllm.document import Extraction, Note
from medllm.messages import FOLDER, localized
from medllm.pseudonyms import pseudonym
from medllm.report.view import ViewData, _words, render
from medllm.schema import Schema
from tests.said import templates

PACKAGE = Path(medllm.__file__).parent
MODULES = sorted((PACKAGE / "cli").glob("*.py"))
PO = FOLDER / "zh" / "LC_MESSAGES" / "medllm.po"


def catalogue() -> dict[str, str]:
    with PO.with_suffix(".mo").open("rb") as file:
        return {source: text for source, text in GNUTranslations(file)._catalog.items() if source}  # type: ignore[attr-defined]


def helps(command: Any) -> Iterator[str]:
    yield from (text.strip() for text in (command.help, command.short_help, command.epilog) if text)
    yield from (text for each in command.params if (text := getattr(each, "help", None)))
    for each in getattr(command, "commands", {}).values():
        yield from helps(each)


def said() -> set[str]:
    """All that is translated: help, summaries and the view, by the modules' own code, and the templates of messages."""
    found = set(helps(typer.main.get_command(cli.app)))
    for module in MODULES:
        for node in ast.walk(ast.parse(module.read_text("utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("_", "translated"):
                found |= {text.value for text in node.args[:1] if isinstance(text, ast.Constant) and isinstance(text.value, str)}
    page = (PACKAGE / "report" / "view.html.j2").read_text("utf-8")
    return (found | set(re.findall(r'\b_\("([^"]+)"\)', page)) | set(_words()) | templates()) - {""}


def test_every_message_has_a_translation_and_every_translation_a_message() -> None:
    known = catalogue()
    assert len(templates()) > 900
    assert said() - known.keys() == set(), "to be translated"
    assert known.keys() - said() == set(), "not said any more"
    assert "" not in known.values()


def test_translations_name_the_same_values() -> None:
    for text, translation in catalogue().items():
        values = [sorted(re.findall(r"\{\w*\W?[^{}]*\}", each)) for each in (text, translation)]
        assert values[0] == values[1], text


def test_the_catalogue_is_compiled_from_its_source() -> None:
    pofile = pytest.importorskip("babel.messages.pofile", reason="catalogues are compiled with babel")
    with PO.open("rb") as file:
        source = {m.id: m.string for m in pofile.read_po(file) if m.id}
    assert catalogue() == source


def medllm_says(*arguments: str, lang: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "error", "-c", "from medllm.cli import main; main()", *arguments]
    environment = {**os.environ, "MEDLLM_LANG": lang, "PYTHONIOENCODING": "utf-8"}
    return subprocess.run(command, capture_output=True, text=True, check=False, encoding="utf-8", env=environment)


def test_help_in_chinese() -> None:
    told = medllm_says("view", "--help", lang="zh_CN.UTF-8")
    assert "在浏览器中打开" in told.stdout
    assert "Open it in the browser" not in told.stdout


def test_english_is_as_it_was() -> None:
    told = medllm_says("view", "no-such-folder")
    assert told.returncode == 1
    assert told.stderr == "error: no-such-folder is not a run directory\nhint: give the OUT of `medllm extract ... -o OUT`\n"


ERRORS = {
    "view nowhere": ["错误: nowhere 不是运行目录", "提示: 请给出 `medllm extract ... -o OUT` 的 OUT"],
    "extract nowhere -o out": ["错误: 没有文件或文件夹 'nowhere'", "提示: 可读的扩展名有 .txt, .md,", "FORMAT:PATH 指定读取方式（txt, md,"],
    "extract notes -o out --cache-dir x": ["错误: 没有 --cache 时 --cache-dir 不起作用", "提示: 请同时给出 --cache"],
    "extract notes -o out --tagger-labels x": ["错误: 无法理解 --tagger-labels", "Medication=drug,Disease=problem"],
    "extract notes -o out --layout sideways": ["错误: 没有版式 'sideways'", "提示: 版式有 lines 和 copy"],
    "extract notes -o out --schema mine.py": [
        "错误: mine.py：没有模块级的 `schema`",
        '文件末尾须有：schema = Schema("mine", entities=[...])',
    ],
    "extract notes -o out --base-url http://127.0.0.1:9": ["127.0.0.1:9 处没有服务器应答（Connect", "提示: 请启动它，或核对 --base-url"],
    "score --gold brat:gold --pred brat:gold --labels drug": ["错误: 两边都没有出现的标签：drug", "提示: 金标准有 problem"],
    "score --gold brat:gold --pred brat:gold --by luck": ["错误: 没有细分项 'luck'", "提示: 可取 section, "],
    "eval nosuch -o out": ["错误: 没有评测套件 'nosuch'", "提示: 请给出 .yaml 文件，或其中之一："],
    "models pull qwen2.5": ["错误: 没有名为 'qwen2.5' 的模型", "提示: 您是指 qwen2.5-coder-", "已知的模型：", "或给出 .gguf 文件的路径。"],
    "convert chart:gold jsonl:out.jsonl": ["错误: 没有格式 'chart'（read）", "提示: 格式有：bioc-json"],
    "doctor --notes notes": ["错误: 病历和示例要与模式的示例比较", "提示: 请同时给出 --schema"],
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Notes, gold with two faults and a file that is no pack, in the current folder; messages are Chinese."""
    for name in ("notes", "gold", "lone"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "Huber.txt").write_text("No fever.\n", "utf-8")
    (tmp_path / "gold" / "Huber.ann").write_text("T1\tproblem 3 8\tfever\nT2\tproblem 3 99\tx\nT3\n", "utf-8")
    (tmp_path / "lone" / "Huber.txt").rename(tmp_path / "lone" / "Huber.ann")
    (tmp_path / "mine.py").write_text("x = 1\n", "utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MEDLLM_LANG", "zh")
    return tmp_path


def told_by(arguments: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> str:
    monkeypatch.setattr("sys.argv", ["medllm", *arguments.split()])
    monkeypatch.setattr("medllm.cli.discreet.keep_quiet", lambda: None)
    with pytest.raises(SystemExit):
        cli.main()
    return "".join(capsys.readouterr())


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("arguments", ERRORS)
def test_errors_and_hints_in_chinese(arguments: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    told = told_by(arguments, monkeypatch, capsys)
    assert [each for each in ERRORS[arguments] if each not in told] == [], told


@pytest.mark.usefixtures("folder")
def test_found_names_are_pseudonyms_in_chinese_too(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    name = pseudonym("Huber")
    assert f"错误: lone/{name}.ann: 此文件没有 .txt" in (error := told_by("convert brat:lone jsonl:o.jsonl", monkeypatch, capsys))
    problems = told_by("convert brat:gold jsonl:o.jsonl", monkeypatch, capsys)
    assert f"gold/{name}.ann:2: bad-span: T2 有空的部分，或超出正文末尾（10 个字符）（已丢弃）" in problems
    assert f"gold/{name}.ann:3: malformed-line: 不是 brat 标注格式的行（2 个字符）（已丢弃）" in problems
    assert "Huber" not in error + problems


@pytest.mark.usefixtures("folder")
def test_the_doctor_in_chinese(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    told = told_by("doctor --schema missing.py", monkeypatch, capsys)
    assert "BAD   没有模式文件 missing.py\n      请给出 .py 文件，或其中之一：case-report, clinical, " in told


def filled(template: str, values: list[str]) -> str:
    """A template with values; one that continues another begins with a blank."""
    if not re.search(r"\{(text)?\d+\}", template):
        return template
    parts = list(Formatter().parse(template))
    return "".join(
        text + (f"{' ' if name.startswith('text') and not text else ''}{values[int(name[-1])]}" if name else "") for text, name, *_ in parts
    )


@settings(max_examples=4, deadline=None)
@given(st.lists(st.text("0189XYZ'\"{}_%肺", min_size=1, max_size=6), min_size=6, max_size=6, unique=True))
def test_values_of_every_message_are_kept(values: list[str]) -> None:
    known = catalogue()
    english = {text: filled(text, values) for text in templates() & known.keys()}
    assert {text: localized(message) for text, message in english.items()} == english
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MEDLLM_LANG", "zh")
        told = {text: localized(message).replace(" ", "") for text, message in english.items()}
    assert told == {text: filled(known[text], values).replace(" ", "") for text in english}


@pytest.mark.parametrize(
    ("english", "chinese"),
    [
        ("a.tsv:3: 5 columns instead of 4", "a.tsv:3: 有 5 列，应为 4 列"),
        (
            "n.txt: encoding: not utf-8 (byte 5); give --encoding, such as latin-1, cp1252 or gb18030",
            "n.txt: encoding: 不是 utf-8（第 5 字节）；请用 --encoding，如 latin-1、cp1252 或 gb18030",
        ),
        (
            "n.ann:4: unknown-reference: both ends of the relation: not there, or dropped (dropped)",
            "n.ann:4: unknown-reference: 关系的两端：不存在或已丢弃（已丢弃）",
        ),
        ("gold has a, b and 4 more", "金标准有 a, b 以及另外 4 个"),
        (
            "the hub: it cannot be reached (OSError).\npip: neither pip nor uv is installed.",
            "the hub: 无法连接（OSError）。\npip: pip 和 uv 都没有安装。",
        ),
        ("a precision of 0.9 cannot be promised: the most it can promise is 0.8", "无法保证精确率 0.9：最多能保证 0.8"),
        ("there is no file or folder 'the file is empty'", "没有文件或文件夹 'the file is empty'"),
        ("something that nobody wrote", "something that nobody wrote"),
    ],
)
def test_places_parts_and_sentences(english: str, chinese: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDLLM_LANG", "zh")
    assert localized(english) == chinese


def test_other_languages_fall_back_to_english() -> None:
    told = medllm_says("view", "--help", lang="xx")
    assert "Open it in the browser" in told.stdout


def test_what_was_not_read_is_told_in_chinese(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = {"note_id": "n", "reason": "empty", "detail": "no text, or only white space"}
    run = ViewData("t", Schema.load("clinical-zh"), [], ledger=[entry])
    assert "no text, or only white space" in render(run)
    monkeypatch.setenv("MEDLLM_LANG", "zh")
    assert "没有正文，或只有空白" in render(run)


def test_the_view_in_chinese(monkeypatch: pytest.MonkeyPatch) -> None:
    run = ViewData("t", Schema.load("clinical-zh"), [Extraction(note=Note(id="n", text="头痛。"))])
    english = render(run)
    monkeypatch.setenv("MEDLLM_LANG", "zh")
    chinese = render(run)
    assert '<html lang="en">' in english
    assert '<html lang="zh">' in chinese
    assert "在本份病历中查找" in chinese
    assert "Find in this note" not in chinese.replace('"Find in this note":', "")
    text = re.sub(r"<(script|style)\b.*?</\1>|<[^>]*>", " ", chinese, flags=re.DOTALL)
    assert set(re.findall(r"[A-Za-z]{4,}", text)) <= {"Enter", "Shift", "schema", "clinical"} | set(Schema.load("clinical-zh").labels)
