"""conlleval, the scorer of the CoNLL shared tasks (perl, version 2004-01-26), reproduced.

Task: Tjong Kim Sang & De Meulder 2003. ``score`` takes two files of BIO columns, whose last columns are the gold and the
predicted tags; ``score_columns`` takes the one file that conlleval itself reads. What is counted:

* A phrase is right if first token, last token and type agree. ``I-`` after ``O``, after a sentence break or with another type
  opens a phrase. Types keep their hyphens after the first one, and case counts.
* Blank lines, repeated ones too, and lines whose first column is ``-X-`` are sentence breaks.
* Scores are percentages; accuracy is over tokens, type included. A type has a row if gold or prediction has it; there is no macro.
* Columns are divided by single blanks. A line with another number of columns than the first (a tab, a doubled blank or a carriage
  return alone can cause it) stops conlleval, and FormatError is raised there. A carriage return at the end of a line is part of the
  predicted tag, so that nothing is right; ``score`` raises FormatError instead.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from medllm.errors import FormatError, InputError
from medllm.evaluation.counts import Scores
from medllm.evaluation.official.result import Headline, OfficialResult, Row, Table
from medllm.evaluation.tables import render

__all__ = ["render", "score", "score_columns"]

SCORER = "conlleval, perl, version 2004-01-26"
BOUNDARY = "-X-"
OVERALL = "overall"
_SAME_TOKENS = "both files need the same tokens in the same order"


@dataclass(frozen=True)
class _Tag:
    position: str
    type: str


_OUTSIDE = _Tag("O", "")


@dataclass(frozen=True)
class _Line:
    boundary: bool
    gold: _Tag
    pred: _Tag


def score(gold: Path, pred: Path) -> OfficialResult:
    """Score a file of predicted tags against a file of gold tags, token by token; the tag is the last column of each.

    Raises FormatError for lines that do not pair up and where conlleval would stop.
    """
    golds, preds = _tagged(gold), _tagged(pred)
    if len(golds) != len(preds):
        raise FormatError(f"{len(preds)} lines, but gold has {len(golds)}", path=str(pred), hint=_SAME_TOKENS)
    joined = []
    for number, (left, right) in enumerate(zip(golds, preds, strict=True), 1):
        if left[:1] != right[:1]:
            raise FormatError("another token than in gold", path=str(pred), line=number, hint=_SAME_TOKENS)
        joined.append([*left, right[-1]] if left else [])
    return _score(pred, joined)


def score_columns(path: Path) -> OfficialResult:
    """Score one file whose last two columns are the gold and the predicted tag: conlleval's own input. Raises FormatError."""
    return _score(path, _columns(path))


def _score(path: Path, rows: Sequence[Sequence[str]]) -> OfficialResult:
    lines = list(_lines(path, rows))
    gold, pred, right = _count(lines)
    tokens = [line for line in lines if not line.boundary]
    hits = sum(line.gold == line.pred for line in tokens)
    types = [_row(t, right[t], pred[t], gold[t]) for t in sorted({*gold, *pred})]
    overall = _row(OVERALL, right.total(), pred.total(), gold.total())
    facts = {
        "tokens": len(tokens),
        "gold_phrases": gold.total(),
        "found_phrases": pred.total(),
        "correct": right.total(),
        "accuracy": 100 * hits / len(tokens) if tokens else 0.0,
    }
    headline = Headline(_fraction(overall), None, {row.name: _fraction(row) for row in types}, gold.total(), pred.total())
    return OfficialResult("conll", SCORER, headline, (Table("phrases", (*types, overall), facts, unit="percent"),))


# --- reading ---------------------------------------------------------------------------------------------------------


def _columns(path: Path) -> list[list[str]]:
    """The columns of each line: divided by single blanks, empty ones at the end dropped, carriage returns kept (as perl has it)."""
    try:
        texts = path.read_bytes().decode("utf-8").split("\n")
    except UnicodeDecodeError as error:
        raise FormatError("not UTF-8", path=str(path), hint="convert the file to UTF-8") from error
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read: {type(error).__name__}", hint="check the path and its permissions", names=(str(path),)
        ) from error
    if not texts[-1]:
        texts.pop()
    columns = [text.split(" ") for text in texts]
    for line in columns:
        while line and not line[-1]:
            line.pop()
    return columns


