"""Decides if the first row of a table names its columns."""

import re
from collections.abc import Iterable, Mapping, Sequence

_VALUE = re.compile(r"[\s+-]*[\d.,:/T-]*\d[\d.,:/TZ%€$ -]*|true|false", re.IGNORECASE)
_INTEGER = re.compile(r"\d{1,9}")
_YEAR = re.compile(r"(?:1[89]|20|21)\d\d")
_NUMBER = re.compile(r"[+-]?\d[\d.,]*")


def is_value(cell: str) -> bool:
    """Return whether a cell is a number, a date or a truth value, rather than a word."""
    return _VALUE.fullmatch(cell.strip()) is not None


def is_header(rows: Sequence[Sequence[str]]) -> bool:
    """Return whether the first row is a header.

    It is one if it has only words, all different or above rows of values; or if its values can name columns: years or
    dates above other numbers, or positions from 0 or 1.
    """
    first = [cell.strip() for cell in rows[0]]
    filled = [cell for cell in first if cell]
    if len(filled) < len(first) / 2:
        return False
    labels = {column: cell for column, cell in enumerate(first) if is_value(cell)}
    if not labels:
        return len(set(filled)) == len(filled) or any(is_value(cell) for row in rows[1:] for cell in row)
    if len(set(filled)) < len(filled):
        return False
    columns = {column: [row[column].strip() for row in rows[1:] if column < len(row)] for column in labels}
    named = all(_is_label(cell, columns[column]) for column, cell in labels.items())
    if len(labels) == len(first):  # only values: a header has to be a row of years
        return named and len(labels) > 1 and _is_rising(list(labels.values()))
    return named or (_counts(labels.values()) and not _rows_count(columns))


def _is_rising(labels: list[str]) -> bool:
    return all(map(_YEAR.fullmatch, labels)) and labels == sorted(labels)


def _counts(cells: Iterable[str]) -> bool:
    """Return whether the cells are 0, 1, 2… or 1, 2, 3…"""
    numbers = [int(cell) for cell in cells if _INTEGER.fullmatch(cell)]
    return len(numbers) > 1 and numbers[0] in (0, 1) and numbers == list(range(numbers[0], numbers[0] + len(numbers)))


def _rows_count(columns: Mapping[int, Sequence[str]]) -> bool:
    """Return whether most other rows count as well: then the first row is not a header."""
    rows = list(zip(*columns.values(), strict=False))
    return sum(map(_counts, rows)) * 2 > len(rows)


def _is_label(cell: str, below: Sequence[str]) -> bool:
    """Return whether a value names a column: a year above numbers that are mostly no years, or a date above numbers."""
    filled = [each for each in below if each]
    if _YEAR.fullmatch(cell):
        return sum(_YEAR.fullmatch(each) is not None for each in filled) * 2 < max(1, len(filled))
    return bool(filled) and not _NUMBER.fullmatch(cell) and all(_NUMBER.fullmatch(each) for each in filled)
