import json
import os
import re
import stat
from base64 import b64encode
from hashlib import sha256

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from medllm.document import Assertion, Extraction, Note, Vote, any_entity
from medllm.errors import RunError
from medllm.report.highlight import showable
from medllm.report.view import ViewData, embed_json, render, write_view

ATTACKS = (
    "</script><script>alert(1)</script>",
    '<img src="https://example.org/x" onerror=alert(1)>',
    "<!--<script>",
    "]]></style><style>*{background:url(//example.org)}",
    '" onmouseover="alert(1)',
    "' autofocus onfocus='alert(1)",
    "{{ 7 * 7 }}{% raw %}",
    "</div></article></main><iframe srcdoc='x'>",
    "&lt;b&gt; &amp;#60; &#13;",
)


def view(kit, *extractions, **fields):
    return render(ViewData("Run", kit.schema, extractions, **fields))


def data(page):
    return json.loads(page.texts["data"])


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_text_of_each_note_is_exact(kit, data):
    found = data.draw(st.lists(kit.extractions(), max_size=3))
    found = [e.model_copy(update={"note": e.note.model_copy(update={"id": f"note {i}"})}) for i, e in enumerate(found)]
    entry = {"note_id": "note 0", "reader": "llm", "reason": "too_long", "start": 3, "end": 900, "detail": ""}
    page = kit.Page(view(kit, *found, ledger=(entry,)))
    for i, extraction in enumerate(found):
        assert page.texts[f"n{i}t"] == showable(extraction.note.text)


def page_of(kit, word):
    """A page that shows the word wherever a run may put one."""
    kind = any_entity(word)
    vote = Vote(reader=word, model=word, placed=word)
    mention = kind.at(word, 0, len(word), id=word, codes=(word,), votes=(vote,), assertion=word)
    extraction = Extraction(note=Note(id=word, text=word, meta={word: word}), entities=(mention,))
    entry = {"note_id": word, "reader": word, "reason": word, "start": 1, "end": 4, "detail": word}
    return kit.Page(render(ViewData(word, kit.schema, (extraction,), {"model": word, word: {word: word}}, (entry,))))


@pytest.mark.parametrize("attack", ATTACKS)
def test_nothing_breaks_out(kit, attack):
    page, plain = page_of(kit, attack), page_of(kit, "harmless")
    assert [tag for tag, _ in page.elements] == [tag for tag, _ in plain.elements]
    assert [set(a) for _, a in page.elements] == [set(a) for _, a in plain.elements]
    assert page.texts["n0t"] == attack
    assert data(page)["notes"][0]["mentions"][0]["text"] == attack
    assert data(page)["labels"][-1] == attack


def test_nothing_is_loaded(kit, demo):
    page = kit.Page(render(demo()))
    for _, attributes in page.elements:
        assert not {"src", "srcset", "data", "poster", "action", "style", "background", "ping"} & set(attributes)
        assert not any(name.startswith("on") for name in attributes)
        assert (attributes.get("href") or "#").startswith("#")
    assert not {"link", "base", "iframe", "object", "embed", "img"} & {tag for tag, _ in page.elements}
    for source in (*page.scripts, *page.styles):
        assert not re.search(r"https?:|//[a-z]|@import|url\(", source.replace("// ", ""))
    assert "innerHTML" not in page.scripts[0]
    assert "</" not in page.scripts[0] + page.styles[0]


