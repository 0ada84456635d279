"""Read a task's input from JSON, from a form, or from one file's raw bytes."""

import itertools
from itertools import chain
from typing import Any
from urllib.parse import parse_qsl

import pydantic_core
from flask import request
from werkzeug.http import parse_options_header

from server.sdk.context import Upload
from server.sdk.definition import TaskDefinition
from server.sdk.redaction import branches
from server.sdk.results import is_finite
from server.sdk.signature import RESERVED, TaskInput
from server.services.submit import Submission
from server.web.body.multipart import read_form
from server.web.body.parts import MAX_FIELD_BYTES
from server.web.body.stream import chunks, read_all, read_some
from server.web.current import store
from server.web.errors import Problem, invalid

#: Maximum size of a JSON body in bytes, since it is kept in memory. Larger files must be sent as a form or raw.
MAX_JSON_BYTES = 8 * 2**20

MAX_VALUES, LARGE_JSON = 100_000, 2**16  # values in a JSON body, and bytes from which on they are counted

_URLENCODED = "application/x-www-form-urlencoded"
_SCALARS = frozenset({"integer", "number", "boolean", "null"})
_BOM = b"\xef\xbb\xbf"


def read_input(submission: Submission, form_texts: dict[str, str] | None = None) -> TaskInput:
    """Read and validate the task's input, and store its uploads in the blob store.

    `form_texts` receives the fields of a form, also of one that is refused, for a page that shows them again.

    Raises:
        Problem: `malformed-body`, `unsupported-media-type`, `too-large`, `invalid-input`, `storage-full`.
    """
    definition = submission.definition
    media_type = request.mimetype
    if _is_json(media_type):
        _refuse_query()
        return definition.validate_json(read_json(), allow_private=store().settings.allow_private_addresses)
    if media_type == "multipart/form-data":
        return _validated(definition, read_form(submission, form_texts))
    if media_type == _URLENCODED and not definition.uploads:
        fields = _read_urlencoded(definition)
        if form_texts is not None:
            form_texts.update(fields)
        return _validated(definition, fields)
    return _read_raw(submission)


def _is_json(media_type: str) -> bool:
    return media_type == "application/json" or media_type.endswith("+json")


def read_json(max_values: int = MAX_VALUES) -> bytes:
    """Read a JSON body; refuse another type and one that is too large. A missing body counts as an empty object."""
    if request.mimetype and not _is_json(request.mimetype):
        raise Problem("unsupported-media-type", "Send JSON with `Content-Type: application/json`.")
    body = read_text() or b"{}"
    if len(body) > LARGE_JSON:
        _check_values(body, max_values)
    return body


def _check_values(body: bytes, max_values: int) -> None:
    """Refuse a body of very many values before each of them may become an error of its own."""
    try:
        waiting = [pydantic_core.from_json(body)]
    except ValueError:
        return  # the validation says what is wrong with it
    for count in itertools.count(1):
        if not waiting:
            return
        if count + len(waiting) > max_values:
            detail = f"A JSON body may have up to {max_values} values; send larger data as a file."
            raise Problem("too-large", detail, limit=max_values)
        value = waiting.pop()
        if isinstance(value, dict | list):
            waiting.extend(value.values() if isinstance(value, dict) else value)


def read_text() -> bytes:
    """Read a body into memory. Raises the problem `too-large`."""
    return read_all(MAX_JSON_BYTES, "; send a file as a form or as raw bytes").removeprefix(_BOM)


def _refuse_query() -> None:
    if unknown := [name for name, _ in _query()]:
        raise Problem("bad-request", f"Unknown in the query: {', '.join(unknown)}. Put parameters into the body.")


def _query() -> list[tuple[str, str]]:
    return [(name, value) for name, value in _decoded(request.query_string) if name not in RESERVED]


def _decoded(text: bytes) -> list[tuple[str, str]]:
    try:
        return parse_qsl(text.decode(), keep_blank_values=True, errors="strict", max_num_fields=1_000)
    except UnicodeError:
        raise Problem("bad-request", "The query or the form is not valid UTF-8.") from None
    except ValueError:
        raise Problem("bad-request", "The query or the form has too many fields.") from None


