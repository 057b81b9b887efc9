"""Messages in Chinese: none of the command line's is without a translation, and the catalogue is compiled from its source."""

import ast
import os
import re
import subprocess
import sys
from gettext import GNUTranslations
from pathlib import Path

import pytest

import medllm
from medllm.messages import FOLDER

PACKAGE = Path(medllm.__file__).parent
MODULES = sorted((PACKAGE / "cli").glob("*.py"))
PO = FOLDER / "zh" / "LC_MESSAGES" / "medllm.po"


def catalogue() -> GNUTranslations:
    with PO.with_suffix(".mo").open("rb") as file:
        return GNUTranslations(file)


def said() -> set[str]:
    """All help of options and commands, and everything that goes through the translating function, by the modules' own code."""
    found: set[str] = set()
    for module in MODULES:
        for node in ast.walk(ast.parse(module.read_text("utf-8"))):
            if isinstance(node, ast.Call):
                named = [k.value for k in node.keywords if k.arg == "help"]
                called = node.func.id if isinstance(node.func, ast.Name) else ""
                texts = named + (node.args[:1] if called in ("_", "translated") else [])
                found |= {text.value for text in texts if isinstance(text, ast.Constant) and isinstance(text.value, str)}
            if isinstance(node, ast.FunctionDef) and any(isinstance(a.annotation, ast.Subscript) for a in node.args.args):
                found |= {ast.get_docstring(node) or ""}
    return found - {""}


def test_every_message_of_the_command_line_has_a_translation() -> None:
    chinese = catalogue()
    assert len(said()) > 100
    assert {text for text in said() if chinese.gettext(text) == text} == set()


def test_translations_name_the_same_values() -> None:
    chinese = catalogue()
    for text in said():
        assert sorted(re.findall(r"\{\w+\}", text)) == sorted(re.findall(r"\{\w+\}", chinese.gettext(text))), text


def test_the_catalogue_is_compiled_from_its_source() -> None:
    pofile = pytest.importorskip("babel.messages.pofile", reason="catalogues are compiled with babel")
    with PO.open("rb") as file:
        source = {m.id: m.string for m in pofile.read_po(file) if m.id}
    compiled = catalogue()
    assert {text: compiled.gettext(text) for text in source} == source
    assert source.keys() >= said()


def medllm_says(*arguments: str, lang: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "error", "-c", "from medllm.cli import main; main()", *arguments]
    environment = {**os.environ, "MEDLLM_LANG": lang, "PYTHONIOENCODING": "utf-8"}
    return subprocess.run(command, capture_output=True, text=True, check=False, encoding="utf-8", env=environment)


def test_help_and_errors_in_chinese() -> None:
    told = medllm_says("view", "--help", lang="zh_CN.UTF-8")
    assert "在浏览器中打开" in told.stdout
    assert "Open it in the browser" not in told.stdout
    failed = medllm_says("view", "no-such-folder", lang="zh")
    assert failed.returncode == 1
    assert failed.stderr.startswith("错误: ")


def test_other_languages_fall_back_to_english() -> None:
    told = medllm_says("view", "--help", lang="xx")
    assert "Open it in the browser" in told.stdout
