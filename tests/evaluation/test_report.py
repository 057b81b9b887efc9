"""Reports: what they show is what was counted, every disagreement is there, and nothing breaks out of the page."""

import re
from base64 import b64encode
from collections import Counter
from hashlib import sha256
from html.parser import HTMLParser
from pathlib import Path

import pytest

from medllm.document import Entity, Extraction, Note, Vote, any_entity
from medllm.errors import UsageError
from medllm.evaluation.disagreements import Kind
from medllm.evaluation.report import Options, Report, make_report, render_html, render_markdown, write_report
from medllm.evaluation.report.browser import frequent, items
from medllm.evaluation.report.svg import colour_rules, drawing, inline
from medllm.evaluation.report.tables import confusion_grid, grids, kind_grid
from medllm.report.selfcontained import base_style

LABELS = ("drug", "problem")
HOSTILE = "<script>alert(1)</script>\"'&$x$|*"


def notes(*found: tuple[str, list[tuple[str, int, int]]], score: float | None = None) -> dict[str, Extraction]:
    made = {}
    for i, (text, mentions) in enumerate(found):
        votes = () if score is None else (Vote(reader="llm", score=score),)
        entities: tuple[Entity, ...] = tuple(any_entity(label).at(text, a, b, votes=votes) for label, a, b in mentions)
        made[f"n{i}"] = Extraction(note=Note(id=f"n{i}", text=text), entities=entities)
    return made


TEXT = "HPI: dull knee pain, fever and gout. Takes aspirin, codeine. No rash."
GOLD = notes(
    (TEXT, [("problem", 5, 19), ("problem", 21, 26), ("problem", 31, 35), ("drug", 43, 50), ("drug", 52, 59)]),
    (TEXT, [("problem", 5, 19), ("problem", 21, 26), ("problem", 64, 68)]),
)
PRED = notes(
    (TEXT, [("problem", 10, 19), ("problem", 21, 26), ("drug", 31, 35), ("drug", 43, 50), ("drug", 61, 63)]),
    (TEXT, [("problem", 5, 14), ("problem", 20, 29), ("drug", 62, 68)]),
)


def report(**more: object) -> Report:
    return make_report(GOLD, PRED, Options(samples=20), title="Demo", facts=[("data", "two notes")], **more)  # type: ignore[arg-type]


