"""Every vector of the scoring-parity folder: inputs, what the official scorers printed for them, and the parsed figures.

MEDLLM_PARITY names the folder; without it these tests are skipped (the rules themselves are in test_official_*.py).
Figures are compared without tolerance: printed ones digit by digit, unrounded ones as floats.
"""

import json
import math
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import pytest

from medllm.errors import FormatError
from medllm.evaluation.official import bc5cdr, conll, i2b2_2010, i2b2_2014, n2c2_2018, sequence
from medllm.evaluation.official.result import OfficialResult, Row

FOLDER = os.environ.get("MEDLLM_PARITY")
pytestmark = pytest.mark.skipif(not FOLDER, reason="MEDLLM_PARITY is not set: it names the folder of scoring-parity vectors")

Figures = dict[Any, Any]


def cases(scorer: str) -> list[str]:
    root = Path(FOLDER or ".") / scorer
    if not FOLDER:
        return ["folder"]
    tiny = [f"tiny:{q['name']}" for q in json.loads((root / "quirks.json").read_text())]
    return sorted(p.name for p in root.iterdir() if p.is_dir()) + tiny


def load(scorer: str, case: str, tmp_path: Path) -> tuple[Path, Path, str, Any]:
    """Gold folder, prediction folder, what the scorer printed, the parsed figures."""
    root = Path(FOLDER or ".") / scorer
    inputs = Path(FOLDER or ".") / ("n2c2-2018-track2" if scorer == "uf-hobi-brat-eval" else scorer)
    if not case.startswith("tiny:"):
        expected = json.loads((root / case / "expected.json").read_text())
        return inputs / case / "gold", inputs / case / "pred", (root / case / "official_stdout.txt").read_text(), expected
    found, source = (next(q for q in json.loads((f / "quirks.json").read_text()) if q["name"] == case[5:]) for f in (root, inputs))
    for side in ("gold", "pred"):
        (tmp_path / side).mkdir()
        for name, text in source[side].items():
            (tmp_path / side / name).write_bytes(text.encode())
    return tmp_path / "gold", tmp_path / "pred", found["official_stdout"], found["expected"]


def compared(ours: Figures, official: Figures) -> None:
    assert official, "the official output has no figures"
    missing = official.keys() - ours.keys()
    different = {k: (ours[k], v) for k, v in official.items() if k in ours and not same(ours[k], v)}
    assert not missing
    assert not different


def same(a: object, b: object) -> bool:
    if isinstance(a, float) and isinstance(b, float):
        return a == b or (math.isnan(a) and math.isnan(b))
    return a == b


def number(value: Any) -> Any:
    return math.nan if value in ("NaN", "nan") else value


def stops(run: Callable[[], object], path: Path, line: int) -> None:
    with pytest.raises(FormatError) as caught:
        run()
    assert (Path(caught.value.path).parent, caught.value.line) == (path, line)
    assert caught.value.hint


# --- i2b2 2010 ---------------------------------------------------------------------------------------------------------

KINDS = {"CONCEPT": "1", "ASSERTION": "2", "RELATION": "3"}


def i2b2_2010_printed(text: str) -> Figures:
    figures: Figures = {}
    kind = section = ""
    for line in text.split("\n"):
        if found := re.match(r"-- (\w+) FILE TEST --", line):
            kind = KINDS[found[1]] + ".1"
        elif found := re.match(r"TESTING (\d\.\d)", line):
            section = found[1]
        elif found := re.match(r"Number of Reference (\w+).*:(.*)\tNumber of System \w+.*:(.*)", line):
            figures[kind, found[1].lower()] = (float(found[2]), float(found[3]))
        elif " ->\t" in line:
            name, *values = re.split(r" ->\t|\t", line)
            figures.update({(section, name, i): float(v) for i, v in enumerate(values)})
    return figures


def i2b2_2010_ours(result: OfficialResult) -> Figures:
    figures: Figures = {}
    for table in result.tables:
        for row in table.rows:
            values = [float(row.counts[k]) for k in ("tp", "fn", "fp")] + [row.recall, row.precision, row.f1]
            figures.update({(table.name, row.name, i): v for i, v in enumerate(values)})
        for what in ("files", "lines"):
            if table.facts:
                figures[table.name, what] = (table.facts[f"reference_{what}"], table.facts[f"system_{what}"])
    return figures