def _read_urlencoded(definition: TaskDefinition) -> list[tuple[str, str]]:
    text = read_all(MAX_FIELD_BYTES, "")
    if text.lstrip()[:1] in (b"{", b"["):  # `curl -d '{…}'`
        raise Problem("unsupported-media-type", f"{definition.name} needs `Content-Type: application/json`.")
    return _decoded(text)


def _read_raw(submission: Submission) -> TaskInput:
    """Read one file's bytes, or an empty body for a task with all parameters in the query."""
    definition = submission.definition
    name = definition.single_upload
    first = read_some() if name is not None or not request.mimetype else b""
    if not (first or request.mimetype):
        return _validated(definition, [])
    if name is None:
        accepted = "multipart/form-data or application/json" if definition.uploads else "application/json or a form"
        raise Problem("unsupported-media-type", f"{definition.name} accepts {accepted}.")
    if not first:
        raise Problem("malformed-body", "The body is empty.")
    filename = parse_options_header(request.headers.get("Content-Disposition", ""))[1].get("filename", "")
    # curl's default type says nothing about the file.
    media_type = "" if request.mimetype == _URLENCODED else request.mimetype
    upload = submission.uploads.receive(filename, media_type, chain([first], chunks()))
    return _validated(definition, [(name, upload)])


def _validated(definition: TaskDefinition, body: list[tuple[str, Any]]) -> TaskInput:
    """Combine query and body, convert each parameter's text by its schema, and validate."""
    texts: dict[str, list[Any]] = {}
    for name, value in [*_query(), *body]:
        texts.setdefault(name, []).append(value)
    properties = definition.input_schema.get("properties", {})
    fields = {name: _value(definition, name, values, properties.get(name, {})) for name, values in texts.items()}
    return definition.validate_fields(fields, allow_private=store().settings.allow_private_addresses)


def _value(definition: TaskDefinition, name: str, values: list[Any], schema: dict[str, Any]) -> Any:
    """Convert a parameter's texts: to a list or an object if its schema accepts one, otherwise keep the text."""
    types = _by_type(schema, definition.input_schema)
    if "array" in types and (len(values) > 1 or not _stands_for_all(values[0], types)):
        items = _by_type(types["array"].get("items", {}), definition.input_schema)
        return [_one(definition, name, value, items) for value in values]
    if len(values) > 1:
        raise invalid("Given more than once", name)
    return _one(definition, name, values[0], types)


def _stands_for_all(value: Any, types: dict[str, Any]) -> bool:
    """Whether a single value is the whole value of the parameter, and not the only item of its list."""
    if isinstance(value, Upload):
        return False
    return value.startswith("[") or "string" in types or "object" in types or _is_null(value, types)


def _is_null(value: Any, types: dict[str, Any]) -> bool:
    """Whether an empty field of a form means null, because it is not a text: a date, for example, or a number."""
    is_text = "string" in types and types["string"].get("format", "password") == "password"
    return value == "" and "null" in types and not is_text


def _one(definition: TaskDefinition, name: str, value: Any, types: dict[str, Any]) -> Any:
    if isinstance(value, Upload):
        return value
    if _is_null(value, types):
        return None
    if {"{": "object", "[": "array"}.get(value[:1]) in types:
        return _nested(name, value, or_text="string" in types)
    if name in definition.uploads:
        if value[:8].lower().startswith(("http://", "https://")):
            return {"url": value}
        raise invalid(f"Input should be a file; curl sends one as `-F {name}=@file`", name)
    return _number(value) if types and types.keys() <= _SCALARS else value


def _nested(name: str, text: str, *, or_text: bool) -> Any:
    try:
        value = pydantic_core.from_json(text)
    except ValueError:
        if or_text:
            return text
        raise invalid("Input should be valid JSON", name) from None
    if not is_finite(text):
        raise invalid("Input should have finite numbers only", name)
    return value


def _number(text: str) -> Any:
    """Convert a text to a number if possible: pydantic does not accept a text for a `Literal[1, 2]`."""
    try:
        number = pydantic_core.from_json(text)
    except ValueError:
        return text
    return number if type(number) in (int, float) else text


def _by_type(schema: dict[str, Any], root: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the alternatives of a schema by their JSON type."""
    return {each["type"]: each for each in branches(schema, root) if isinstance(each.get("type"), str)}
