"""The Chinese sentences of evals/sets: they are what their heading says, and the rules get those of the open half right."""

from collections import Counter
from pathlib import Path

from medllm.document import Assertion, Span
from medllm.prompting.examples import parse_example
from medllm.rules import assess

FILE = Path(__file__).parents[2] / "evals" / "sets" / "assertion_zh.txt"
ROWS = [line.split("\t") for line in FILE.read_text(encoding="utf-8").splitlines() if line and not line.startswith("#")]
EXAMPLES = {name: parse_example(marked.replace("\\n", "\n")) for name, marked in ROWS}


def test_the_file_has_two_halves_with_every_class():
    assert len(EXAMPLES) == len(ROWS) >= 60
    for half in "os":
        names = [name for name in EXAMPLES if name.startswith(half)]
        assert len(names) == len(ROWS) / 2
        classes = {m.attributes.get("assertion", "present") for name in names for m in EXAMPLES[name].mentions}
        assert classes == {a.value for a in Assertion}


def test_the_open_half():
    right: Counter[bool] = Counter()
    for name, example in EXAMPLES.items():
        if name.startswith("o"):
            judgements = assess(example.text, [Span(start=m.start, end=m.end) for m in example.mentions])
            right.update(j.assertion == m.attributes.get("assertion", "present") for j, m in zip(judgements, example.mentions, strict=True))
    assert right[True] / right.total() >= 0.95
