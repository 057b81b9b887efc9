"""Notes in tables and JSON lines: columns, ids, bad rows, streaming."""

import itertools
import json
import sys
from pathlib import Path

import pytest

from medllm.document import Note
from medllm.errors import InputError
from medllm.formats.inputs import Unreadable, read_inputs

SECRET = "Mrs Qwyzzk has fever"


def read(path: Path | str, **options) -> list[Note | Unreadable]:
    return list(read_inputs([str(path)], **options))


def table(tmp_path: Path, content: str | bytes, name: str = "t.csv") -> Path:
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def told(items: list[Note | Unreadable]) -> list[tuple[str, str]]:
    return [(i.id, i.reason if isinstance(i, Unreadable) else i.text) for i in items]


# --- CSV -------------------------------------------------------------------------------------------------------------


def test_csv_texts_ids_and_meta(tmp_path):
    path = table(tmp_path, 'row,text,ward\r\n7,"Line 1\r\nline ""2"", end",B2\r\n8,Pain,\r\n')
    first, second = read(path)
    assert first == Note(id="t/1", text='Line 1\r\nline "2", end', meta={"row": "7", "ward": "B2"})
    assert second == Note(id="t/2", text="Pain", meta={"row": "8", "ward": ""})
    assert read(path, id_column="row")[0] == Note(id="t/7", text=first.text, meta={"ward": "B2"})
    assert read(tmp_path)[0].id == "t/1"


@pytest.mark.parametrize("name", ["text", "note_text", "TEXT", "note"])
def test_the_text_column_has_one_of_the_usual_names(tmp_path, name):
    assert told(read(table(tmp_path, f"x\t{name}\n1\tFever.\n", "t.tsv"))) == [("t/1", "Fever.")]


def test_the_text_column_is_given(tmp_path):
    path = table(tmp_path, "text,body\nno,yes\n")
    assert read(path, text_column="body") == [Note(id="t/1", text="yes", meta={"text": "no"})]


def test_a_missing_column_is_an_error_before_work_begins_and_names_the_columns(tmp_path):
    path = table(tmp_path, "id,body\n1,x\n")
    for options in ({}, {"text_column": "Text"}, {"text_column": "body", "id_column": "row"}):
        with pytest.raises(InputError, match=r"it has id, body"):
            read_inputs([str(path)], **options)
    with pytest.raises(InputError, match="two columns"):
        read_inputs([str(table(tmp_path, "text,text\na,b\n"))])


def test_a_table_without_the_column_stops_nothing_where_others_are_read(tmp_path):
    table(tmp_path, "id,body\n1,x\n")
    (tmp_path / "note.txt").write_text("No fever.")
    note, bad = sorted(read_inputs([str(tmp_path)]), key=lambda item: isinstance(item, Unreadable))
    assert (note.id, bad.id, bad.reason) == ("note", "t", "unreadable")
    assert "it has id, body" in bad.detail


def test_a_file_without_a_header_does_not_leak_its_first_note(tmp_path):
    with pytest.raises(InputError) as caught:
        read_inputs([str(table(tmp_path, f"17,{SECRET}\n18,x\n"))])
    assert "Qwyzzk" not in str(caught.value) + caught.value.hint


def test_bad_rows_do_not_move_their_neighbours(tmp_path):
    path = table(tmp_path, f'text,x\na,1\n{SECRET}\nb,2\n\n"c"d,3\ne,4,5\n ,6\nf,7\n')
    items = read(path)
    assert told(items) == [
        ("t/1", "a"),
        ("t/2", "malformed-row"),
        ("t/3", "b"),
        ("t/4", "malformed-row"),
        ("t/5", "malformed-row"),
        ("t/6", "empty"),
        ("t/7", "f"),
    ]
    assert not any("Qwyzzk" in i.detail for i in items if isinstance(i, Unreadable))


def test_a_quote_that_is_never_closed(tmp_path):
    items = read(table(tmp_path, 'text\na\n"b\nc\nd\n'))
    assert told(items) == [("t/1", "a"), ("t/2", "malformed-row")]
    assert "lines 3 to" in items[1].detail


def test_a_quote_never_closed_in_a_big_file_is_bounded(tmp_path):
    items = read(table(tmp_path, 'text\na\n"b\n' + ("x" * 999 + "\n") * 1200), max_chars=1000)
    assert told(items) == [("t/1", "a"), ("t/2", "too-large")]


def test_duplicate_ids_are_refused_the_second_time(tmp_path):
    path = table(tmp_path, "k,text\n1,a\n2,b\n1,c\n")
    assert told(read(path, id_column="k")) == [("t/1", "a"), ("t/2", "b"), ("t/1", "duplicate-id")]


def test_ids_that_cannot_be(tmp_path):
    path = table(tmp_path, f'k,text\n,a\n"x\ny",b\n{"z" * 300},c\nok,d\n')
    assert told(read(path, id_column="k")) == [(f"t/row-{n}", "malformed-row") for n in (1, 2, 3)] + [("t/ok", "d")]


def test_only_the_row_with_bad_bytes_is_lost(tmp_path):
    path = table(tmp_path, b"text\nok\nF\xe8vre\nok too\n")
    assert told(read(path)) == [("t/1", "ok"), ("t/2", "encoding"), ("t/3", "ok too")]
    assert told(read(path, encoding="latin-1"))[1] == ("t/2", "Fèvre")


@pytest.mark.parametrize("used", ["utf-8-sig", "utf-16"])
def test_a_byte_order_mark_is_no_part_of_the_first_column(tmp_path, used):
    assert told(read(table(tmp_path, "text,x\nFièvre,1\n".encode(used)))) == [("t/1", "Fièvre")]