@pytest.mark.parametrize("case", cases("i2b2-2010"))
def test_i2b2_2010(case: str, tmp_path: Path) -> None:
    gold, pred, printed, expected = load("i2b2-2010", case, tmp_path)
    result = i2b2_2010.score(gold, pred)
    ours = i2b2_2010_ours(result)
    compared(ours, i2b2_2010_printed(printed))
    parsed = {
        (table, row, i): float(number(values[k]))
        for kind in ("concept", "assertion", "relation")
        for table, rows in expected.get(kind, {}).items()
        if isinstance(rows, dict)
        for row, values in rows.items()
        if row != "title"
        for i, k in enumerate(("tp", "fn", "fp", "r", "p", "f"))
    }
    compared(ours, parsed)
    unread = re.findall(r"\[ERROR\]Problem reading line (\d+)in file: (\S+)", printed)
    assert sorted(p.split(": ")[0] for p in result.problems) == sorted(f"{gold.parent}/{path}:{line}" for line, path in unread)


# --- n2c2 2018 track 2 and brat_eval.py --------------------------------------------------------------------------------


def n2c2_printed(text: str) -> Figures:
    figures: Figures = {}
    kind = "entities"
    for line in text.split("\n"):
        kind = "relations" if "* RELATIONS *" in line else kind
        if found := re.match(r" *(\S.*?)((?:  +[01]\.\d{4}){6})$", line):
            values = found[2].split()
            name = found[1].replace(" -> ", "-")
            figures.update({(f"{kind} {mode}", name): tuple(values[3 * i : 3 * i + 3]) for i, mode in enumerate(("strict", "lenient"))})
    return figures


def n2c2_ours(result: OfficialResult) -> Figures:
    def name(table: str, row: Row) -> str:
        return row.name.capitalize() if table.startswith("entities") and not row.name.startswith("Overall") else row.name

    return {
        (t.name, name(t.name, row)): tuple(f"{v:.4f}" for v in (row.precision, row.recall, row.f1)) for t in result.tables for row in t.rows
    }


def n2c2_objects(expected: Any) -> Iterator[tuple[Any, Any]]:
    """The counts and the unrounded overall figures that were read from the scorer's own objects."""
    for kind, types in expected.get("counts_from_scorer_objects", {}).items():
        for name, modes in types.items():
            for mode, values in modes.items():
                table = f"{'entities' if kind == 'tags' else kind} {mode}"
                row = "Overall (micro)" if name == "overall" else name
                yield (table, row), {k: values[k] for k in ("tp", "fp", "fn")}
                for average in ("micro", "macro"):
                    if average in values:
                        yield (table, f"Overall ({average})", "scores"), tuple(values[average].values())


@pytest.mark.parametrize("scorer", ["n2c2-2018-track2", "uf-hobi-brat-eval"])
@pytest.mark.parametrize("case", cases("n2c2-2018-track2"))
def test_n2c2_2018(scorer: str, case: str, tmp_path: Path) -> None:
    gold, pred, printed, expected = load(scorer, case, tmp_path)
    rows: Literal["task", "gold"] = "task" if scorer.startswith("n2c2") else "gold"
    if "exit_status" in str(expected):
        side, line = {"discontinuous_four_parts_first": (gold, 1), "relation_dangling_argument": (pred, 2)}[case[5:]]
        stops(lambda: n2c2_2018.score(gold, pred, rows=rows), side, line)
        return
    result = n2c2_2018.score(gold, pred, rows=rows)
    official = n2c2_printed(printed)
    compared(n2c2_ours(result), official)
    assert n2c2_ours(result).keys() == official.keys()
    objects = dict(n2c2_objects(expected))
    counts = {(t.name, row.name): dict(row.counts) for t in result.tables for row in t.rows}
    scores = {(t.name, row.name, "scores"): (row.precision, row.recall, row.f1) for t in result.tables for row in t.rows}
    if scorer.startswith("n2c2"):
        compared(counts, {k: v for k, v in objects.items() if len(k) == 2})
        for key, figures in ((k, v) for k, v in objects.items() if len(k) == 3):
            # Unrounded macro averages were summed in the order of a Python set, which differs from run to run in the last bit.
            assert scores[key] == (pytest.approx(figures, rel=1e-14) if "macro" in key[1] else figures)
    assert expected["printed"]["files_found"] == result.tables[0].facts["documents"]


