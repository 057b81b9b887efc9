"""Mutation testing of the core: are the tests able to fail?

    PYTHONPATH=. python evals/benchmarks/mutation.py --sample 300 --minutes 15 -o evals/results/mutation.json

A mutant is one change of one module's syntax tree (DeMillo, Lipton and Sayward 1978): a comparison, an arithmetic or Boolean operator, a
constant, a condition, a slice's end, a ``return`` or an argument's order. A seeded random sample of all mutants, the same number a target,
is run against that target's own tests, in a fresh process with the mutated module in the place of the real one. Killed means that the
tests failed, or did not end in ``TIMES`` their usual time. Survivors are listed by place and change. The interval is Wilson's, 95 %.
"""

import argparse
import ast
import copy
import datetime
import json
import math
import os
import platform
import random
import resource
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from machine import cpu_model

ROOT = Path(__file__).parents[2]
TARGETS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "offsets": (
        ("medllm/document.py", "medllm/grounding.py", "medllm/text/lines.py", "medllm/text/chunks.py", "medllm/text/pieces.py"),
        (
            "tests/test_document.py",
            "tests/test_grounding.py",
            "tests/text/test_lines.py",
            "tests/text/test_chunks.py",
            "tests/text/test_pieces.py",
        ),
    ),
    "grammar": (
        ("medllm/grammar/pinned.py", "medllm/grammar/layout.py", "medllm/grammar/copied.py", "medllm/grammar/links.py"),
        ("tests/grammar/test_layouts.py", "tests/grammar/test_links.py"),
    ),
    "scoring": (
        ("medllm/evaluation/matching.py", "medllm/evaluation/metrics.py", "medllm/evaluation/counts.py"),
        ("tests/evaluation/test_matching.py", "tests/evaluation/test_metrics.py"),
    ),
    "reconciling": (
        ("medllm/ensemble/reconcile.py", "medllm/ensemble/boundary.py", "medllm/ensemble/calibration.py"),
        ("tests/ensemble/test_reconcile.py", "tests/ensemble/test_boundary.py"),
    ),
    "rules": (
        ("medllm/rules/voice.py", "medllm/rules/context.py"),
        ("tests/rules/test_english.py", "tests/rules/test_properties.py", "tests/rules/test_voice.py"),
    ),
}
"""By target: the modules that are mutated, and the tests that must notice."""
TIMES = 5

_COMPARE: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip
_ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Add,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.BitOr: ast.BitAnd,
    ast.BitAnd: ast.BitOr,
}


@dataclass(frozen=True)
class Mutant:
    """A changed module."""

    target: str
    path: str
    line: int
    change: str
    source: str


def mutants(target: str, path: str) -> Iterator[Mutant]:
    """Every mutant of a module. Annotations, docstrings and messages are left alone: no behaviour hangs on them."""
    tree = ast.parse((ROOT / path).read_text())
    spots = [(n, change) for n, node in enumerate(ast.walk(tree)) for change in _changes(node)]
    skipped = _without_behaviour(tree)
    for n, (change, how) in spots:
        if n in skipped:
            continue
        changed = copy.deepcopy(tree)
        node = next(node for at, node in enumerate(ast.walk(changed)) if at == n)
        line = getattr(node, "lineno", 0)
        how(node)
        yield Mutant(target, path, line, change, ast.unparse(ast.fix_missing_locations(changed)))


def _without_behaviour(tree: ast.AST) -> set[int]:
    """Numbers of the nodes in annotations, raised errors, doc strings and type-checking imports."""
    number = {id(node): n for n, node in enumerate(ast.walk(tree))}
    found: set[int] = set()

    def skip(node: ast.AST | None) -> None:
        found.update(number[id(each)] for each in ast.walk(node)) if node is not None else None

    for node in ast.walk(tree):
        if isinstance(node, ast.Raise):
            skip(node)
        elif isinstance(node, ast.AnnAssign):
            skip(node.annotation)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            skip(node.returns)
            for argument in (*node.args.args, *node.args.kwonlyargs):
                skip(argument.annotation)
        elif _is_plain(node):
            skip(node)
    return found


def _is_plain(node: ast.AST) -> bool:
    """True for documentation, assertions, imports for type checkers, and calls that make types."""
    if isinstance(node, ast.Expr):
        return isinstance(node.value, ast.Constant)
    if isinstance(node, ast.If):
        return "TYPE_CHECKING" in ast.unparse(node.test)
    if isinstance(node, ast.Call):
        return ast.unparse(node.func).endswith(("TypeVar", "dataclass", "ConfigDict"))
    return isinstance(node, ast.Assert)


