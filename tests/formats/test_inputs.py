"""Notes in: ids, encodings, and every way in which a file is not a note."""

import io
import os
import tracemalloc
from pathlib import Path

import pytest

from medllm.document import Note
from medllm.errors import InputError
from medllm.formats.inputs import Unreadable, read_inputs


def put(path: Path, data: bytes | str = "Fever.") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return path


def read(*inputs: Path | str, **options) -> list[Note | Unreadable]:
    return list(read_inputs([str(i) for i in inputs], **options))


def ids(*inputs: Path | str, **options) -> list[str]:
    return [item.id for item in read(*inputs, **options)]


def refused(*inputs: Path | str, **options) -> Unreadable:
    (item,) = read(*inputs, **options)
    assert isinstance(item, Unreadable)
    assert item.detail
    return item


# --- what is read, and its id ----------------------------------------------------------------------------------------


def test_a_file_has_its_stem_as_id_and_its_exact_text(tmp_path):
    (note,) = read(put(tmp_path / "x" / "a.b.txt", "BP 120/80\r\n\tok\u2028é\U0001f600 e\u0301\r"))
    assert note == Note(id="a.b", text="BP 120/80\r\n\tok\u2028é\U0001f600 e\u0301\r")


def test_a_folder_is_read_recursively_known_endings_only_hidden_passed_over(tmp_path):
    for name in ("b.txt", "a/c.md", "a/b/d.TXT", "a/e.tiff", ".hidden.txt", ".git/f.txt", "README"):
        put(tmp_path / "notes" / name)
    assert ids(tmp_path / "notes") == ["b", "a/c", "a/b/d"]


def test_the_working_folder_is_an_input(tmp_path, monkeypatch):
    put(tmp_path / "a" / "b.txt")
    monkeypatch.chdir(tmp_path)
    assert ids(".") == ids("./") == ids("*") == ["a/b"]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("notes/*.txt", ["b"]),
        ("notes/**/*.txt", ["b", "a/d", "a/x/y"]),
        ("notes/**", ["b", "a/c", "a/d", "a/x/y"]),
        ("notes/a/*.md", ["c"]),
        ("notes/*/[cd].*", ["a/c", "a/d"]),
        ("notes/a*", ["a/c", "a/d", "a/x/y"]),
        ("n*s/**/x/*", ["notes/a/x/y"]),
        ("txt:notes/*.dat", ["z"]),
    ],
)
def test_globs(tmp_path, monkeypatch, pattern, expected):
    for name in ("b.txt", "a/c.md", "a/d.txt", "a/x/y.txt", "z.dat", ".h/q.txt"):
        put(tmp_path / "notes" / name)
    monkeypatch.chdir(tmp_path)
    assert ids(pattern) == expected
    assert ids(tmp_path / pattern if ":" not in pattern else pattern) == expected


def test_a_file_whose_name_looks_like_a_glob_is_a_file(tmp_path):
    assert ids(put(tmp_path / "a[1].txt")) == ["a[1]"]


def test_a_prefix_forces_a_reader(tmp_path):
    path = put(tmp_path / "report.dat", '{"id": "n1", "text": "Fever."}\n')
    assert ids(f"jsonl:{path}") == ["n1"]
    assert ids(f"txt:{path}") == ["report"]
    assert ids(f"md:{tmp_path}") == ["report"]


def test_standard_input_is_one_plain_note_or_what_the_prefix_says():
    assert read("-", stdin=io.BytesIO(b'{"text": "x"}')) == [Note(id="stdin", text='{"text": "x"}')]
    lines = io.BytesIO(b'{"id": "n1", "text": "x"}\n{"text": "y"}\n')
    assert ids("jsonl:-", stdin=lines) == ["n1", "stdin/2"]
    assert ids("csv:-", stdin=io.BytesIO(b"text\nx\ny\n")) == ["stdin/1", "stdin/2"]
    assert not lines.closed
    with pytest.raises(InputError):
        read("parquet:-", stdin=io.BytesIO())


def test_a_file_of_another_ending_is_told_only_if_named(tmp_path):
    path = put(tmp_path / "scan.tiff")
    assert refused(path).reason == "unreadable"
    with pytest.raises(InputError, match="no input has a file to read"):
        read(tmp_path)


def test_file_names_that_are_not_utf8(tmp_path):
    path = os.fsencode(tmp_path) + b"/caf\xe9.txt"
    try:
        with open(path, "wb") as file:
            file.write(b"x")
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    assert ids(tmp_path) == ["caf\\udce9"]


