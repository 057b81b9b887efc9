"""Notes from a database, through SQLAlchemy: the rows of a query, streamed.

The URL may hold a password: no message tells more of it than the kind of database, and none what the database said, which may quote rows.
"""

import os
from collections.abc import Iterator, Sequence
from typing import Any

from medllm.digests import DigestMap
from medllm.document import Note
from medllm.errors import InputError, UsageError
from medllm.formats.decoding import Refusal, Unreadable
from medllm.formats.discovery import Source
from medllm.formats.inputs import MAX_CHARS, QUERY, RowOptions, check_columns, row_notes
from medllm.formats.rows import BadRow, Row

ROWS_AT_A_TIME = 256
_ID = "query"


def read_query(
    url: str, query: str, *, text_column: str | None = None, id_column: str | None = None, max_chars: int = MAX_CHARS
) -> Iterator[Note | Unreadable]:
    """The notes of a query's rows, lazily and in its order, and an Unreadable for each row that is none.

    ``url`` is SQLAlchemy's (``postgresql+psycopg://user@host/db``, ``sqlite:///notes.db``). The columns of text and id are found as in a
    table; an id is ``query/`` and the value of ``id_column``, else the number of the row, which needs a query with ORDER BY to be the
    same in another run. Rows come ``ROWS_AT_A_TIME`` at a time, by a cursor of the server where the driver has one.

    Raises InputError for a database that cannot be reached, a query that fails or a missing column, and UsageError for what is no URL.
    """
    result, close = _execute(url, query)
    try:
        names = [str(name) for name in result.keys()]  # noqa: SIM118  a result, not a mapping
        options = RowOptions(text_column, id_column, max_chars)
        check_columns(QUERY, names, options)
    except BaseException:
        close()
        raise
    return _notes(result, close, names, options)


def _notes(result: Any, close: Any, names: Sequence[str], options: RowOptions) -> Iterator[Note | Unreadable]:
    source = Source(_ID, _ID, "sql")
    seen = DigestMap()
    try:
        for item in row_notes(source, _rows(result, names), options):
            if isinstance(item, Note) and seen.get(item.id):
                yield Unreadable(item.id, _ID, "duplicate-id", "an earlier note has the same id")
                continue
            if options.id_column is not None:
                seen.set(item.id, 1)
            yield item
    except Refusal as refusal:
        yield Unreadable(_ID, _ID, refusal.reason, refusal.detail)
    finally:
        close()


def _rows(result: Any, names: Sequence[str]) -> Iterator[Row | BadRow]:
    from sqlalchemy.exc import SQLAlchemyError

    number = 0
    try:
        for number, row in enumerate(result, 1):
            yield Row(number, dict(zip(names, row, strict=True)))
    except (SQLAlchemyError, UnicodeError, OSError) as error:
        raise Refusal("unreadable", f"the query breaks after row {number} ({type(error).__name__})") from None


def _execute(url: str, query: str) -> tuple[Any, Any]:
    """The result of a query, and what closes it."""
    try:
        import sqlalchemy
        from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError
    except ImportError:
        raise InputError("reading a database needs SQLAlchemy, which is not installed", hint="pip install medllm[sql]") from None
    try:
        engine = sqlalchemy.create_engine(url)
    except (ArgumentError, NoSuchModuleError, ValueError, UnicodeError):
        raise UsageError(
            "--from is no database URL of SQLAlchemy", hint="such as postgresql+psycopg://user@host/db or sqlite:///notes.db"
        ) from None
    except ImportError as error:
        raise InputError(f"the database's driver is not installed: {error.name or 'unknown'}", hint="install it with pip") from None
    kind = engine.dialect.name
    if kind == "sqlite" and not _is_there(engine.url.database):
        raise InputError("sqlite: there is no such file", hint="sqlite would make an empty one; four slashes begin an absolute path")
    connection = None
    try:
        connection = engine.connect()
        result = connection.execution_options(stream_results=True, yield_per=ROWS_AT_A_TIME).execute(sqlalchemy.text(query))
        if not result.returns_rows:
            raise UsageError("the query returns no rows", hint="give a SELECT, such as: select note_id, text from notes order by note_id")
    except SQLAlchemyError as error:
        _close(engine, connection)
        what = "the query fails" if connection is not None else "the database cannot be reached"
        hint = "try it in the database's own shell" if connection is not None else "are host, name, user and password right?"
        raise InputError(f"{kind}: {what} ({type(getattr(error, 'orig', None) or error).__name__})", hint=hint) from None
    except BaseException:
        _close(engine, connection)
        raise
    return result, lambda: _close(engine, connection)


def _is_there(database: str | None) -> bool:
    """False for a file of SQLite that is missing; its own forms, ``:memory:`` and ``file:``, are left to it."""
    return not database or database.startswith((":", "file:")) or os.path.exists(database)


def _close(engine: Any, connection: Any) -> None:
    if connection is not None:
        connection.close()
    engine.dispose()
