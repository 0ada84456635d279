"""The rows of a table, written anew so plainly that DuckDB cannot misread them, and an account of every line.

Each row becomes one line: its line's number, then its values, with separators that no text has. All judgement about
quotes, widths and comments is the parser's; DuckDB only stores.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from pydantic import BaseModel, Field

from server.sdk.csv.dialect import Dialect
from server.sdk.csv.parser import MAX_ROW, Reader, Record
from server.sdk.errors import TaskError

#: Between two values, and in the place of a line feed inside one: clean text has neither (see `text.py`).
SEPARATOR = "\x1f"
LINE_FEED = "\x1e"

#: Maximum number of lines that may be left out; a table of which more cannot be read is the wrong dialect.
MAX_SKIPPED = 1000

#: A value that is cut off at the end of the file may have this many lines; a stray quote swallows more.
_CUT_OFF = 10

#: Bytes of a line's number, with its separator and the line feed.
_LINE_NUMBER = 24

_SHOWN = 10
_AT_A_TIME = 5000


class SkippedRow(BaseModel):
    """A row that cannot be read. `line` is its first line, from 1; a stray quote can make it several `lines` long."""

    line: int
    lines: int = 1
    reason: str


class SkippedRows(BaseModel):
    """The rows that were left out, the lines that they have, and the first ten of them."""

    count: int = 0
    lines: int = 0
    first: list[SkippedRow] = Field(default_factory=list)


class LongRow(BaseModel):
    """The row with the most lines: a stray quote shows here if it happens to be closed."""

    line: int
    lines: int


class Lines(BaseModel):
    """Where every line of the file is: the other numbers add up to `total`."""

    total: int = 0
    before: int = Field(0, description="Before the table: `skip_rows`, or a `sep=` line.")
    header: int = 0
    rows: int = Field(0, description="In the rows that were read; a quoted value may have several lines.")
    skipped: int = 0
    blank: int = 0
    comments: int = 0


@dataclass(slots=True)
class PlainRows:
    """The rows as DuckDB reads them. `width` is the number of columns, `longest` bytes no line exceeds."""

    path: Path
    width: int
    longest: int = 0
    has_line_feeds: bool = False


@dataclass(slots=True)
class Account:
    """The outcome of reading all rows."""

    plain: PlainRows
    rows: int
    lines: Lines
    skipped: SkippedRows
    padded: int
    longest: LongRow | None


def rewrite(
    source: Path, target: Path, dialect: Dialect, nulls: Collection[str], progress: Callable[[int], None]
) -> Account:
    """Write the rows of clean text as plain lines, values that are `nulls` as empty ones; `progress` is told how many.

    Raises:
        TaskError: `csv-unreadable` with a line, if too many rows cannot be read; `csv-too-large`.
    """
    account = Account(PlainRows(target, len(dialect.names)), 0, Lines(before=dialect.before), SkippedRows(), 0, None)
    with dialect.reader(source) as reader, target.open("w", encoding="utf-8", newline="\n") as out:
        records = iter(reader)
        if dialect.header and (header := next(records, None)):
            account.lines.header = header.lines
        batch: list[str] = []
        unknown = frozenset(nulls)
        for record in records:
            if cells := _cells(record, account, dialect.pad_rows):
                batch.append(_plain(record, _without(unknown, cells), account))
            if len(batch) == _AT_A_TIME:
                _write(out, batch, account.plain)
                progress(account.rows)
        _write(out, batch, account.plain)
        _close(account, reader)
    if account.skipped.count > account.rows:
        raise _unreadable(account)
    return account


def _write(out: TextIO, batch: list[str], plain: PlainRows) -> None:
    characters = max(map(len, batch), default=0)
    plain.longest = max(plain.longest, min(4 * characters, MAX_ROW + _LINE_NUMBER + plain.width))
    out.writelines(batch)
    batch.clear()


def _cells(record: Record, account: Account, pad_rows: bool) -> list[str]:
    """The row's values, as many as the table has columns; none if it is skipped."""
    cells, missing = record.cells, account.plain.width - len(record.cells)
    if not missing and not record.reason:
        return cells
    if missing > 0 and pad_rows and not record.reason:
        account.padded += 1
        return cells + [""] * missing
    _skip(record, account)
    return []


def _without(nulls: frozenset[str], cells: list[str]) -> list[str]:
    if nulls.isdisjoint(map(str.strip, cells)):
        return cells
    return ["" if cell.strip() in nulls else cell for cell in cells]


def _plain(record: Record, cells: list[str], account: Account) -> str:
    account.rows += 1
    account.lines.rows += record.lines
    text = SEPARATOR.join(cells)
    if record.lines > 1:
        text = text.replace("\n", LINE_FEED)
        account.plain.has_line_feeds = True
        if len(text.encode()) > MAX_ROW:
            raise TaskError("csv-too-large", f"The row in line {record.line} is longer than 4 MiB.")
        if account.longest is None or record.lines > account.longest.lines:
            account.longest = LongRow(line=record.line, lines=record.lines)
    return f"{record.line}{SEPARATOR}{text}\n"


def _skip(record: Record, account: Account) -> None:
    if record.unclosed and record.lines > _CUT_OFF:
        raise TaskError(
            "csv-unreadable",
            f"Line {record.line}: {record.reason}. Fix the line; or give `quote=none`, if quotes mean nothing here.",
        )
    few = "too few columns" if len(record.cells) < account.plain.width else "too many columns"
    skipped = account.skipped
    skipped.count += 1
    skipped.lines += record.lines
    if len(skipped.first) < _SHOWN:
        skipped.first.append(SkippedRow(line=record.line, lines=record.lines, reason=record.reason or few))
    if skipped.lines > MAX_SKIPPED:
        raise _unreadable(account)


def _unreadable(account: Account) -> TaskError:
    first = account.skipped.first[0]
    advice = {"too few columns": "`pad_rows=true` fills short rows; or check `delimiter`"}.get(
        first.reason, "Check `delimiter`" if first.reason == "too many columns" else "Check `quote`"
    )
    return TaskError(
        "csv-unreadable",
        f"At least {account.skipped.count} of the rows cannot be read as {account.plain.width} columns, "
        f"the first at line {first.line}: {first.reason}. {advice}.",
    )


def _close(account: Account, reader: Reader) -> None:
    lines = account.lines
    lines.skipped, lines.blank, lines.comments = account.skipped.lines, reader.blank, reader.comments
    lines.total = max(reader.line, lines.before)