# --- BC5CDR ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", cases("bc5cdr-0.0.3"))
def test_bc5cdr(case: str, tmp_path: Path) -> None:
    gold, pred, printed, expected = load("bc5cdr-0.0.3", case, tmp_path)
    if "exit_status" in str(expected):
        stops(lambda: bc5cdr.score(gold, pred), pred, 5)
        return
    official: Figures = {}
    section = ("", "")
    for line in printed.split("\n"):
        if line.startswith("### "):
            section = (line.split()[1], line.split()[2])
        elif not line.startswith("INFO") and ": " in line:
            official[(*section, line.split(": ")[0])] = float(line.split(": ")[1])
    names = ("TP", "FP", "FN", "Precision", "Recall", "F-score")
    ours = {
        (t.name, row.name, n): float(v)
        for t in bc5cdr.score(gold, pred).tables
        for row in t.rows
        for n, v in zip(names, (*(row.counts[k] for k in ("tp", "fp", "fn")), row.precision, row.recall, row.f1), strict=True)
    }
    assert ours.keys() == official.keys()
    compared(ours, official)
    parsed = {
        (t, row, n): float(number(values[n.lower()]))
        for t in ("mention", "id", "relation")
        for row, values in expected[t].items()
        for n in names
    }
    compared(ours, parsed)


# --- BIO ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", cases("conll-bio"))
def test_conlleval(case: str, tmp_path: Path) -> None:
    gold, pred, printed, expected = load("conll-bio", case, tmp_path)
    result = conll.score(gold / "gold.bio", pred / "pred.bio")
    assert conlleval_text(result) == printed
    columns = tmp_path / "columns"
    if case.startswith("tiny:"):
        quirks = json.loads((Path(FOLDER or ".") / "conll-bio" / "quirks.json").read_text())
        columns.write_text(next(q["conlleval_input"] for q in quirks if q["name"] == case[5:]))
    else:
        columns = Path(FOLDER or ".") / "conll-bio" / case / "conlleval_input.txt"
    assert conll.score_columns(columns).tables == result.tables
    overall, facts = result.row("phrases", "overall"), result.tables[0].facts
    ours = {k: facts[k] for k in ("tokens", "gold_phrases", "found_phrases", "correct")} | {
        "accuracy": round(facts["accuracy"], 2),
        "by_type": {
            r.name: {**percents(r), "found": r.counts["tp"] + r.counts["fp"]} for r in result.tables[0].rows if r.name != "overall"
        },
    }
    compared(ours | percents(overall), expected["conlleval"])


def percents(row: Row) -> dict[str, float]:
    return {"precision": round(row.precision, 2), "recall": round(row.recall, 2), "fb1": round(row.f1, 2)}


def conlleval_text(result: OfficialResult) -> str:
    """The figures in conlleval's own layout."""

    def scores(row: Row) -> str:
        return f"precision: {row.precision:6.2f}%; recall: {row.recall:6.2f}%; FB1: {row.f1:6.2f}"

    table = result.tables[0]
    facts, overall = table.facts, table.row("overall")
    text = f"processed {facts['tokens']} tokens with {facts['gold_phrases']} phrases; "
    text += f"found: {facts['found_phrases']} phrases; correct: {facts['correct']}.\n"
    text += f"accuracy: {facts['accuracy']:6.2f}%; {scores(overall)}\n"
    types = [row for row in table.rows if row.name != "overall"]
    return text + "".join(f"{row.name:>17}: {scores(row)}  {row.counts['tp'] + row.counts['fp']}\n" for row in types)


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("case", cases("conll-bio"))
def test_seqeval(case: str, strict: bool, tmp_path: Path) -> None:
    pytest.importorskip("seqeval")
    gold, pred, _, expected = load("conll-bio", case, tmp_path)
    official = expected["seqeval_strict_iob2" if strict else "seqeval_default"]
    if "exception" in official:
        with pytest.raises(FormatError, match="no entity"):
            sequence.seqeval(gold / "gold.bio", pred / "pred.bio", strict=strict)
        return
    table = sequence.seqeval(gold / "gold.bio", pred / "pred.bio", strict=strict).tables[0]
    rows = {row.name: {"precision": row.precision, "recall": row.recall, "f1-score": row.f1, **row.counts} for row in table.rows}
    averages = {
        name: {"precision": row.precision, "recall": row.recall, "f1": row.f1}
        for name in ("micro", "macro", "weighted")
        for row in [table.row(f"{name} avg")]
    }
    by_type = {name: values for name, values in rows.items() if not name.endswith(" avg")}
    compared({**averages, "by_type": by_type, "accuracy": table.facts["accuracy"]}, official)