def _tagged(path: Path) -> list[list[str]]:
    """The columns of a file of tokens and tags."""
    rows = _columns(path)
    for number, row in enumerate(rows, 1):
        if row and row[-1].endswith("\r"):
            raise FormatError("a carriage return would become part of the tag", path=str(path), line=number, hint="convert CRLF to LF")
        if len(row) == 1:
            raise _stop(path, number, "fewer than two columns")
    return rows


def _lines(path: Path, rows: Iterable[Sequence[str]]) -> Iterable[_Line]:
    width = 0
    for number, columns in enumerate(rows, 1):
        width = width or len(columns)
        if columns and len(columns) != width:
            raise _stop(path, number, f"{len(columns)} columns instead of {width}")
        if not columns or columns[0] == BOUNDARY:
            yield _Line(True, _OUTSIDE, _OUTSIDE)
        elif len(columns) < 2:
            raise _stop(path, number, "fewer than two columns")
        else:
            yield _Line(False, _tag(columns[-2]), _tag(columns[-1]))


def _tag(text: str) -> _Tag:
    position, _, kind = text.partition("-")
    return _Tag(position, kind)


def _stop(path: Path, number: int, what: str) -> FormatError:
    return FormatError(what, path=str(path), line=number, hint="conlleval stops here; columns are divided by single blanks")


# --- counting --------------------------------------------------------------------------------------------------------


def _count(lines: Iterable[_Line]) -> tuple[Counter[str], Counter[str], Counter[str]]:
    """Gold phrases, predicted phrases and right ones, by type."""
    gold, pred, right = Counter[str](), Counter[str](), Counter[str]()
    last_gold = last_pred = _OUTSIDE
    open_right: str | None = None  # the type of the phrase that both sides opened together and neither has ended
    for line in lines:
        ends_gold, ends_pred = _ends(last_gold, line.gold), _ends(last_pred, line.pred)
        if open_right is not None and (ends_gold or ends_pred or line.gold.type != line.pred.type):
            right[open_right] += ends_gold and ends_pred
            open_right = None
        starts_gold, starts_pred = _starts(last_gold, line.gold), _starts(last_pred, line.pred)
        if starts_gold and starts_pred and line.gold.type == line.pred.type:
            open_right = line.gold.type
        gold[line.gold.type] += starts_gold
        pred[line.pred.type] += starts_pred
        last_gold, last_pred = line.gold, line.pred
    if open_right is not None:
        right[open_right] += 1
    return +gold, +pred, +right


_BETWEEN = ("O", ".")
_ENDING = {("B", "B"), ("B", "O"), ("I", "B"), ("I", "O"), ("E", "E"), ("E", "I"), ("E", "O")}
_STARTING = {("B", "B"), ("I", "B"), ("O", "B"), ("O", "I"), ("E", "E"), ("E", "I"), ("O", "E")}


def _ends(last: _Tag, tag: _Tag) -> bool:
    """Whether a phrase ends between two tags; ``[`` and ``]`` are phrases of one token."""
    return (
        (last.position, tag.position) in _ENDING or (last.position not in _BETWEEN and last.type != tag.type) or last.position in ("[", "]")
    )


def _starts(last: _Tag, tag: _Tag) -> bool:
    return (
        (last.position, tag.position) in _STARTING or (tag.position not in _BETWEEN and last.type != tag.type) or tag.position in ("[", "]")
    )


def _row(name: str, right: int, found: int, gold: int) -> Row:
    precision, recall = (100 * right / n if n else 0.0 for n in (found, gold))
    f1 = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
    return Row(name, precision, recall, f1, {"tp": right, "fp": found - right, "fn": gold - right})


def _fraction(row: Row) -> Scores:
    return Scores(row.precision / 100, row.recall / 100, row.f1 / 100)
