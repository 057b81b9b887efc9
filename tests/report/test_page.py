import re
from pathlib import Path

import pytest

import medllm.report
from medllm.document import Vote
from medllm.report.page import HUES, facts, probability, readers_of, words

CSS = (Path(medllm.report.__file__).parent / "base.css").read_text(encoding="utf-8")


def luminance(colour):
    channels = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(a, b):
    dark, light = sorted((luminance(a), luminance(b)))
    return (light + 0.05) / (dark + 0.05)


def colours(theme):
    """The custom properties of a theme that are colours, in six digits."""
    found = re.findall(r"--([a-z0-9-]+): (#[0-9a-f]{3,6});", theme)
    return {name: value if len(value) == 7 else "#" + "".join(2 * c for c in value[1:]) for name, value in found}


LIGHT, DARK = (colours(block) for block in re.findall(r":root \{(.*?)\n *\}", CSS, re.DOTALL)[:2])


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
def test_colours_can_be_read(theme):
    assert {f"hue{i}" for i in range(HUES)} <= set(theme)
    for name in (*(f"hue{i}" for i in range(HUES)), "ink", "soft", "accent", "alert", "good"):
        assert contrast(theme[name], theme["paper"]) >= 4.5, name
    assert contrast(theme["alert"], theme["alert-paper"]) >= 4.5
    assert contrast(theme["soft"], theme["desk"]) >= 4.5
    assert contrast(theme["ink"], theme["found"]) >= 4.5


def test_probability_is_never_rounded_up_to_certainty():
    assert [probability(p) for p in (None, 0.0, 0.125, 0.994, 0.99999, 1.0)] == ["", "0.00", "0.12", "0.99", "0.99", "1.00"]


def test_readers_are_named_in_one_order():
    assert readers_of([Vote(reader="x"), Vote(reader="tagger"), Vote(reader="llm"), Vote(reader="llm")]) == "LLM + tagger + x"
    assert readers_of([]) == ""


def test_words():
    assert words("associated_with_someone_else") == "someone else"
    assert words("past_history") == "past history"


@pytest.mark.parametrize(
    ("info", "shown"),
    [
        ({}, {}),
        ({"model": {"name": "m", "sha256": "0"}, "tagger": None}, {"model": "m"}),
        ({"started": "2031-03-20T16:42:10+01:00", "version": "0.1"}, {"date": "2031-03-20 16:42", "medllm": "0.1"}),
        ({"date": "yesterday evening", "versions": {"medllm": "0.2"}}, {"date": "yesterday evening", "medllm": "0.2"}),
    ],
)
def test_facts(kit, info, shown):
    found = dict(facts(info, kit.schema))
    assert found.pop("schema").startswith("small · ")
    assert found == shown