# --- errors before work begins ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["nothing.txt", "none/*.txt", "bioc:x.json", "txt:", ""])
def test_an_input_that_is_not_there(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    put(tmp_path / "a.txt")
    with pytest.raises(InputError) as caught:
        read_inputs(["a.txt", name])  # at the call, before the first note
    assert caught.value.hint


def test_no_inputs_at_all(tmp_path):
    for inputs in ([], [str(tmp_path)]):
        with pytest.raises(InputError) as caught:
            read_inputs(inputs)
        assert ".parquet" in caught.value.hint


@pytest.mark.parametrize(
    "inputs",
    [["a.txt", "a.md"], ["x", "y"], ["a.txt", "a.txt"], ["x/t.csv", "y/t.csv"], ["-", "-"]],
)
def test_a_shared_id_stops_before_work_begins(tmp_path, monkeypatch, inputs):
    for name in ("a.txt", "a.md", "x/n.txt", "y/n.txt"):
        put(tmp_path / name)
    for name in ("x/t.csv", "y/t.csv"):
        put(tmp_path / name, "text\nFever.\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="would share the note id"):
        read_inputs(inputs)


@pytest.mark.parametrize("encoding", ["klingon", "rot13", "\0"])
def test_an_encoding_that_there_is_not(tmp_path, encoding):
    with pytest.raises(InputError, match="no text encoding"):
        read_inputs([str(put(tmp_path / "a.txt"))], encoding=encoding)


# --- encodings -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("used", ["utf-8-sig", "utf-16", "utf-32"])
def test_a_byte_order_mark_is_heeded_removed_and_noted(tmp_path, used):
    (note,) = read(put(tmp_path / "a.txt", "Fièvre \U0001f912\r\n".encode(used)))
    assert note == Note(id="a", text="Fièvre \U0001f912\r\n", meta={"encoding": used})


@pytest.mark.parametrize("used", ["latin-1", "cp1252", "gb18030", "utf-16-le"])
def test_other_encodings_are_given_never_guessed(tmp_path, used):
    text = "发热 39°" if used == "gb18030" else "Fièvre 39°"
    path = put(tmp_path / "a.txt", text.encode(used))
    assert read(path, encoding=used) == [Note(id="a", text=text)]
    item = refused(path)
    assert item.reason == ("binary" if used == "utf-16-le" else "encoding")
    assert "--encoding" in item.detail or used == "utf-16-le"


# --- what is not a note ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b" \r\n\t\xc2\xa0", "empty"),
        (b"\xef\xbb\xbf", "empty"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "binary"),
        (b"Fever.\0\0", "binary"),
        (b"\x01\x02\x03\x04abc", "binary"),
        (b"F\xe8vre", "encoding"),
        (b"ab\xed\xa0\x80", "encoding"),
        (b"\xff\xfeF\0x", "encoding"),
        (b"x" * 101, "too-large"),
        (b"x" * 1000, "too-large"),
    ],
)
def test_a_file_that_is_not_a_note(tmp_path, data, reason):
    put(tmp_path / "n" / "a.txt", data)
    put(tmp_path / "n" / "b.txt", "Fever.")
    first, second = read(tmp_path / "n", max_chars=100)
    assert isinstance(first, Unreadable)
    assert (first.id, first.reason, first.source) == ("a", reason, str(tmp_path / "n" / "a.txt"))
    assert second == Note(id="b", text="Fever.")


def test_the_limit_is_in_characters(tmp_path):
    text = "\U0001f912" * 100
    assert read(put(tmp_path / "a.txt", text), max_chars=100) == [Note(id="a", text=text)]


def test_a_huge_file_is_not_read(tmp_path):
    path = put(tmp_path / "a.txt")
    os.truncate(path, 1 << 30)
    tracemalloc.start()
    try:
        assert refused(path, max_chars=1000).reason == "too-large"
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
    finally:
        tracemalloc.stop()


def test_a_file_that_vanishes_and_the_rest_goes_on(tmp_path):
    paths = [put(tmp_path / name) for name in ("a.txt", "b.txt", "c.txt")]
    items = read_inputs([str(tmp_path)])
    next(items)
    paths[1].unlink()
    gone, last = items
    assert isinstance(gone, Unreadable)
    assert (gone.id, gone.reason) == ("b", "unreadable")
    assert last.id == "c"


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="the administrator may read everything")
def test_permission_denied(tmp_path):
    put(tmp_path / "a.txt").chmod(0)
    folder = tmp_path / "b"
    put(folder / "x.txt")
    folder.chmod(0)
    try:
        items = read(tmp_path)
    finally:
        folder.chmod(0o700)
    assert [(i.id, i.reason) for i in items if isinstance(i, Unreadable)] == [("a", "unreadable"), ("b", "unreadable")]


def test_permission_denied_as_the_system_tells_it(tmp_path, monkeypatch):
    path = put(tmp_path / "a.txt")
    system = os.open

    def denied(name, *args, **kwargs):
        if str(name) == str(path):
            raise PermissionError(13, "Permission denied", name)
        return system(name, *args, **kwargs)

    monkeypatch.setattr(os, "open", denied)
    item = refused(path)
    assert (item.reason, item.detail) == ("unreadable", "Permission denied")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes on this system")
def test_a_pipe_is_refused_without_waiting(tmp_path):
    os.mkfifo(tmp_path / "a.txt")
    os.mkfifo(tmp_path / "b.csv")
    assert [(i.id, i.reason) for i in read(tmp_path)] == [("a", "unreadable"), ("b", "unreadable")]


def test_links_that_lead_nowhere_or_in_a_circle(tmp_path):
    put(tmp_path / "n" / "a.txt")
    try:
        (tmp_path / "n" / "self.txt").symlink_to("self.txt")
        (tmp_path / "n" / "gone.txt").symlink_to("nowhere.txt")
        (tmp_path / "n" / "up").symlink_to(tmp_path, target_is_directory=True)
    except OSError:
        pytest.skip("no symbolic links on this system")
    items = {i.id: i for i in read(tmp_path / "n")}
    assert isinstance(items.pop("a"), Note)
    assert {i.reason for i in items.values()} == {"unreadable"}
    assert set(items) == {"self", "gone", "up"}
    assert ids(str(tmp_path / "n" / "**" / "a.txt")) == ["a"]


def test_linked_folders_are_followed(tmp_path):
    put(tmp_path / "elsewhere" / "a.txt")
    (tmp_path / "n").mkdir()
    try:
        (tmp_path / "n" / "ward").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    except OSError:
        pytest.skip("no symbolic links on this system")
    assert ids(tmp_path / "n") == ids(str(tmp_path / "n" / "**")) == ["ward/a"]


def test_a_deep_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for _ in range(300):
        os.mkdir("d")
        os.chdir("d")
    Path("a.txt").write_text("Fever.")
    monkeypatch.chdir(tmp_path)
    assert ids(".") == ["d/" * 300 + "a"]
