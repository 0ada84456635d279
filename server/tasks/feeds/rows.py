"""Turns a page in any format into rows."""

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NoReturn

from server.sdk.csv import Record, formats, opened
from server.tasks.feeds.errors import unreadable

MAX_KEY_LENGTH = 500  # maximum characters of a stored key

#: The field for a row's name if the rows are a map, and the field for a value that is not an object.
MAP_KEY, MAP_VALUE = "_key", "value"

Row = dict[str, Any]
Shape = Literal["list", "object", "map"]


@dataclass(frozen=True, slots=True)
class RowSelector:
    """The path and shape of the rows in a JSON answer. `key` are the fields that identify a row."""

    items: str | None
    shape: Shape | None
    key: tuple[str, ...]

    @property
    def takes_all(self) -> bool:
        """Return whether all fields of an answer are data, so that a `total` among them announces no rows."""
        return self.items is None and self.shape in ("object", "map")


def at(value: Any, path: str) -> Any:
    """Return the value at a path such as `data.items`, or None. A name may contain dots: `@odata.nextLink`."""
    if not isinstance(value, dict):
        return None
    if path in value:
        return value[path]
    end = path.find(".")
    while end >= 0:
        if path[:end] in value and (nested := at(value[path[:end]], path[end + 1 :])) is not None:
            return nested
        end = path.find(".", end + 1)
    return None


def from_json(body: bytes, charset: str | None, selector: RowSelector) -> tuple[list[Row], Any]:
    """Return the rows of a JSON page, and the page itself, which may name the next one.

    Raises:
        TaskError: `feed-unreadable`.
    """
    # `json` itself detects UTF-8, UTF-16 and UTF-32.
    page = _parse(_text(body, charset) if charset else body)
    return _rows(page, selector), page


def from_lines(body: bytes, charset: str | None) -> list[Row]:
    """Return the rows of a page with one JSON object per line.

    Raises:
        TaskError: `feed-unreadable` with the line.
    """
    rows = []
    for number, line in enumerate(_text(body, charset or "utf-8").split("\n"), 1):
        if line.strip():
            row = _parse(line, number)
            if not isinstance(row, dict):
                raise unreadable(f"Line {number} is not a JSON object.")
            rows.append(row)
    return rows


def _text(body: bytes, charset: str) -> str:
    try:
        return body.decode(charset).removeprefix("\ufeff")
    except LookupError:
        raise unreadable(f"There is no encoding {charset[:50]!r}. Set `encoding`.") from None
    except UnicodeError:
        raise unreadable(f"The answer is not text in {charset}. Set `encoding`.") from None


def _parse(text: str | bytes, line: int | None = None) -> Any:
    """Parse a JSON text, in which NaN and Infinity are errors."""
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        sample = text[:1000] if isinstance(text, str) else text[:1000].decode("utf-8", "replace")
        name = formats.of_bytes(sample.encode()) or formats.of_text(sample, whole=False)
        if name not in (None, "JSON"):
            raise unreadable(f"The answer is {name}, not JSON. Check the `url`.") from None
        raise unreadable(f"The answer is not JSON: {_reason(error, line)}.") from None


def _reason(error: Exception, line: int | None) -> str:
    if isinstance(error, json.JSONDecodeError):
        advice = "; for one value a line, give `format=ndjson`" if error.msg == "Extra data" else ""
        return f"{error.msg} in line {line or error.lineno}{advice}"
    return "it is nested too deeply" if isinstance(error, RecursionError) else str(error)[:100]


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a value of JSON")