def test_a_long_text_passes_and_a_longer_one_is_refused(tmp_path):
    path = table(tmp_path, f"text\n{'x' * 200_000}\n{'x' * 200_001}\nok\n")
    assert [r if len(r) < 20 else len(r) for _, r in told(read(path, max_chars=200_000))] == [200_000, "too-large", "ok"]


def test_what_is_not_a_table(tmp_path):
    assert told(read(table(tmp_path, b"PK\x03\x04\0\0\0text"))) == [("t", "binary")]
    assert told(read(table(tmp_path, b""))) == [("t", "empty")]
    assert told(read(table(tmp_path, b"not parquet", "p.parquet"))) == [("p", "unreadable")]


def test_meta_is_bounded(tmp_path):
    many = [f"c{n}" for n in range(100)]
    path = table(tmp_path, ",".join(["text", "other", *many]) + "\n" + ",".join(["a", "y" * 5000, *many]) + "\n")
    meta = read(path)[0].meta
    assert len(meta) == 64
    assert "other" not in meta


# --- JSON lines ------------------------------------------------------------------------------------------------------


def lines(tmp_path: Path, *rows: object, name: str = "j.jsonl") -> Path:
    return table(tmp_path, "".join((r if isinstance(r, str) else json.dumps(r)) + "\n" for r in rows), name)


def test_jsonl_ids_texts_and_meta(tmp_path):
    path = lines(
        tmp_path,
        {"id": 1, "text": "a", "age": 61, "old": True, "tags": ["x"], "none": None},
        {"note_id": "w/2", "note": "b"},
        "",
        {"text": "d\u2028e"},
        {"note_id": "m", "text": "f", "meta": {"ward": "B2"}, "version": 1, "entities": []},
        name="j.ndjson",
    )
    assert read(path) == [
        Note(id="1", text="a", meta={"age": "61", "old": "true"}),
        Note(id="w/2", text="b"),
        Note(id="j/4", text="d\u2028e"),
        Note(id="m", text="f", meta={"ward": "B2"}),
    ]


def test_jsonl_bad_lines_do_not_move_their_neighbours(tmp_path):
    path = lines(
        tmp_path,
        {"id": "a", "text": "ok"},
        f'{{"id": "b", "text": "{SECRET}"',
        "[1]",
        {"id": "c", "body": "x"},
        {"id": "d", "text": 5},
        {"id": ["e"], "text": "x"},
        {"id": "f", "text": " "},
        {"id": "g", "text": "x" * 101},
        '{"id": "h", "text": "\\ud83d"}',
        "[" * 100_000,
        '{"n": ' + "9" * 5000 + "}",
        {"id": "a", "text": "again"},
        {"id": "z", "text": "ok"},
    )
    items = read(path, max_chars=100)
    assert told(items) == [
        ("a", "ok"),
        ("j/row-2", "malformed-row"),
        ("j/row-3", "malformed-row"),
        ("c", "no-text"),
        ("d", "no-text"),
        ("j/row-6", "malformed-row"),
        ("f", "empty"),
        ("g", "too-large"),
        ("h", "encoding"),
        ("j/row-10", "malformed-row"),
        ("j/row-11", "malformed-row"),
        ("a", "duplicate-id"),
        ("z", "ok"),
    ]
    assert not any("Qwyzzk" in i.detail for i in items if isinstance(i, Unreadable))


def test_jsonl_bad_bytes_and_a_line_too_long(tmp_path):
    data = b'{"text": "ok"}\n{"text": "F\xe8vre"}\n{"text": "' + b"x" * (2 << 20) + b'"}\n{"text": "last"}'
    path = table(tmp_path, data, "j.jsonl")
    assert told(read(path, max_chars=100)) == [("j/1", "ok"), ("j/row-2", "encoding"), ("j/row-3", "too-large"), ("j/4", "last")]


def test_ids_of_two_files_of_lines(tmp_path):
    first = lines(tmp_path, {"id": "a", "text": "x"})
    (tmp_path / "sub").mkdir()
    second = lines(tmp_path / "sub", {"id": "a", "text": "y"}, {"id": "b", "text": "z"})
    items = list(read_inputs([str(first), str(second)]))
    assert told(items) == [("a", "x"), ("a", "duplicate-id"), ("b", "z")]


def test_rows_stream(tmp_path):
    path = tmp_path / "j.jsonl"
    with open(path, "w") as file:
        file.writelines(f'{{"id": "n{n}", "text": "Fever {n}."}}\n' for n in range(50_000))
    notes = read_inputs([str(path)])
    assert [n.id for n in itertools.islice(notes, 3)] == ["n0", "n1", "n2"]
    notes.close()  # leaves no file open: pytest takes a ResourceWarning for an error


# --- Parquet ---------------------------------------------------------------------------------------------------------


def test_parquet(tmp_path):
    pa = pytest.importorskip("pyarrow")
    pq = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "p.parquet"
    columns = {"key": [7, 8, 7], "text": ["Fever.", None, "Pain."], "ward": ["B", None, "C"], "vec": [[1], [2], [3]], "raw": [b"x"] * 3}
    pq.write_table(pa.table(columns), path)
    assert read(path)[0] == Note(id="p/1", text="Fever.", meta={"key": "7", "ward": "B"})
    assert told(read(path, id_column="key")) == [("p/7", "Fever."), ("p/8", "no-text"), ("p/7", "duplicate-id")]
    with pytest.raises(InputError, match="it has key, text, ward, vec, raw"):
        read_inputs([str(path)], text_column="body")


def test_parquet_without_pyarrow(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(InputError) as caught:
        read_inputs([str(table(tmp_path, b"PAR1", "p.parquet"))])
    assert caught.value.hint == "pip install medllm[parquet]"
