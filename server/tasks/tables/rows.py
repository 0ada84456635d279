"""Rewrites a table's rows so plainly that DuckDB cannot misread them, and accounts for every line.

Each row becomes one line: its line number, then its values, with separators that never occur in text. The parser makes
all decisions about quotes, widths and comments; DuckDB only stores.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

from pydantic import BaseModel, Field

from server.sdk.csv.dialect import Dialect
from server.sdk.csv.parser import MAX_ROW, Record
from server.sdk.errors import TaskError

#: The separator of values, and the replacement for a line feed in a value: clean text has neither (see `text.py`).
SEPARATOR = "\x1f"
LINE_FEED = "\x1e"
MAX_SKIPPED = 1000  # maximum number of skipped rows; a table with more unreadable rows has another dialect
_CUT_OFF = 10  # maximum lines of a value that is cut off at the end of the file; a stray quote spans more
_LINE_NUMBER = 24  # bytes for a line number, with its separator and the line feed
_SHOWN = 10
_AT_A_TIME = 5000

_TOO_FEW, _TOO_MANY = "too few columns", "too many columns"
_ADVICE = {_TOO_FEW: "`pad_rows=true` fills short rows; or check `delimiter`", _TOO_MANY: "Check `delimiter`"}


class SkippedRow(BaseModel):
    """An unreadable row. `line` is its first line, from 1; a stray quote can extend it over several `lines`."""

    line: int
    lines: int = 1
    reason: str


class SkippedRows(BaseModel):
    """The skipped rows: their number, their lines, and the first ten of them."""

    count: int = 0
    lines: int = 0
    first: list[SkippedRow] = Field(default_factory=list)


class LongRow(BaseModel):
    """The row with the most lines: it reveals a stray quote that happens to be closed."""

    line: int
    lines: int


class Lines(BaseModel):
    """The number of lines by kind; they add up to `total`."""

    total: int = 0
    before: int = Field(0, description="Before the table: `skip_rows`, or a `sep=` line.")
    header: int = 0
    rows: int = Field(0, description="In the rows that were read; a quoted value may have several lines.")
    skipped: int = 0
    blank: int = 0
    comments: int = 0


@dataclass(slots=True)
class ReadRows:
    """The result of reading all rows: those for DuckDB at `path`, and the number of lines of each type.

    `width` is the number of columns, `max_line` the maximum bytes of a line for DuckDB.
    """

    path: Path
    width: int
    lines: Lines
    skipped: SkippedRows = field(default_factory=SkippedRows)
    rows: int = 0
    padded: int = 0
    long_row: LongRow | None = None
    max_line: int = 0
    has_line_feeds: bool = False


def rewrite(
    source: Path, target: Path, dialect: Dialect, nulls: Collection[str], progress: Callable[[int], None]
) -> ReadRows:
    """Write the rows of clean text as plain lines, with `nulls` as empty values; `progress` receives the number of
    rows.

    Raises:
        TaskError: `csv-unreadable` with a line, if too many rows are unreadable; `csv-too-large`.
    """
    read_rows = ReadRows(target, len(dialect.names), Lines(before=dialect.before))
    lines = read_rows.lines
    with dialect.reader(source) as reader, target.open("w", encoding="utf-8", newline="\n") as out:
        records = iter(reader)
        if dialect.header and (header := next(records, None)):
            lines.header = header.lines
        batch: list[str] = []
        unknown = frozenset(nulls)
        for record in records:
            if cells := _cells(record, read_rows, dialect.pad_rows):
                batch.append(_plain(record, _without(unknown, cells), read_rows))
            if len(batch) == _AT_A_TIME:
                _write(out, batch, read_rows)
                progress(read_rows.rows)
        _write(out, batch, read_rows)
    lines.skipped, lines.blank, lines.comments = read_rows.skipped.lines, reader.blank, reader.comments
    lines.total = max(reader.line, lines.before)
    if read_rows.skipped.count > read_rows.rows:
        raise _unreadable(read_rows)
    return read_rows


def _write(out: TextIO, batch: list[str], read_rows: ReadRows) -> None:
    characters = max(map(len, batch), default=0)
    read_rows.max_line = max(read_rows.max_line, min(4 * characters, MAX_ROW + _LINE_NUMBER + read_rows.width))
    out.writelines(batch)
    batch.clear()


def _cells(record: Record, read_rows: ReadRows, pad_rows: bool) -> list[str]:
    """Return the row's values, one per column of the table; empty if it is skipped."""
    cells, missing = record.cells, read_rows.width - len(record.cells)
    if not missing and not record.reason:
        return cells
    if missing > 0 and pad_rows and not record.reason:
        read_rows.padded += 1
        return cells + [""] * missing
    _skip(record, read_rows)
    return []


def _without(nulls: frozenset[str], cells: list[str]) -> list[str]:
    if nulls.isdisjoint(map(str.strip, cells)):
        return cells
    return ["" if cell.strip() in nulls else cell for cell in cells]


def _plain(record: Record, cells: list[str], read_rows: ReadRows) -> str:
    read_rows.rows += 1
    read_rows.lines.rows += record.lines
    text = SEPARATOR.join(cells)
    if record.lines > 1:
        text = text.replace("\n", LINE_FEED)
        read_rows.has_line_feeds = True
        if len(text.encode()) > MAX_ROW:
            raise TaskError("csv-too-large", f"The row in line {record.line} is longer than 4 MiB.")
        if read_rows.long_row is None or record.lines > read_rows.long_row.lines:
            read_rows.long_row = LongRow(line=record.line, lines=record.lines)
    return f"{record.line}{SEPARATOR}{text}\n"


def _skip(record: Record, read_rows: ReadRows) -> None:
    if record.unclosed and record.lines > _CUT_OFF:
        raise TaskError(
            "csv-unreadable",
            f"Line {record.line}: {record.reason}. Fix the line; or give `quote=none`, if quotes mean nothing here.",
        )
    wrong_width = _TOO_FEW if len(record.cells) < read_rows.width else _TOO_MANY
    skipped = read_rows.skipped
    skipped.count += 1
    skipped.lines += record.lines
    if len(skipped.first) < _SHOWN:
        skipped.first.append(SkippedRow(line=record.line, lines=record.lines, reason=record.reason or wrong_width))
    if skipped.lines > MAX_SKIPPED:
        raise _unreadable(read_rows)


def _unreadable(read_rows: ReadRows) -> TaskError:
    first = read_rows.skipped.first[0]
    advice = _ADVICE.get(first.reason, "Check `quote`")
    return TaskError(
        "csv-unreadable",
        f"At least {read_rows.skipped.count} of the rows cannot be read as {read_rows.width} columns, "
        f"the first at line {first.line}: {first.reason}. {advice}.",
    )