def _rows(page: Any, selector: RowSelector) -> list[Row]:
    where = f"`{selector.items}`" if selector.items else "The answer"
    selected = at(page, selector.items) if selector.items else page
    if selector.items and selected is None:
        raise unreadable(f"There is nothing at {where}; {_outline(page)}.")
    if selector.shape in (None, "list") and not selector.items and isinstance(selected, dict):
        selected = _list_in(selected, selector)
    if isinstance(selected, dict) and selector.shape == "map":
        named = ((name, value if isinstance(value, dict) else {MAP_VALUE: value}) for name, value in selected.items())
        return [{MAP_KEY: name} | row for name, row in named]
    if isinstance(selected, dict) and selector.shape == "object":
        return [selected]
    if isinstance(selected, dict):
        raise unreadable(
            f"{where} is an object, not a list. If it is one row, give `shape=object`; if its values are the rows, "
            f"`shape=map`; if a list is in it, `items`: {_outline(selected)}."
        )
    if not isinstance(selected, list) or not all(isinstance(row, dict) for row in selected):
        raise unreadable(f"{where} is not a list of objects.")
    return selected


def _list_in(page: Row, selector: RowSelector) -> Any:
    """Return the only list of objects in an answer; an empty list counts unless the answer itself is a row."""
    lists = [
        value for value in page.values() if isinstance(value, list) and all(isinstance(row, dict) for row in value)
    ]
    full = [value for value in lists if value]
    if len(full) == 1:
        return full[0]
    if not full and selector.shape is None and all(_is_plain(at(page, name)) for name in selector.key):
        return [page]
    if len(lists) == 1:
        return lists[0]
    if not lists:
        return page
    raise unreadable(f"The answer has several lists; set `items` to the one with the rows: {_outline(page)}.")


def _outline(page: Any) -> str:
    """Describe the names in an answer, to help to find the right one."""
    if not isinstance(page, dict):
        return "the answer is a list" if isinstance(page, list) else "the answer is not an object"
    return "it has " + ", ".join(f"`{name[:50]}`" for name in list(page)[:20]) if page else "it is empty"


def from_csv(body: bytes, charset: str | None) -> list[Row]:
    """Return the rows of a CSV page with a header, all values as text.

    Raises:
        TaskError: `feed-unreadable`, or an error of `clean` or `find_dialect`.
    """
    with tempfile.NamedTemporaryFile(prefix="feed-") as file:
        file.write(body)
        file.flush()
        with opened(Path(file.name), charset) as (names, rows):
            if len(set(names)) < len(names):
                raise unreadable("The CSV's header has the same name twice.")
            return [_csv_row(row, names) for row in rows]


def _csv_row(row: Record, names: tuple[str, ...]) -> Row:
    if row.reason:
        raise unreadable(f"Line {row.line}: {row.reason}.")
    if len(row.cells) != len(names):
        raise unreadable(f"Line {row.line} has {len(row.cells)} values, the header {len(names)}.")
    return dict(zip(names, row.cells, strict=True))


def _is_plain(value: Any) -> bool:
    return value is not None and value != "" and not isinstance(value, dict | list)


def key_of(row: Row, fields: tuple[str, ...], number: int) -> str | None:
    """Return a row's key as text that any database can store; None if a part of it is missing or empty.

    Raises:
        TaskError: `feed-unreadable`: a field of the key is an object or a list, or the key is too long.
    """
    values = [row[name] if name in row else at(row, name) for name in fields]
    for name, value in zip(fields, values, strict=True):
        if isinstance(value, dict | list):
            raise unreadable(f"Row {number}: `{name}` cannot be its key, because it is not a plain value.")
    if not all(map(_is_plain, values)):
        return None
    text = json.dumps(values[0] if len(values) == 1 else values)
    if len(text) > MAX_KEY_LENGTH:
        raise unreadable(f"The key of row {number} has more than {MAX_KEY_LENGTH} characters.")
    return text


def as_json(row: Row, number: int) -> str:
    """Encode a row for storage; it is sent without being decoded.

    Raises:
        TaskError: `feed-unreadable`: a number exceeds a float's range (`1e999`), so that JSON cannot represent it.
    """
    try:
        return json.dumps(row, sort_keys=True, allow_nan=False)
    except ValueError:
        raise unreadable(f"Row {number} has a number that is too large.") from None
