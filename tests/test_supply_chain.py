"""The pinned requirements fit pyproject.toml and have hashes; the SBOM and the page of licences are of these very pins."""

import json
import re
import tomllib

import pytest
from packaging.requirements import Requirement

from evals.supply_chain import LISTS, ROOT, licences_page, normal, pinned

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


@pytest.mark.parametrize("name", LISTS)
def test_every_pin_has_a_version_and_hashes(name: str) -> None:
    text = (ROOT / "requirements" / f"{name}.txt").read_text()
    entries = [entry for entry in re.split(r"\n(?=\S)", text) if entry and not entry.startswith(("#", "    #"))]
    assert len(entries) == len(pinned(name)) > 20
    for entry in entries:
        assert re.match(r"[\w.\[\],-]+==\S+", entry), entry.split("\n")[0]
        assert re.search(r"--hash=sha256:[0-9a-f]{64}\b", entry), entry.split("\n")[0]
    assert not re.search(r"https?://|--(extra-)?index-url|--find-links", text)


def of(given: list[str]) -> list[Requirement]:
    return [requirement for requirement in map(Requirement, given) if normal(requirement.name) != "medllm"]


@pytest.mark.parametrize("name", LISTS)
def test_pins_fit_the_project(name: str) -> None:
    wanted = of(PROJECT["dependencies"])
    if name == "dev":
        extras = re.search(r"\[(.*)\]", PROJECT["optional-dependencies"]["dev"][0])
        assert extras is not None
        for extra in ("dev", *extras[1].split(",")):
            wanted += of(PROJECT["optional-dependencies"][extra])
    found = pinned(name)
    for requirement in wanted:
        assert normal(requirement.name) in found, requirement
        assert requirement.specifier.contains(found[normal(requirement.name)], prereleases=True), requirement


def test_the_core_is_a_part_of_all() -> None:
    everything = pinned("dev")
    assert {name: everything.get(name) for name in pinned("core")} == pinned("core")


def test_the_sbom_is_of_the_core_s_pins() -> None:
    bom = json.loads((ROOT / "docs" / "sbom.cdx.json").read_text())
    assert (bom["bomFormat"], bom["metadata"]["component"]["name"]) == ("CycloneDX", "medllm")
    assert {normal(c["name"]): c["version"] for c in bom["components"]} == pinned("core")
    for component in bom["components"]:
        hashes = [h["content"] for reference in component["externalReferences"] for h in reference.get("hashes", ())]
        assert hashes, component["name"]
        assert all(len(one) == 64 for one in hashes)


def test_the_page_of_licences_is_of_all_pins() -> None:
    text = (ROOT / "docs" / "licences.md").read_text()
    rows = dict(re.findall(r"^\| (\S+) \| (\S+) \|", text, re.MULTILINE))
    rows.pop("package")
    assert rows == pinned("dev")
    told = dict(re.findall(r"^\| (\S+) \| \S+ \| (.*?) \|", text, re.MULTILINE))
    core = [told[name] for name in pinned("core")]
    assert not [name for name in core if name == "not told"]
    assert not [name for name in core if re.search(r"\b(A?GPL|SSPL|BUSL)\b", name) and "LGPL" not in name]
    assert licences_page().splitlines()[:2] == text.splitlines()[:2]
