"""Model files are data: nothing that is loaded can bring code, but for a schema file, which is code and said to be."""

import ast
import pickle
from pathlib import Path

import numpy as np
import pytest

import medllm
from medllm.errors import MedllmError, ModelError, PromptError
from medllm.prompting.render import Prompts
from medllm.text.linear import LinearClassifier

ROOT = Path(medllm.__file__).parent
UNPICKLERS = {"pickle", "_pickle", "cPickle", "cloudpickle", "dill", "joblib", "shelve", "marshal", "pandas"}
CALLS = {"eval", "exec", "compile", "execfile"}


def offences(source: str) -> list[str]:
    """What in a module can load a pickle, or run what it loads."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            found += [f"import {name}" for name in names if name.partition(".")[0] in UNPICKLERS]
        if not isinstance(node, ast.Call):
            continue
        name = ast.unparse(node.func)
        given = {k.arg: ast.unparse(k.value) for k in node.keywords if k.arg}
        if name in CALLS or name in ("torch.load", "yaml.load", "yaml.unsafe_load", "torch.hub.load"):
            found.append(name)
        if name in ("np.load", "numpy.load") and given.get("allow_pickle") != "False":
            found.append(name)
        if given.get("allow_pickle") == "True" or given.get("trust_remote_code", "False") != "False":
            found.append(f"{name} with {given}")
    return found


def test_the_scan_finds_what_it_is_for() -> None:
    assert offences("import pickle") == ["import pickle"]
    assert offences("from joblib import load") == ["import joblib"]
    assert offences("torch.load(path)") == ["torch.load"]
    assert offences("np.load(path)") == ["np.load"]
    assert offences("f(x, trust_remote_code=True)")
    assert offences("np.load(path, allow_pickle=False)") == []


def test_no_module_unpickles_or_runs_what_it_loads() -> None:
    found = {}
    for path in ROOT.rglob("*.py"):
        if here := offences(path.read_text(encoding="utf-8")):
            found[path.relative_to(ROOT).as_posix()] = here
    assert found == {}


def test_weights_of_transformers_are_safetensors() -> None:
    """Every class of transformers that loads weights is told to take nothing else."""
    told = 0
    for path in ROOT.rglob("*.py"):
        source = path.read_text(encoding="utf-8")
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Call) and (name := ast.unparse(node.func)).endswith(".from_pretrained"):
                if any(word in name for word in ("Tokenizer", "Config", "Processor", "Generation")):
                    continue
                told += 1
                options = {k.arg for k in node.keywords}
                assert "use_safetensors" in options or (None in options and '"use_safetensors": True' in source), f"{path.name}: {name}"
    assert told > 2


class Trap:
    """Says so when it is unpickled."""

    def __reduce__(self) -> tuple[type[Path.touch], tuple[Path]]:  # type: ignore[valid-type]
        return Path.touch, (self.path,)

    def __init__(self, path: Path) -> None:
        self.path = path


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.safetensors", "model.onnx", "model.int8.onnx"])
def test_a_pickled_tagger_is_refused_and_never_opened(tmp_path: Path, name: str) -> None:
    from medllm.taggers.sources import SHIPPED
    from medllm.taggers.tagger import Tagger

    folder = tmp_path / "tagger"
    folder.mkdir()
    for each in ("tagger.json", "tokenizer.json"):
        (folder / each).write_bytes((SHIPPED / "clinical-en" / each).read_bytes())
    (folder / "config.json").write_text('{"model_type": "bert"}')
    (folder / name).write_bytes(pickle.dumps(Trap(tmp_path / "sprung")))
    with pytest.raises(MedllmError):
        Tagger.load(folder).tag("No fever.")
    assert not (tmp_path / "sprung").exists()


def test_a_pickled_gguf_is_refused(tmp_path: Path) -> None:
    from medllm.engines.embedded import EmbeddedEngine

    (tmp_path / "model.gguf").write_bytes(pickle.dumps(Trap(tmp_path / "sprung")))
    with pytest.raises(MedllmError):
        EmbeddedEngine(tmp_path / "model.gguf")
    assert not (tmp_path / "sprung").exists()


def test_a_pickled_array_is_refused(tmp_path: Path) -> None:
    arrays = {"weights": np.array([Trap(tmp_path / "sprung")], dtype=object), "bias": np.zeros(1), "about": np.array("{}")}
    np.savez(tmp_path / "kinds.npz", **arrays)
    with pytest.raises(ModelError):
        LinearClassifier.load(tmp_path / "kinds.npz")
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize(
    "hostile",
    [
        "{% for x in range(1000000000) %}{% endfor %}",
        "{% include '/etc/passwd' %}",
        "{% include '../../../../../../etc/passwd' %}",
        "{{ self.__init__.__globals__ }}",
        "{{ namespace.__init__.__globals__['os'].system('true') }}",
        "{{ joiner.__init__.__globals__ }}",
        "{{ request.application.__globals__ }}",
        "{{ (schema|attr('__class__')).__mro__ }}",
        "{{ schema.model_construct.__globals__ }}",
        "{{ schema['__init__']['__globals__'] }}",
        "{% set x = schema.entities[0].__subclasses__() %}",
    ],
)
def test_hostile_templates_see_nothing_and_change_nothing(tmp_path: Path, hostile: str) -> None:
    from medllm.grammar.layout import get_layout
    from medllm.prompting.questions import Questions
    from medllm.schema import Schema
    from medllm.text.chunks import split_chunks

    path = tmp_path / "entities" / "en" / "user.j2"
    path.parent.mkdir(parents=True)
    path.write_text(hostile)
    (chunk,) = split_chunks("Mrs Qwyzzk has fever.", len, 4000)
    try:
        questions = Questions(Schema.load("clinical"), get_layout("lines"), Prompts(tmp_path))
        shown = "".join(message.content for message in questions.entities(chunk).messages if message.role == "user")
    except PromptError as error:
        shown = str(error).replace("Qwyzzk", "root:")
    assert not any(word in shown for word in ("root:", "<module", "<function", "<class", "__builtins__"))
