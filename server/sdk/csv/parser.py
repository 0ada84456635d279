"""The only parser of tables: it reads the header and every row, and accounts for every line.

A line is part of a record, blank, or a comment. An unreadable record is returned with the reason. Python's own
`csv` is not used: its limit on the size of a value applies to the whole process, and it cannot distinguish a value of
many lines from a quote that is never closed.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from server.sdk.errors import TaskError

MAX_VALUE = 2**20  # maximum bytes of one value (UTF-8)
MAX_ROW = 4 * MAX_VALUE  # maximum bytes of one row

#: A line of at most this many characters cannot have a value over the limit: checked first, because it is fast.
_CERTAINLY_SHORT = MAX_VALUE // 4

_SPACES = re.compile(" *")


@dataclass(frozen=True, slots=True)
class Syntax:
    """The special characters. `quote` and `comment` may be empty; a space as the delimiter may repeat."""

    delimiter: str
    quote: str = '"'
    comment: str = ""


class Record(NamedTuple):
    """One row of the file: the number of its first line, its number of lines, and the reason if it is unreadable."""

    line: int
    lines: int
    cells: list[str]
    reason: str = ""
    unclosed: bool = False


class Reader:
    """Splits lines that end with a line feed into records. `blank` and `comments` count the other lines.

    A quote that opens a value closes it if a delimiter or the end of the line follows. Inside one line any other quote
    is an ordinary character (`"5" pipe",1` has the value `5" pipe`); over several lines it makes the record unreadable,
    because the opening quote is probably a stray one.
    """

    def __init__(self, lines: Iterable[str], syntax: Syntax, *, before: int = 0) -> None:
        self._lines = iter(lines)
        self._syntax = syntax
        self._spaced = syntax.delimiter == " "
        self._never_closes = False  # no quote in the current line ends a value: searched once per line, not per value
        self.line = before
        self.blank = 0
        self.comments = 0

    def __iter__(self) -> Iterator[Record]:
        """Read one record after the other.

        Raises:
            TaskError: `csv-too-large`: a value has more than 1 MiB.
        """
        delimiter, quote, comment = self._syntax.delimiter, self._syntax.quote, self._syntax.comment
        empty = " " if delimiter == "\t" else " \t"
        for line in self._lines:
            self.line += 1
            text = line[:-1] if line.endswith("\n") else line
            if not text or (text.isspace() and not text.strip(empty)):
                self.blank += 1
            elif comment and text.startswith(comment):
                self.comments += 1
            elif quote and quote in text:
                yield self._quoted_record(text)
            else:
                cells = [cell for cell in text.split(" ") if cell] if self._spaced else text.split(delimiter)
                if len(text) > _CERTAINLY_SHORT:
                    _check_sizes(self.line, cells)
                yield Record(self.line, 1, cells)

    def _quoted_record(self, text: str) -> Record:
        first, delimiter, quote = self.line, self._syntax.delimiter, self._syntax.quote
        cells: list[str] = []
        size, self._never_closes = 0, False
        position = _after_spaces(text, 0) if self._spaced else 0
        try:
            while True:
                start = _after_spaces(text, position)
                if text.startswith(quote, start):
                    value, text, position = self._quoted_value(text, start + 1, len(cells) + 1)
                else:
                    end = text.find(delimiter, position)
                    value, position = (text[position:], len(text)) if end < 0 else (text[position:end], end)
                cells.append(value)
                size += len(value)
                if size > MAX_ROW:
                    raise TaskError("csv-too-large", f"The row in line {first} is longer than 4 MiB.")
                if position >= len(text) or (self._spaced and _after_spaces(text, position) >= len(text)):
                    break
                position = _after_spaces(text, position) if self._spaced else position + 1
        except _BadQuoteError as error:
            return Record(first, self.line - first + 1, cells, str(error), error.unclosed)
        _check_sizes(first, cells)
        return Record(first, self.line - first + 1, cells)

    def _quoted_value(self, text: str, start: int, column: int) -> tuple[str, str, int]:
        """Return the value whose text begins at `start`, its last line, and the position of the delimiter there."""
        quote = self._syntax.quote
        first, size, parts = self.line, 0, list[str]()
        stray = -1
        position = start
        while True:
            index = text.find(quote, position)
            if index < 0:
                if stray >= 0:
                    self._never_closes = True
                    return self._up_to_delimiter(text, start, stray)
                size += len(text) - start + 1
                if size > MAX_VALUE:
                    advice = f"Its quote is not closed up to line {self.line}; fix that, or give `quote=none`."
                    raise _too_large(first, column, advice)
                parts += [text[start:], "\n"]
                text, start, position = self._next_line(first, column), 0, 0
            elif text.startswith(quote, index + 1):
                position = index + 2
            elif self._ends_value(text, index + 1):
                value = ("".join(parts) + text[start:index]).replace(quote * 2, quote)
                return value, text, _after_spaces(text, index + 1) if not self._spaced else index + 1
            elif parts:
                raise _BadQuoteError(f"the quote that opens column {column} is not closed properly{self._up_to(first)}")
            elif self._never_closes:
                return self._up_to_delimiter(text, start, index)
            else:
                stray = index if stray < 0 else stray
                position = index + 1

    def _ends_value(self, text: str, position: int) -> bool:
        if self._spaced:
            return position == len(text) or text[position] == " "
        after = _after_spaces(text, position)
        return after == len(text) or text[after] == self._syntax.delimiter

    def _up_to_delimiter(self, text: str, start: int, stray: int) -> tuple[str, str, int]:
        """Return a value without a closing quote: it ends at the delimiter and keeps the stray quote."""
        end = text.find(self._syntax.delimiter, stray)
        end = len(text) if end < 0 else end
        return text[start:stray] + text[stray + 1 : end], text, end

    def _next_line(self, first: int, column: int) -> str:
        line = next(self._lines, None)
        if line is None:
            raise _BadQuoteError(
                f"the quote that opens column {column} is never closed{self._up_to(first)}", unclosed=True
            )
        self.line += 1
        return line[:-1] if line.endswith("\n") else line

    def _up_to(self, first: int) -> str:
        swallowed = self.line - first
        if not swallowed:
            return ""
        return f" and swallows {swallowed} line{'s' if swallowed > 1 else ''}, up to line {self.line}"


class _BadQuoteError(Exception):
    def __init__(self, reason: str, *, unclosed: bool = False) -> None:
        super().__init__(reason)
        self.unclosed = unclosed


def _after_spaces(text: str, position: int) -> int:
    spaces = _SPACES.match(text, position)
    return spaces.end() if spaces else position


def _check_sizes(line: int, cells: list[str]) -> None:
    for column, cell in enumerate(cells, 1):
        if len(cell) > _CERTAINLY_SHORT and len(cell.encode()) > MAX_VALUE:
            raise _too_large(line, column, "Check `delimiter` and `quote`.")


def _too_large(line: int, column: int, advice: str) -> TaskError:
    return TaskError("csv-too-large", f"Line {line}: the value in column {column} is longer than 1 MiB. {advice}")
