"""What a user installs is what was tested: the wheel in an environment of its own, and the README's examples under mypy."""

import os
import re
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from tests.evaluation.i2b2 import hand_out

ROOT = Path(__file__).parents[1]
SMOKE = """
import sys, medllm.schemas.clinical, medllm.schemas.i2b2_2010
from medllm import Extractor, Note
from medllm.prompting.render import Prompts
assert 'site-packages' in medllm.__file__, medllm.__file__
assert Prompts().languages('entities') == ('en', 'zh')
assert Prompts().guidelines('clinical', 'zh').entities
from medllm.rules import find_cues
assert [c.kind.value for c in find_cues('No, 否认')] == ['negation', 'negation']
from medllm.engines.embedded import EmbeddedEngine
with Extractor('clinical', engine=EmbeddedEngine(sys.argv[1])) as extractor:
    extraction = extractor.extract('He takes aspirin 81 mg for chest pain.')
assert not extraction.ledger
assert all(e.text == e.span.of(extraction.note.text) for e in extraction.entities)
from medllm.report import render, ViewData
assert 'aspirin' in render(ViewData('smoke', extractor.schema, (extraction,)))
"""


SUITES = """
import sys
from pathlib import Path
import medllm
from medllm.evaluation import suite as suites
from medllm.evaluation.gold import read_gold
from medllm.formats import labelmap
from medllm.schema import Schema
assert Path(medllm.__file__).is_relative_to(sys.argv[1]), medllm.__file__
for name in suites.shipped_suites():
    suite = suites.load(name)
    labelmap.check(labelmap.load(suite.file(suite.label_map)), Schema.load(suite.pack_name))
    assert suite.corpus.notes is None or suite.file(suite.corpus.notes).is_file(), name
    print(name)
suite = suites.load('i2b2-2010')
gold = read_gold(suite, Schema.load(suite.pack_name), data=Path(sys.argv[2]))
print(*(e.text for note in gold.notes.values() for e in note.entities), sep=',')
"""


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("wheel")
    subprocess.run([sys.executable, "-m", "build", "--wheel", "-o", str(out), str(ROOT)], check=True, capture_output=True)
    (built,) = out.glob("*.whl")
    return built


@pytest.mark.packaging
def test_suites_are_found_by_name_in_what_is_installed(tmp_path: Path, wheel: Path) -> None:
    here = tmp_path / "installed"
    command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-index", "--target", str(here), str(wheel)]
    subprocess.run(command, check=True, capture_output=True)
    environment = {k: v for k, v in os.environ.items() if k != "MEDLLM_DATA"} | {"PYTHONPATH": str(here)}
    words = ["-c", SUITES, str(here), str(hand_out(tmp_path / "data"))]
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True, check=False, env=environment, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    *names, texts = done.stdout.splitlines()
    assert names == sorted(path.stem for path in (ROOT / "evals" / "suites").glob("*.yaml"))
    assert texts == "chest pain,fever,aspirin,his pain"


@pytest.mark.packaging
@pytest.mark.model
def test_the_wheel_in_a_clean_environment(tmp_path: Path, model_path: Path, wheel: Path) -> None:
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
    venv.create(tmp_path / "venv", with_pip=True)
    (packages,) = (tmp_path / "venv").glob("lib/*/site-packages")
    there = {path.name for path in packages.iterdir()}  # pip and setuptools
    python = tmp_path / "venv" / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "-q", str(wheel)], check=True, capture_output=True, env=environment, cwd=tmp_path)
    done = subprocess.run(
        [python, "-c", SMOKE, str(model_path)], capture_output=True, text=True, check=False, env=environment, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    done = subprocess.run([tmp_path / "venv" / "bin" / "medllm", "--version"], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert done.stdout.startswith("medllm ")
    installed = (path for path in packages.iterdir() if path.name not in there)
    assert sum(f.stat().st_size for path in installed for f in (path, *path.rglob("*")) if f.is_file()) < 400e6


def test_importing_medllm_loads_nothing_heavy() -> None:
    code = (
        "import sys, medllm, medllm.cli\n"
        "heavy = {'torch', 'transformers', 'outlines', 'xllamacpp', 'numpy', 'pydantic', 'jinja2'}\n"
        "print(*heavy & {m.partition('.')[0] for m in sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_the_readmes_examples_are_typed(tmp_path: Path) -> None:
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) >= 2
    typed = "from medllm.document import Extraction\nfrom medllm.schemas.clinical import Problem\n\n\n"
    typed += "def problems(extraction: Extraction) -> tuple[Problem, ...]:\n    return extraction.of(Problem)\n"
    for number, block in enumerate([*blocks, typed]):
        (tmp_path / f"example_{number}.py").write_text(block, encoding="utf-8")
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file", str(ROOT / "pyproject.toml"), *map(str, tmp_path.glob("*.py"))]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