def _changes(node: ast.AST) -> Iterator[tuple[str, object]]:
    def put(**fields: object) -> object:
        return lambda of: [setattr(of, name, value) for name, value in fields.items()]

    if isinstance(node, ast.Compare) and type(node.ops[0]) in _COMPARE:
        other = _COMPARE[type(node.ops[0])]
        yield f"{type(node.ops[0]).__name__} to {other.__name__}", put(ops=[other(), *node.ops[1:]])
    elif isinstance(node, ast.BinOp | ast.AugAssign) and type(node.op) in _ARITHMETIC:
        operator = _ARITHMETIC[type(node.op)]
        yield f"{type(node.op).__name__} to {operator.__name__}", put(op=operator())
    elif isinstance(node, ast.BoolOp):
        joined = ast.Or if isinstance(node.op, ast.And) else ast.And
        yield f"{type(node.op).__name__} to {joined.__name__}", put(op=joined())
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield "not to bool", put(op=ast.UAdd(), operand=ast.Call(ast.Name("bool", ast.Load()), [node.operand], []))
    elif isinstance(node, ast.Constant) and isinstance(node.value, bool):
        yield f"{node.value} to {not node.value}", put(value=not node.value)
    elif isinstance(node, ast.Constant) and isinstance(node.value, int):
        yield f"{node.value} to {node.value + 1}", put(value=node.value + 1)
    elif isinstance(node, ast.IfExp | ast.If | ast.While):
        yield "condition turned", put(test=ast.UnaryOp(ast.Not(), node.test))
    elif isinstance(node, ast.Slice) and (node.lower or node.upper):
        yield "slice without its start" if node.lower else "slice without its end", put(lower=None) if node.lower else put(upper=None)
    elif isinstance(node, ast.Return) and node.value is not None and not isinstance(node.value, ast.Constant):
        yield "returns None", put(value=ast.Constant(None))


def killed(mutant: Mutant, tests: tuple[str, ...], seconds: float) -> bool:
    """Whether the tests notice the mutant."""
    return _run(tests, seconds, mutant) != 0


_SHIM = """
import importlib.machinery, sys
class Finder(importlib.machinery.PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        spec = super().find_spec(name, path, target)
        if spec is not None and spec.origin == {origin!r}:
            spec.loader = importlib.machinery.SourceFileLoader(name, {mutated!r})
            spec.cached = None
        return spec
sys.meta_path.insert(0, Finder)
"""


def _run(tests: tuple[str, ...], seconds: float, mutant: Mutant | None = None) -> int:
    """pytest's exit code over the tests, 124 where it takes longer than so many seconds of CPU time."""
    with tempfile.TemporaryDirectory() as folder:
        if mutant is not None:
            (Path(folder) / "mutated.py").write_text(mutant.source)
            shim = _SHIM.format(origin=str(ROOT / mutant.path), mutated=str(Path(folder) / "mutated.py"))
            (Path(folder) / "medllm_mutant.py").write_text(shim)
        line = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "--no-header", *tests]
        line += ["-p", "medllm_mutant"] if mutant is not None else []
        path = os.pathsep.join([folder, str(ROOT), os.environ.get("PYTHONPATH", "")])
        known = {**os.environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1", "HYPOTHESIS_STORAGE_DIRECTORY": folder}
        limit = math.ceil(seconds)
        done = subprocess.run(
            line,
            cwd=ROOT,
            env=known,
            capture_output=True,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CPU, (limit, limit)),
        )
        return done.returncode


def wilson(successes: int, trials: int) -> tuple[float, float]:
    """Wilson's interval of a share, 95 % (Wilson 1927, JASA 22:209)."""
    z, share = 1.96, successes / trials
    middle = share + z * z / (2 * trials)
    half = z * math.sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials))
    return (middle - half) / (1 + z * z / trials), (middle + half) / (1 + z * z / trials)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sample", type=int, default=300)
    parser.add_argument("--seed", type=int, default=9)
    parser.add_argument("--minutes", type=float, default=15, help="of CPU time; a sample that is not done by then is recorded as it is")
    parser.add_argument("--targets", default=",".join(TARGETS))
    parser.add_argument("-o", "--output", type=Path, required=True)
    given = parser.parse_args()
    found: dict[str, dict[str, object]] = {}
    chosen: list[Mutant] = []
    usual: dict[str, float] = {}
    for target in given.targets.split(","):
        everything = [mutant for path in TARGETS[target][0] for mutant in mutants(target, path)]
        random.Random(given.seed).shuffle(everything)
        chosen += everything[: given.sample // len(given.targets.split(","))]
        started = _children()
        if _run(TARGETS[target][1], 600):
            raise SystemExit(f"the tests of {target} fail without any mutant")
        usual[target] = _children() - started
        found[target] = {
            "modules": TARGETS[target][0],
            "tests": TARGETS[target][1],
            "mutants": len(everything),
            "tried": 0,
            "killed": 0,
            "survivors": [],
        }
    random.Random(given.seed).shuffle(chosen)
    for mutant in chosen:
        row = found[mutant.target]
        row["tried"] = int(str(row["tried"])) + 1
        if killed(mutant, TARGETS[mutant.target][1], TIMES * usual[mutant.target] + 5):
            row["killed"] = int(str(row["killed"])) + 1
        else:
            row["survivors"].append(f"{mutant.path}:{mutant.line}: {mutant.change}")  # type: ignore[attr-defined]
            print(row["survivors"][-1], flush=True)  # type: ignore[index]
        given.output.write_text(json.dumps(record(found), indent=1) + "\n")
        if _children() > 60 * given.minutes:
            break


def _children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def record(found: dict[str, dict[str, object]]) -> dict[str, object]:
    tried = sum(int(str(row["tried"])) for row in found.values())
    dead = sum(int(str(row["killed"])) for row in found.values())
    return {
        "benchmark": "mutation",
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "command": shlex.join(["python", "evals/benchmarks/mutation.py", *sys.argv[1:]]),
        "machine": f"{cpu_model()}, {os.cpu_count()} cores, shared with other work: CPU seconds",
        "python": platform.python_version(),
        "cpu_seconds": round(_children()),
        "tried": tried,
        "killed": dead,
        "share": round(dead / tried, 4),
        "interval": [round(x, 4) for x in wilson(dead, tried)],
        "targets": found,
    }


if __name__ == "__main__":
    main()
