"""Finds how a table is written from its first rows: its delimiter, its first line, and its header."""

import re
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from server.sdk.csv import formats
from server.sdk.csv.header import is_header, is_value
from server.sdk.csv.parser import Reader, Record, Syntax
from server.sdk.csv.text import clean
from server.sdk.errors import TaskError

#: Characters and rows of the text that are examined.
_SAMPLE = 2**20
_ROWS = 1000

_DELIMITERS = (",", ";", "\t", "|", "^", "~")

#: Maximum number of columns: DuckDB needs 32 KB of parsed rows for each, and nobody reads a page with more.
MAX_COLUMNS = 2000
_TITLE_ROWS = 10  # number of first rows that may have a title above the header
_SEP = re.compile(r'"?sep=(.|\\t)"?', re.IGNORECASE)  # Excel's notation for the delimiter, in the first line


@dataclass(frozen=True, slots=True)
class Options:
    """The client's description of a table; None means: find it."""

    delimiter: str | None = None
    header: bool | None = None
    quote: str = '"'
    skip_rows: int = 0
    comment: str = ""
    pad_rows: bool = False
    advice: bool = True  # name the parameters that would help in errors, for tasks that have them


@dataclass(frozen=True, slots=True)
class Dialect:
    """The format of one table. `before` lines precede its first row; `names` are those of the header, or `column 1`…"""

    syntax: Syntax
    header: bool
    names: tuple[str, ...]
    before: int
    pad_rows: bool = False

    @contextmanager
    def reader(self, path: Path) -> Iterator[Reader]:
        """Return a reader of all records of the clean text, including the header."""
        with path.open(encoding="utf-8", newline="\n") as file:
            for _ in islice(file, self.before):
                pass
            yield Reader(file, self.syntax, before=self.before)


@contextmanager
def opened(source: Path, encoding: str | None) -> Iterator[tuple[tuple[str, ...], Iterator[Record]]]:
    """Open a table that has a header: yield its names, and its rows except the blank ones and the header."""
    with tempfile.TemporaryDirectory(prefix="table-") as folder:
        text = clean(source, Path(folder) / "table.csv", encoding, lambda _: None)
        dialect = find_dialect(text.path, Options(header=True, advice=False))
        with dialect.reader(text.path) as reader:
            rows = (row for row in reader if row.reason or any(cell.strip() for cell in row.cells))
            next(rows)
            yield dialect.names, rows


def find_dialect(path: Path, options: Options) -> Dialect:
    """Find the dialect from the first rows of clean text; `options` are not checked.

    Raises:
        TaskError: `csv-empty`, `csv-too-large`, or `csv-unreadable` with the line and the option to set.
    """
    lines, cut = _sample(path)
    if name := formats.of_text("".join(lines), whole=not cut):
        raise TaskError("csv-unreadable", f"This is {name}, not a table of values with delimiters. Save it as CSV.")
    before, delimiter = options.skip_rows, options.delimiter
    if not before and lines and (named := _SEP.fullmatch(lines[0].strip())):
        before, delimiter = 1, delimiter or ("\t" if named[1] == "\\t" else named[1])
    candidates = (delimiter,) if delimiter else (*_DELIMITERS, " ")
    best = _best([_read(lines, before, Syntax(each, options.quote, options.comment), cut) for each in candidates])
    if best.rows and (first := best.rows[0]).reason:
        advice = " Fix the line, or give `quote=none` or `skip_rows`." if options.advice else ""
        raise TaskError("csv-unreadable", f"Line {first.line}: {first.reason}.{advice}")
    if not any(cell.strip() for row in best.rows for cell in row.cells):
        after = f" after the {before} that are skipped" if before else ""
        raise TaskError("csv-empty", f"The file has no rows{after}.")
    header = is_header(best.cells) if options.header is None else options.header
    if options.header is None and not header:
        _refuse_late_header(best)
    names = _names(best, header, options)
    if len(names) > MAX_COLUMNS:
        raise TaskError("csv-too-large", f"The file has {len(names)} columns; the limit is {MAX_COLUMNS}.")
    return Dialect(best.syntax, header, names, before, options.pad_rows)