@pytest.mark.parametrize("case", cases("conll-bio"))
def test_nervaluate(case: str, tmp_path: Path) -> None:
    pytest.importorskip("nervaluate")
    gold, pred, _, expected = load("conll-bio", case, tmp_path)
    result = sequence.nervaluate(gold / "gold.bio", pred / "pred.bio")
    official = expected["nervaluate"]
    wanted = {(scheme, "overall"): values for scheme, values in official["overall"].items()}
    wanted |= {(scheme, name): values for name, schemes in official["by_type"].items() for scheme, values in schemes.items()}
    ours = {
        (t.name, row.name): {**row.counts, "precision": row.precision, "recall": row.recall, "f1": row.f1}
        for t in result.tables
        for row in t.rows
    }
    compared(ours, wanted)


# --- i2b2 2014 ---------------------------------------------------------------------------------------------------------


def i2b2_2014_text(result: OfficialResult) -> str:
    """The figures in the script's own layout."""
    text = ""
    for table in result.tables:
        macro, micro = table.row("macro"), table.row("micro")
        sd = macro.spread or (math.nan, math.nan)
        rows = (
            (f"{table.name} ({table.facts['documents']})", "Measure", "Macro (SD)", "Micro (Primary)"),
            ("-" * 25, "-" * 15, "-" * 15, "-" * 20),
            ("Total", "Precision", f"{macro.precision:.4} ({sd[0]:.2})", f"{micro.precision:.4}"),
            ("", "Recall", f"{macro.recall:.4} ({sd[1]:.2})", f"{micro.recall:.4}"),
            ("", "F1", f"{macro.f1:.4}", f"{micro.f1:.4}"),
        )
        text += "".join("{:<25}{:<15}{:<15}{:<20}\n".format(*row) for row in rows) + "\n\n"
    return text


@pytest.mark.parametrize("case", cases("i2b2-2014-phi"))
def test_i2b2_2014(case: str, tmp_path: Path) -> None:
    gold, pred, printed, expected = load("i2b2-2014-phi", case, tmp_path)
    result = i2b2_2014.score(gold, pred)
    assert printed.strip()
    ours = i2b2_2014_text(result)
    if case.startswith("tiny:"):  # only the sections that are not for one tag name were kept
        ours = ours[: ours.index("CONTACT Token")]
    assert ours.strip() == printed.strip()
    # expected.json is read from these very tables; where a header runs into "Measure" ("NAME Binary HIPAA Strict (4)Measure")
    # it puts that section's figures under the section before, so that only the first ten sections can be compared with it.
    for name in list(expected["sections"])[:10]:
        macro, micro = result.row(name, "macro"), result.row(name, "micro")
        sd = macro.spread or (math.nan, math.nan)
        figures: Figures = {
            (m, k): f"{getattr(r, m):.4}" for m in ("precision", "recall", "f1") for k, r in (("macro", macro), ("micro", micro))
        }
        figures |= {("precision", "macro_sd"): f"{sd[0]:.2}", ("recall", "macro_sd"): f"{sd[1]:.2}"}
        measures = {m: v for m, v in expected["sections"][name].items() if m != "documents"}
        compared(
            {k: float(v) for k, v in figures.items()},
            {(m, k): float(number(v)) for m, values in measures.items() for k, v in values.items()},
        )
