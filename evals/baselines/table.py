"""The baselines beside medllm's own recorded results, as Markdown: ``python evals/baselines/table.py``.

Reads evals/results/baselines_kiwi.json, and what else there is of evals/results/embedded_*.json; runs nothing.
"""

import json
from pathlib import Path
from typing import Any

from medllm.evaluation.report.markdown import markdown_table

RESULTS = Path(__file__).parents[1] / "results"
SUITE, SAMPLE = "kiwi-mtsamples", "kiwi-20"
MEASURES = ("precision", "recall", "f1")
METRICS = ("exact", "overlap")


def write_table(record: Path, out: Path) -> None:
    found = json.loads(record.read_text())
    systems = {name: s["scores"] for name, s in found["systems"].items() if "scores" in s}
    sample = {name: scores[SAMPLE] for name, scores in systems.items()}
    others = {name: result for path in sorted(record.parent.glob("embedded_*.json")) if (result := _own(path)) for name in [result["name"]]}
    parts = [
        "# Baselines",
        "What a user would otherwise pick, scored in the same harness on the same notes. Micro averages over problem, test, treatment and "
        "drug, with 95% intervals (percentile bootstrap over notes, 1,000 samples).",
        f"## All {found['data'][SUITE].split(': ')[1].split(',')[0]} ({SUITE})",
        _scores({name: scores[SUITE] for name, scores in systems.items()}),
        "### F1 by label",
        _labels({name: scores[SUITE] for name, scores in systems.items()}, found["labels"]),
        "### Assertion",
        "Over the mentions found exactly; `absent` is negation. Gold's assertions follow from the modifiers of each problem.",
        _assertions({name: scores[SUITE] for name, scores in systems.items()}),
        f"## The sample of {found['data'][SAMPLE].split(': ')[1].split(',')[0]} ({SAMPLE})",
        "The rows above medllm's have learnt from annotated notes of this corpus (the other folds of all notes); medllm's have used none.",
        _scores(sample | {name: result["scores"] for name, result in others.items()}),
        "### F1 by label",
        _labels(sample | {name: result["scores"] for name, result in others.items()}, found["labels"]),
        "## How",
        _how(found, others),
    ]
    out.write_text("\n\n".join(parts) + "\n")


def _own(path: Path) -> dict[str, Any] | None:
    """medllm's own result, if it is one over the sample."""
    result = json.loads(path.read_text())
    if result.get("benchmark") != "embedded_reader" or not result.get("data", "").startswith("kiwi-mtsamples-20"):
        return None
    return result | {"name": f"medllm, {result['configuration']['model']}", "file": path.name}


def _scores(systems: dict[str, Any]) -> str:
    head = ["System", *(f"{m.capitalize()}, {metric}" for metric in METRICS for m in MEASURES)]
    rows = [[name, *(_cell(scores[metric], m) for metric in METRICS for m in MEASURES)] for name, scores in systems.items()]
    return markdown_table(head, rows)


def _labels(systems: dict[str, Any], labels: list[str]) -> str:
    head = ["System", *(f"{label}, {metric}" for metric in METRICS for label in labels)]
    rows = [[name, *(_cell(scores[metric], "f1", label) for metric in METRICS for label in labels)] for name, scores in systems.items()]
    return markdown_table(head, rows)


def _assertions(systems: dict[str, Any]) -> str:
    matched, whole = "attribute-matched:assertion", "attribute:assertion"
    rows = [
        [name, _cell(s[matched], "recall"), *(_cell(s[matched], m, "absent") for m in MEASURES), _cell(s[whole], "f1", "absent")]
        for name, s in systems.items()
        if matched in s
    ]
    return markdown_table(["System", "Accuracy", *(f"{m.capitalize()}, absent" for m in MEASURES), "F1, absent, end to end"], rows)


def _cell(summary: dict[str, Any], measure: str, label: str | None = None) -> str:
    scores = summary["micro"] if label is None else summary["labels"].get(label)
    if scores is None:
        return ""
    drawn = summary.get("intervals", {})
    interval = drawn.get("micro") if label is None else drawn.get("labels", {}).get(label)
    text = f"{scores[measure]:.3f}"
    return text if interval is None else f"{text} ({interval[measure][0]:.3f}–{interval[measure][1]:.3f})"


def _how(found: dict[str, Any], others: dict[str, Any]) -> str:
    lines = [
        f"* Command: `{found['command']}`; the table alone again: `python evals/baselines/table.py`",
        *(f"* Data: {text}" for text in found["data"].values()),
        f"* Folds: {found['folds']}",
        "* dictionary: the terms of the other folds' mentions, longest match first, each with its most frequent label; *filtered*: only "
        "terms that are mentions at least half of the times they occur in the other folds",
        "* medspaCy: its TargetMatcher over the same terms, its ConText rules for assertion, otherwise its defaults",
        f"* Machine: {found['machine']}; date: {found['date']}; medllm {found['versions']['medllm']}, Python {found['versions']['python']}",
    ]
    for name, status in found["systems"].items():
        if "skipped" in status:
            lines.append(f"* {name}: not run: {status['skipped']}")
        elif len(status["versions"]) > 1:
            versions = ", ".join(f"{package} {version}" for package, version in status["versions"].items())
            lines.append(f"* {name}: {versions}; {status['cpu_seconds']:.0f} s of one core for all notes")
    lines += [f"* {name}: {result['file']}, {result['date']}, `{result['command']}`" for name, result in others.items()]
    return "\n".join(lines)


if __name__ == "__main__":
    write_table(RESULTS / "baselines_kiwi.json", RESULTS / "baselines.md")