class Page(HTMLParser):
    """Elements, and the text inside each ``<li id="e…">``."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.items: dict[str, str] = {}
        self.sources: dict[str, list[str]] = {"style": [], "script": []}
        self._inside: str | None = None
        self._source: str | None = None
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.elements.append((tag, given))
        if tag == "li" and str(given.get("id", "")).startswith("e"):
            self._inside = str(given["id"])
            self.items[self._inside] = ""
        if tag in self.sources:
            self._source = tag
            self.sources[tag].append("")

    def handle_endtag(self, tag: str) -> None:
        if tag == "li":
            self._inside = None
        if tag == self._source:
            self._source = None

    def handle_data(self, data: str) -> None:
        if self._source:
            self.sources[self._source][-1] += data
            return
        self.text += data
        if self._inside:
            self.items[self._inside] += data


def test_counts_equal_the_metrics() -> None:
    made = report()
    exact = made.results["exact"].micro
    assert sum(d.gold is not None for d in made.errors) == exact.fn
    assert sum(d.pred is not None for d in made.errors) == exact.fp
    assert sum(n for (gold, _), n in made.confusion.items() if gold) == exact.gold
    assert sum(n for (_, pred), n in made.confusion.items() if pred) == exact.pred
    kinds = kind_grid(made)
    assert kinds.rows[-1][-2].text == str(len(made.errors))
    assert sum(int(row[-2].text) for row in kinds.rows[:-1]) == len(made.errors)
    assert [c.text for c in confusion_grid(made).rows[0]] == ["drug", "1", "·", "1"]


def test_every_disagreement_is_in_the_page_with_its_sentence() -> None:
    made = report()
    page = Page(render_html(made))
    rows = [a for tag, a in page.elements if tag == "li" and str(a.get("id", "")).startswith("e")]
    # As the two notes above say: four in the first (knee pain, gout, codeine, "No"), three in the second.
    wanted = {"left edge": 1, "label": 1, "missed": 1, "spurious": 1, "right edge": 1, "both edges": 1, "label and edge": 1}
    assert Counter(d.kind.value for d in made.errors) == Counter(a["data-kind"] for a in rows) == wanted
    assert len(rows) == len(made.errors) == 7
    for number, found in enumerate(made.errors):
        said = page.items[f"e{number}"]
        assert found.note_id in said
        for mention in (found.gold, found.pred):
            assert mention is None or mention.text in said
        assert (rows[number]["data-gold"], rows[number]["data-pred"]) == (
            found.gold.label if found.gold else "",
            found.pred.label if found.pred else "",
        )


def test_marks_stand_on_the_mentions() -> None:
    for item, found in zip(items(report()), report().errors, strict=True):
        for side, mention in (("gold", found.gold), ("pred", found.pred)):
            marked = re.findall(rf'<mark[^>]*class="m {side} [^>]*>(.*?)</mark>', item.html)
            if mention is None:
                assert not marked
            else:
                assert re.sub("<[^>]+>", "", marked[0]) in mention.text


def test_long_sentences_are_cut_at_words() -> None:
    text = " ".join(["word"] * 100 + ["gout"] + ["word"] * 100) + "."
    gold, pred = notes((text, [("problem", 500, 504)])), notes((text, []))
    (item,) = items(make_report(gold, pred, Options(samples=0)))
    shown = re.sub("<[^>]+>", "", item.html)
    assert item.cut_before
    assert item.cut_after
    assert len(shown) < 400
    assert set(shown.split()) == {"word", "gout"}


def test_nothing_breaks_out() -> None:
    gold, pred = (
        notes((f"{HOSTILE} fever", [(HOSTILE, 0, len(HOSTILE))])),
        notes((f"{HOSTILE} fever", [("b", len(HOSTILE) + 1, len(HOSTILE) + 6)])),
    )
    made = make_report(
        gold,
        pred,
        Options(labels=(HOSTILE, "b"), samples=2),
        title=HOSTILE,
        facts=[(HOSTILE, HOSTILE)],
        versus=(HOSTILE, pred),
        problems=[HOSTILE],
    )
    page = Page(render_html(made))
    assert [a for tag, a in page.elements if tag == "script"] == [{}]
    assert HOSTILE in page.text
    assert all("alert(1)" not in source for source in page.sources["script"] + page.sources["style"])
    assert "<script>" not in render_markdown(made)


def test_nothing_is_loaded_and_the_policy_names_style_and_script() -> None:
    html = render_html(report(versus=("other", GOLD)))
    page = Page(html)
    for _, attributes in page.elements:
        assert not {"src", "srcset", "style", "action", "data", "background"} & set(attributes)
        assert not any(name.startswith("on") for name in attributes)
        assert (attributes.get("href") or "#").startswith("#")
    assert not re.search(r"https?:|@import", html.replace("http-equiv", ""))
    policy = next(str(a["content"]) for tag, a in page.elements if tag == "meta" and a.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'; ")
    for source in (page.sources["style"][0], page.sources["script"][0]):
        assert f"'sha256-{b64encode(sha256(source.encode()).digest()).decode()}'" in policy
    assert "innerHTML" not in page.sources["script"][0]


def test_ids_are_used_once_and_references_lead_somewhere() -> None:
    page = Page(render_html(report(versus=("other", GOLD))))
    ids = [str(a["id"]) for _, a in page.elements if "id" in a]
    assert len(ids) == len(set(ids))
    wanted = {str(a["href"])[1:] for _, a in page.elements if "href" in a}
    wanted |= {m for _, a in page.elements for m in re.findall(r"url\(#([^)]+)\)", str(a.get("clip-path", "")))}
    assert wanted <= set(ids)


def test_figures_have_the_colours_of_the_page() -> None:
    with drawing():
        from matplotlib.figure import Figure

        figure = Figure()
        figure.add_subplot().plot([0, 1], color="#0b5d78")
        svg = inline(figure, "x", "A line")
    assert "s-accent" in svg
    assert "style" not in svg
    assert 'id="x-' in svg
    defined = set(re.findall(r"--([\w-]+):", base_style()))
    assert set(re.findall(r"var\(--([\w-]+)\)", colour_rules())) <= defined


def test_markdown_has_the_tables_and_no_text_of_notes() -> None:
    text = render_markdown(report(versus=("other", GOLD)))
    assert "| micro average | 8 | 8 |" in text
    assert "Micro averages of both systems" in text
    assert "## Methods" in text
    assert "With fewer than 20 notes such intervals are too narrow" in text
    for word in ("knee", "aspirin", "codeine", "gout", "rash"):
        assert word not in text


def test_confidence_is_shown_where_there_is_one() -> None:
    assert report().confidence is None
    made = make_report(GOLD, notes((TEXT, [("problem", 21, 26), ("drug", 0, 3)]), (TEXT, []), score=0.75), Options(samples=0))
    assert made.confidence
    assert made.confidence.source == "score"
    assert made.confidence.reliability.ece == pytest.approx(0.25)
    html = render_html(made)
    assert "Expected calibration error 0.250" in html
    assert 'id="f-reliability"' in html


def test_the_other_system_is_tested_on_the_same_notes() -> None:
    made = report(versus=("perfect", GOLD))
    assert made.comparison
    exact = made.comparison.tests["exact"]
    assert [t.measure for t in exact] == ["precision", "recall", "f1"]
    assert exact[2].difference == pytest.approx(made.results["exact"].micro.f1 - 1)
    assert all(found.adjusted >= found.test.p for found in made.comparison.labels["exact"].values())


def test_perfect_predictions() -> None:
    made = make_report(GOLD, GOLD, Options(samples=0))
    assert "Every mention is matched exactly." in render_html(made)
    assert not made.errors


def test_only_the_labels_asked_for() -> None:
    made = make_report(GOLD, PRED, Options(labels=("problem",), samples=0))
    assert {d.mention.label for d in made.errors} == {"problem"}
    assert made.results["exact"].micro.gold == 6


def test_frequent_errors() -> None:
    gold = notes(*[("Gout .", [("problem", 0, 4)])] * 3, ("rash", [("problem", 0, 4)]))
    made = make_report(gold, notes(*[("Gout .", [])] * 3, ("rash", [])), Options(samples=0))
    assert [(f.text, f.times) for f in frequent(made, Kind.MISSED)] == [("gout", 3)]
    assert not frequent(made, Kind.SPURIOUS)


def test_the_ending_says_the_form(tmp_path: Path) -> None:
    made = report()
    assert write_report(made, tmp_path / "r.md").read_text().startswith("# Demo")
    assert write_report(made, tmp_path / "r.html").stat().st_mode & 0o077 == 0
    with pytest.raises(UsageError, match=r"FILE\.html or FILE\.md"):
        write_report(made, tmp_path / "r.pdf")


def test_tables_are_rectangular() -> None:
    made = report(versus=("other", GOLD))
    for found in grids(made).values():
        for grid in found:
            assert {len(row) for row in grid.rows} <= {len(grid.head)}, grid.name
            assert not grid.groups or sum(width for _, width in grid.groups) == len(grid.head)
