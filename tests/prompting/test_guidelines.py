"""Guidelines in another language: they name what their pack has, all of it, and nothing else."""

import tomllib
from pathlib import Path

import pytest

from medllm.errors import PromptError
from medllm.prompting.render import Guidelines, Prompts
from medllm.schema import Schema, attributes

FOLDER = Path(__file__).parents[2] / "prompts" / "guidelines"


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*/*.toml")), ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_a_file_has_a_text_for_every_class_of_its_pack(path: Path) -> None:
    schema = Schema.load(path.stem)
    data = tomllib.loads(path.read_text(encoding="utf-8"))
    assert data["description"]
    assert set(data["entities"]) == set(schema.labels)
    assert set(data.get("relations", {})) == {r.label for r in schema.pair_relations}
    assert set(data.get("attributes", {})) == {a.name for kind in schema.entities for a in attributes(kind)}
    assert schema.language != path.parent.name
    assert Prompts().guidelines(path.stem, path.parent.name) == Guidelines(**data)


def test_a_folder_of_one_s_own_may_hold_them(tmp_path: Path) -> None:
    (tmp_path / "guidelines" / "fr").mkdir(parents=True)
    (tmp_path / "entities" / "fr").mkdir(parents=True)
    (tmp_path / "entities" / "fr" / "system.j2").write_text("Liste.", encoding="utf-8")
    file = tmp_path / "guidelines" / "fr" / "clinical.toml"
    file.write_text('[entities]\nproblem = "Une maladie."\n', encoding="utf-8")
    prompts = Prompts(tmp_path)
    assert prompts.guidelines("clinical", "fr").entities == {"problem": "Une maladie."}
    assert prompts.digest != Prompts().digest
    assert prompts.guidelines("clinical", "xx") == Guidelines()
    file.write_text("problem = ", encoding="utf-8")
    with pytest.raises(PromptError, match=r"guidelines/fr/clinical.toml"):
        prompts.guidelines("clinical", "fr")