def _sample(path: Path) -> tuple[list[str], bool]:
    """Return the first lines, and whether there are more. The first line is complete even if it exceeds the sample."""
    with path.open(encoding="utf-8", newline="\n") as file:
        return file.readlines(_SAMPLE), bool(file.read(1))


@dataclass(frozen=True, slots=True)
class _Reading:
    """The first records, parsed with one syntax."""

    syntax: Syntax
    rows: list[Record]

    @property
    def cells(self) -> list[list[str]]:
        """Return the first row, and the rows with the most frequent number of columns."""
        width = self.width
        return [row.cells for index, row in enumerate(self.rows) if not index or len(row.cells) == width]

    @property
    def width(self) -> int:
        """Return the most frequent number of fields; in a tie, the first row's."""
        counts = Counter(len(row.cells) for row in self.rows if not row.reason)
        return counts.most_common(1)[0][0] if counts else 0

    def agreement(self) -> float:
        """Return the share of rows with the most frequent number of fields."""
        width = self.width
        return sum(len(row.cells) == width and not row.reason for row in self.rows) / len(self.rows)

    def likelihood(self) -> tuple[float, float, int]:
        """Return a sort key: agreement on more than one column, then the share of dates and numbers."""
        if not self.rows or self.width <= 1:
            return 0.0, 0.0, 0
        cells = [cell for row in self.rows[:100] for cell in row.cells if cell.strip()]
        return self.agreement(), sum(map(is_value, cells)) / max(1, len(cells)), self.width


def _best(readings: list[_Reading]) -> _Reading:
    """Return the likeliest reading. A space counts only if nothing else fits and all rows agree: any text has one."""
    if len(readings) == 1:
        return readings[0]
    *marks, spaces = readings
    best = max(marks, key=_Reading.likelihood)
    return spaces if best.likelihood()[2] <= 1 and _is_spaced(spaces) else best


def _is_spaced(reading: _Reading) -> bool:
    if len(reading.rows) < 2 or reading.width < 2 or reading.agreement() < 1:
        return False
    first, *rest = reading.cells
    named = not any(map(is_value, first)) and any(is_value(cell) for row in rest for cell in row)
    return reading.width > 2 or named


def _read(lines: list[str], before: int, syntax: Syntax, cut: bool) -> _Reading:
    rows: list[Record] = []
    reader = Reader(lines[before:], syntax, before=before)
    try:
        rows += islice(reader, _ROWS)
    except TaskError as error:  # a value is too long because this delimiter is the wrong one
        rows.append(Record(reader.line, 1, [], error.detail))
    if cut and len(rows) > 1 and rows[-1].unclosed:  # the quote may be closed after the sample
        rows.pop()
    return _Reading(syntax, rows)


def _names(best: _Reading, header: bool, options: Options) -> tuple[str, ...]:
    first, width = best.rows[0], best.width
    header_width = len(first.cells)
    if header_width != width and not (options.pad_rows or options.header is False):
        columns = f"{header_width} column{'s' * (header_width != 1)}"
        message = f"The header in line {first.line} has {columns}, but most rows have {width}."
        raise TaskError("csv-unreadable", message + (_advice(best) if options.advice else ""))
    if options.pad_rows and header:
        width = max(width, header_width)
    named = first.cells if header else []
    return (*named, *(f"column {number}" for number in range(len(named) + 1, width + 1)))


def _refuse_late_header(best: _Reading) -> None:
    """Refuse a title that a spreadsheet padded with empty cells: the header below it would be lost."""
    rows = [row for row in best.rows if not row.reason and len(row.cells) == best.width]
    if sum(1 for cell in rows[0].cells if cell.strip()) * 2 >= best.width:
        return
    for index, row in enumerate(rows[:_TITLE_ROWS]):
        if all(cell.strip() for cell in row.cells) and is_header([each.cells for each in rows[index:]]):
            raise TaskError(
                "csv-unreadable",
                f"The header seems to be in line {row.line}: give `skip_rows={row.line - 1}`; "
                "if the table has no header, `header=false`.",
            )


def _advice(best: _Reading) -> str:
    table = next(row for row in best.rows if len(row.cells) == best.width and not row.reason)
    return (
        f" If the table begins in line {table.line}, give `skip_rows={table.line - 1}`; if rows may be short, "
        "`pad_rows=true`; if the columns are wrong, `delimiter`."
    )
