"""How a file is written: its delimiter, whether it has a header, how many columns; found in its first rows."""

import csv
import io
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from server.sdk.errors import TaskError

#: Characters of the text that are looked at, and rows of them.
_SAMPLE = 2**20
_ROWS = 1000

_DELIMITERS = (",", ";", "\t", "|")

#: Most columns: DuckDB holds 32 KB of parsed rows for each, and a page or an answer with more helps nobody.
MAX_COLUMNS = 2000

_VALUE = re.compile(r"[\s+-]*[\d.,:/T-]*\d[\d.,:/TZ%€$ -]*|true|false", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Dialect:
    """A file's way. `names` are the columns' as the header has them, or `column 1`… where there is none;
    `blank_lines` stand before the first row."""

    delimiter: str
    header: bool
    names: tuple[str, ...]
    blank_lines: int


def find(path: Path, delimiter: str | None, header: bool | None) -> Dialect:
    """Look at the first rows of clean text; what is given is believed.

    Raises:
        TaskError: `csv-empty`, or `csv-unreadable` with the line.
    """
    with path.open(newline="", encoding="utf-8") as file:
        sample = file.read(_SAMPLE)
        cut = bool(file.read(1))
    readings = [_read(sample, each, cut) for each in ([delimiter] if delimiter else _DELIMITERS)]
    best = max(readings, key=_likelihood)
    if not any(cell.strip() for row in best.rows for cell in row):
        raise TaskError("csv-empty", "The file has no rows.")
    width = best.width
    if header is None:
        header = _is_header(best.rows)
    if header and len(best.rows[0]) != width:
        raise TaskError(
            "csv-unreadable", f"The header in line 1 has {len(best.rows[0])} columns, but most rows have {width}."
        )
    if width > MAX_COLUMNS:
        raise TaskError("csv-too-large", f"The file has {width} columns; the limit is {MAX_COLUMNS}.")
    names = best.rows[0] if header else [f"column {number}" for number in range(1, width + 1)]
    return Dialect(best.delimiter, header, tuple(names), len(sample) - len(sample.lstrip("\n")))


@dataclass(frozen=True, slots=True)
class _Reading:
    delimiter: str
    rows: list[list[str]]

    @property
    def width(self) -> int:
        """The most frequent number of fields; of equally frequent ones, the first row's."""
        return Counter(len(row) for row in self.rows).most_common(1)[0][0]


def _read(sample: str, delimiter: str, cut: bool) -> _Reading:
    """The sample's rows, read with one delimiter."""
    csv.field_size_limit(_SAMPLE)
    reader = csv.reader(io.StringIO(sample, newline=""), delimiter=delimiter)
    rows: list[list[str]] = []
    for row in reader:
        if row:
            rows.append(row)
        if len(rows) > _ROWS:
            break
    if cut and len(rows) > 1:
        rows.pop()  # it may be cut off
    return _Reading(delimiter, rows)


def _likelihood(reading: _Reading) -> tuple[float, int]:
    """Most rows agree on a number of columns above one; of equals, the one with more columns."""
    if not reading.rows or reading.width == 1:
        return 0.0, 0
    agree = sum(len(row) == reading.width for row in reading.rows) / len(reading.rows)
    return agree, reading.width


def _is_header(rows: list[list[str]]) -> bool:
    """The first row names columns: it has words alone, all different or above rows that have values."""
    words = [cell.strip() for cell in rows[0] if cell.strip()]
    if len(words) <= len(rows[0]) / 2 or any(_VALUE.fullmatch(word) for word in words):
        return False
    return len(set(words)) == len(words) or any(_VALUE.fullmatch(cell.strip()) for row in rows[1:] for cell in row)
