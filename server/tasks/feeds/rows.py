"""A page as rows, whatever it is written in."""

import json
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NoReturn

from server.sdk.csv import Options, Record, clean, find
from server.sdk.errors import TaskError

#: Characters of a key as it is stored.
LONGEST_KEY = 500

Row = dict[str, Any]


def from_json(body: bytes, items: str | None) -> tuple[list[Row], Any]:
    """The rows of a JSON page, and the page itself, which may name the next.

    Raises:
        TaskError: `feed-unreadable`.
    """
    try:
        page = json.loads(body, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise TaskError("feed-unreadable", f"The answer is no JSON: {_words(error)}.") from None
    found = at(page, items) if items else _only_list(page)
    if not isinstance(found, list) or not all(isinstance(row, dict) for row in found):
        raise TaskError("feed-unreadable", f"{items or 'The answer'} is no list of objects.")
    return found, page


def _words(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg} in line {error.lineno}"
    return "it is nested too deeply" if isinstance(error, RecursionError) else str(error)[:100]


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no value of JSON")


def at(page: Any, path: str) -> Any:
    """What lies at a path such as `data.items`; None where nothing does."""
    for name in path.split("."):
        page = page.get(name) if isinstance(page, dict) else None
    return page


def _only_list(page: Any) -> Any:
    if not isinstance(page, dict):
        return page
    lists = [name for name, value in page.items() if isinstance(value, list)]
    if len(lists) == 1:
        return page[lists[0]]
    raise TaskError("feed-unreadable", "The answer is an object; say in `items` under which name its list lies.")


def from_csv(body: bytes) -> list[Row]:
    """The rows of a CSV page with a header, all values as text.

    Raises:
        TaskError: `feed-unreadable`, or what `clean` and `find` say.
    """
    with tempfile.TemporaryDirectory(prefix="feed-") as name:
        source, target = Path(name) / "page", Path(name) / "page.csv"
        source.write_bytes(body)
        clean(source, target, None, lambda _: None)
        dialect = find(target, Options(header=True, advice=False))
        if len(set(dialect.names)) < len(dialect.names):
            raise TaskError("feed-unreadable", "The CSV's header has the same name twice.")
        with dialect.reader(target) as reader:
            return list(_csv_rows(reader, dialect.names))


def _csv_rows(reader: Iterable[Record], names: tuple[str, ...]) -> Iterator[Row]:
    rows = (row for row in reader if row.reason or any(cell.strip() for cell in row.cells))
    next(rows)  # the header
    for row in rows:
        if row.reason:
            raise TaskError("feed-unreadable", f"Line {row.line}: {row.reason}.")
        if len(row.cells) != len(names):
            raise TaskError("feed-unreadable", f"Line {row.line} has {len(row.cells)} values, the header {len(names)}.")
        yield dict(zip(names, row.cells, strict=True))


def key_of(row: Row, fields: tuple[str, ...], number: int) -> str:
    """A row's key as text that any database holds.

    Raises:
        TaskError: `feed-unreadable`: a field of the key is missing, no plain value, or too long.
    """
    values = [row.get(name) for name in fields]
    for name, value in zip(fields, values, strict=True):
        if value is None or isinstance(value, dict | list):
            raise TaskError("feed-unreadable", f"Row {number} has no plain value in {name!r}, which is to be its key.")
    text = json.dumps(values[0] if len(values) == 1 else values)
    if len(text) > LONGEST_KEY:
        raise TaskError("feed-unreadable", f"The key of row {number} has more than {LONGEST_KEY} characters.")
    return text


def as_json(row: Row, number: int) -> str:
    """A row as it is stored, and read back without being looked at.

    Raises:
        TaskError: `feed-unreadable`: it has a number beyond a float's range (`1e999`), which JSON cannot give back.
    """
    try:
        return json.dumps(row, sort_keys=True, allow_nan=False)
    except ValueError:
        raise TaskError("feed-unreadable", f"Row {number} has a number that is too large.") from None
