"""What medllm is made of: an SBOM of the core's pinned requirements, the licences of all of them, and what is known against them.

    python evals/supply_chain.py --sbom docs/sbom.cdx.json --licences docs/licences.md
    python evals/supply_chain.py --audit

Run it where ``requirements/dev.txt`` is installed: licences are read from the installed distributions. The SBOM (CycloneDX, as
``cyclonedx-py`` of the package cyclonedx-bom writes it, without times so that it can be compared) has the core with the hash of every
file that pip would accept. ``--audit`` asks pip-audit for known vulnerabilities; it needs the advisories of PyPI's JSON interface, which
some mirrors do not have: it then says so and exits with 1.
"""

import argparse
import importlib.metadata
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
LISTS = ("core", "dev")
_PIN = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)(?:\[[^]]*\])?==([^\s;\\]+)", re.MULTILINE)
_OTHER = {"UNKNOWN", "", "None"}
_SHORT = 60


def pinned(name: str) -> dict[str, str]:
    """The packages of a list and their versions."""
    return {normal(n): version for n, version in _PIN.findall((ROOT / "requirements" / f"{name}.txt").read_text())}


def normal(name: str) -> str:
    """A package's name as PEP 503 compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def licence(name: str) -> str:
    """What a distribution says of its licence: the SPDX expression, else its classifiers, else its own words, cut."""
    try:
        meta = importlib.metadata.metadata(name)
    except importlib.metadata.PackageNotFoundError:
        return ""
    classified = [c.rpartition(" :: ")[2] for c in meta.get_all("Classifier") or () if c.startswith("License :: ") and c.count("::") > 1]
    own = (meta.get("License") or "").strip().splitlines()
    found = meta.get("License-Expression") or " / ".join(classified) or (own[0] if own else "")
    return "" if found in _OTHER else found[:_SHORT]


def licences_page() -> str:
    """A table of every pinned package: version, licence, and whether the core needs it."""
    core, dev = pinned("core"), pinned("dev")
    rows = [
        f"| {name} | {version} | {licence(name) or 'not told'} | {'yes' if name in core else ''} |" for name, version in sorted(dev.items())
    ]
    head = [
        "# Licences of dependencies",
        "",
        f"Made by `python evals/supply_chain.py --licences docs/licences.md` from what the {len(dev)} distributions of",
        f"`requirements/dev.txt` say of themselves; the {len(core)} of the core are in `requirements/core.txt`.",
        "torch, transformers and vLLM are the user's own choice of version and are not pinned here.",
        "",
        "| package | version | licence | core |",
        "|---|---|---|---|",
    ]
    return "\n".join([*head, *rows]) + "\n"


def sbom(python: str) -> dict[str, object]:
    """The core as CycloneDX JSON, with licences; the mirror that pip is set to is not in it."""
    line = [python, "-m", "cyclonedx_py", "requirements", "requirements/core.txt", "--output-reproducible", "--of", "JSON"]
    made = json.loads(subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=True).stdout)
    about = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    made["metadata"]["component"] = {"type": "application", "name": about["name"], "version": about["version"], "bom-ref": "root"}
    for component in made["components"]:
        component.pop("description", None)
        told = licence(component["name"])
        if told:
            component["licenses"] = [{"license": {"name": told}}]
        for reference in component.get("externalReferences", ()):
            reference["url"] = f"https://pypi.org/simple/{normal(component['name'])}/"
    return made


def audit(python: str) -> int:
    """Known vulnerabilities of the core; 0 for none, 1 for some or where nothing could be learnt."""
    line = [python, "-m", "pip_audit", "-r", "requirements/core.txt", "--disable-pip", "--require-hashes", "--progress-spinner", "off"]
    done = subprocess.run([*line, "--format", "json"], cwd=ROOT, capture_output=True, text=True)
    try:
        found = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError):
        found = []
    asked = [one for one in found if "skip_reason" not in one]
    bad = [f"{one['name']} {one['version']}: {v['id']}" for one in asked for v in one["vulns"]]
    print(f"{len(asked)} of {len(pinned('core'))} packages audited, {len(bad)} known vulnerabilities", *bad, sep="\n")
    if not asked:
        print("no advisories can be had here; where PyPI can be reached: pip install pip-audit && python evals/supply_chain.py --audit")
    return int(bool(bad) or len(asked) < len(pinned("core")))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sbom", type=Path)
    parser.add_argument("--licences", type=Path)
    parser.add_argument("--audit", action="store_true")
    parser.add_argument("--tools", default=sys.executable, help="the Python that has cyclonedx-bom and pip-audit")
    given = parser.parse_args()
    if given.sbom:
        given.sbom.write_text(json.dumps(sbom(given.tools), indent=1) + "\n")
    if given.licences:
        given.licences.write_text(licences_page())
    if given.audit:
        sys.exit(audit(given.tools))


if __name__ == "__main__":
    main()