def test_policy_names_the_style_and_the_script(kit, demo):
    page = kit.Page(render(demo()))
    policy = next(str(a["content"]) for a in page.named("meta") if a.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
    for source in (page.styles[0], page.scripts[0]):
        assert f"'sha256-{b64encode(sha256(source.encode()).digest()).decode()}'" in policy
    assert len(page.styles) == 1
    assert [a.get("type") for a in page.named("script")] == [None, "application/json"]


def test_json_survives_and_holds_no_markup():
    hostile = "</script><!-- & \u2028\u2029 中 \ud800"
    text = embed_json({"x": hostile})
    assert json.loads(text) == {"x": hostile}
    assert not set("<>&\u2028\u2029") & set(text)


def test_mention_shows_label_assertion_and_votes(kit):
    text = "no fever"
    vote = Vote(reader="llm", model="some-model", placed="grammar", score=0.875)
    fever = kit.Problem.at(text, 3, 8, id="T9", assertion=Assertion.ABSENT, confidence=0.91, codes=("MESH:D005334",), votes=(vote,))
    page = kit.Page(view(kit, Extraction(note=Note(id="a", text=text), entities=(fever,))))
    (mark,) = page.named("mark")
    assert {"m", "l0", "a-absent", "r0"} <= set(str(mark["class"]).split())
    assert (mark["id"], mark["data-badge"], mark["title"]) == ("n0m0", "absent", "problem · absent · 0.91")
    (mention,) = data(page)["notes"][0]["mentions"]
    assert mention == {
        "key": "T9",
        "label": 0,
        "text": "fever",
        "spans": [[3, 8]],
        "line": 1,
        "assertion": "absent",
        "attributes": [["assertion", "absent"]],
        "codes": ["MESH:D005334"],
        "confidence": "0.91",
        "votes": [["LLM", "some-model", "grammar", "0.88"]],
    }
    for css in ("l0", "a-absent"):
        assert f"#f-{css}:not(:checked)" in page.styles[0]
        assert f"f-{css}" in page.texts


def test_mentions_without_ids_are_known_by_number(kit):
    text = "fever\nand cough"
    found = (kit.Problem.at(text, 0, 5), kit.Problem.at(text, 10, 15))
    page = kit.Page(view(kit, Extraction(note=Note(id="a", text=text), entities=found)))
    assert [(m["key"], m["line"]) for m in data(page)["notes"][0]["mentions"]] == [("1", 1), ("2", 2)]


def test_relations_are_listed_and_link_to_their_mentions(kit):
    text = "aspirin: bleeding"
    drug, problem = kit.Drug.at(text, 0, 7), kit.Problem.at(text, 9, 17)
    copy = problem.model_copy()  # what a file reader may hand over
    extraction = Extraction(
        note=Note(id="a", text=text), entities=(drug, problem), relations=(kit.Causes(head=drug, tail=copy, confidence=0.5),)
    )
    page = kit.Page(view(kit, extraction))
    (relation,) = data(page)["notes"][0]["relations"]
    assert (relation["label"], relation["head"], relation["tail"], relation["confidence"]) == ("Causes", 0, 1, "0.50")
    assert [a["href"] for a in page.named("a") if "data-to" in a] == ["#n0m0", "#n0m1"]


def test_mention_that_only_a_relation_holds_is_shown(kit):
    text = "aspirin: bleeding"
    drug, problem = kit.Drug.at(text, 0, 7), kit.Problem.at(text, 9, 17)
    extraction = Extraction(note=Note(id="a", text=text), entities=(drug,), relations=(kit.Causes(head=drug, tail=problem),))
    assert len(kit.Page(view(kit, extraction)).named("mark")) == 2


def test_ledger_is_shown_where_it_belongs(kit):
    entries = (
        {"note_id": "a", "reader": "llm", "reason": "too_long", "start": 2, "end": 5, "detail": "budget"},
        {"note_id": "b", "reader": "tagger", "reason": "no_letters", "start": None, "end": None, "detail": ""},
        {"note_id": "lost", "reader": "llm", "reason": "not_utf8", "start": None, "end": None, "detail": ""},
    )
    notes = [Extraction(note=Note(id=name, text="some text")) for name in "ab"]
    html = view(kit, *notes, ledger=entries, run_info={"model": "m"})
    page = kit.Page(html)
    assert page.texts["u0"] == "me "
    assert "3 not read" in html
    assert "no extraction" in html
    assert "Not read by tagger: no letters" in re.sub(r"<[^>]+>", "", html)
    assert [a["class"] for a in page.named("article")] == ["note", "note unread"]
    assert "Everything was read" not in html


def test_everything_was_read_is_said_of_runs_only(kit):
    assert "Everything was read" in view(kit, run_info={"model": "m"})
    assert "Everything was read" not in view(kit)


def test_run_without_notes(kit):
    assert "There are no notes in this run." in view(kit)


def test_columns_keep_their_width(kit):
    table = "drug      dose\na         1\nb         2\n"
    page = kit.Page(view(kit, Extraction(note=Note(id="t", text=table)), Extraction(note=Note(id="p", text="Plain prose."))))
    assert [a["class"] for a in page.named("article")] == ["note columns", "note"]


def test_same_run_same_page(demo):
    assert render(demo()) == render(demo())


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX")
def test_file_is_for_its_owner_only(kit, tmp_path):
    out = tmp_path / "new" / "view.html"
    for _ in range(2):
        assert write_view([], schema=kit.schema, title="t", run_info={}, ledger=[], out=out) == out
        assert stat.S_IMODE(out.stat().st_mode) == 0o600
        out.chmod(0o644)
    assert os.listdir(out.parent) == ["view.html"]


def test_path_that_cannot_be_written(kit, tmp_path):
    (tmp_path / "dir").mkdir()
    with pytest.raises(RunError, match="cannot be written"):
        write_view([], schema=kit.schema, title="t", run_info={}, ledger=[], out=tmp_path / "dir")
    assert os.listdir(tmp_path) == ["dir"]
