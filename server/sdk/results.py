"""Converts a value that a function returned to JSON, if it fits the declared type and JSON can hold it, and back."""

import json
import math
import re
from typing import Any

import pydantic_core
from pydantic import TypeAdapter, ValidationError

from server.sdk.errors import TaskError

#: Maximum size of a result in bytes. Larger results must be saved as a file.
MAX_RESULT_BYTES = 4 * 2**20

#: Texts in JSON that may be a number outside a float's range, and need a closer check.
_NOT_FINITE = re.compile(rb"NaN|Infinity|[eE]\+?\d{3}|\d{309}")


class ResultType:
    """The declared type of a value. Errors begin with `label`."""

    def __init__(self, returns: Any, label: str = "The function's result", max_bytes: int = MAX_RESULT_BYTES) -> None:
        self._adapter: TypeAdapter[Any] = TypeAdapter(returns)
        self._label = label
        self._max_bytes = max_bytes

    def to_json(self, value: Any) -> bytes:
        """Write a value of the declared type; raises `invalid-result` or `result-too-large`."""
        try:
            checked = self._adapter.validate_python(value)
            text = self._adapter.dump_json(checked, by_alias=True)
        except ValidationError as error:
            raise self._invalid(f"its declared type: {_first(error)}") from None
        except (pydantic_core.PydanticSerializationError, ValueError) as error:
            raise self._invalid(f"JSON: {error}") from None
        if b"null" in text and not _all_finite(self._adapter.dump_python(checked, warnings=False)):
            raise self._invalid("JSON: it contains a number that is NaN or infinite; return None in its place")
        if len(text) > self._max_bytes:
            detail = f"{self._label} has {len(text)} bytes; the limit is {self._max_bytes}."
            raise TaskError("result-too-large", detail)
        return text

    def from_json(self, text: bytes) -> Any:
        """Read a value that was written; raises `invalid-result` if the type has changed since."""
        try:
            return self._adapter.validate_json(text)
        except ValidationError as error:
            raise self._invalid(f"its declared type: {_first(error)}") from None

    def _invalid(self, reason: str) -> TaskError:
        return TaskError("invalid-result", f"{self._label} does not fit {reason.rstrip('.')[:500]}.")


def _all_finite(value: Any) -> bool:
    """Return whether a value has only finite numbers. pydantic writes the others as null."""
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, dict):
        value = [*value, *value.values()]
    return not isinstance(value, list | tuple | set | frozenset) or all(map(_all_finite, value))


def _first(error: ValidationError) -> str:
    item = error.errors(include_url=False, include_input=False, include_context=False)[0]
    location = ".".join(str(part) for part in item["loc"])
    return f"{location}: {item['msg']}" if location else item["msg"]


def is_finite(text: bytes | str) -> bool:
    """Return whether all numbers in a JSON text are finite: `NaN` and `1e999` would be stored as null."""
    if not _NOT_FINITE.search(text.encode() if isinstance(text, str) else text):
        return True
    try:
        json.loads(text, parse_constant=_finite, parse_float=_finite)
    except OverflowError:
        return False
    return True


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise OverflowError
    return number
