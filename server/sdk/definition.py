"""A task type: a function, its input and output, and how it may run."""

import asyncio
import inspect
import random
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

import pydantic_core
from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from server.logs import PLACEHOLDER
from server.sdk.errors import InvalidInput, MalformedBody
from server.sdk.file_names import is_media_type
from server.sdk.output import emit_all, emit_all_async, item_type
from server.sdk.redaction import Secrets, revealed
from server.sdk.results import ResultType, is_finite
from server.sdk.signature import Arity, Signature, TaskInput
from server.sdk.uploads import InputContext
from server.store.blobs.base import BlobStore
from server.store.leases import FREE, Throttle
from server.store.record import PRIORITIES, UNIQUE, limit_scope, unique_key

Model = TypeVar("Model", bound=BaseModel)

_SCHEMA_DIALECT = "https://json-schema.org/draft/2020-12/schema"
MAX_BACKOFF = 600.0  # the maximum wait between two attempts, in seconds
MAX_TTL = 366 * 86_400  # the maximum time to keep a record, in seconds
_MAX_NAMED = 10  # invalid values that the detail of an error names
_MAX_EXACT_INTEGER = 2.0**53  # floats represent every integer up to this one exactly
_NAME = re.compile(r"[a-z][a-z0-9_.-]{0,63}")
_QUEUE = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_PLACEHOLDER = PLACEHOLDER.encode()
_RESERVED_PREFIX = "celery."  # the prefix of Celery's own task names


class _Exact(GenerateJsonSchema):
    """JSON Schema in which a dict whose keys have a pattern accepts no other keys. Pydantic allows others."""

    def dict_schema(self, schema: core_schema.DictSchema) -> JsonSchemaValue:
        json_schema = super().dict_schema(schema)
        return json_schema | {"additionalProperties": False} if "patternProperties" in json_schema else json_schema


@dataclass(frozen=True, slots=True)
class TimeLimits:
    """Time limits in seconds: at `soft` the function is interrupted, at `hard` its process is killed."""

    soft: float
    hard: float


@dataclass(frozen=True, slots=True)
class Retries:
    """The number of retries, the exceptions that are retried, and the seconds before the first retry."""

    max_retries: int = 0
    on: tuple[type[Exception], ...] = (Exception,)
    backoff: float = 1.0

    def wait(self, tried: int) -> float:
        """Seconds before the next attempt: doubled each time, with jitter, so that retries spread out."""
        return random.uniform(0.5, 1.0) * min(MAX_BACKOFF, self.backoff * 2.0**tried)


@dataclass(frozen=True)
class TaskDefinition:
    """One task type: a function, its input and output, and how it may run."""

    name: str
    function: Callable[..., Any]
    signature: Signature
    summary: str
    description: str
    limits: TimeLimits
    retries: Retries
    queue: str
    priority: str = "normal"
    accepts: tuple[str, ...] = ()
    recognizes: Callable[[bytes], bool] | None = None
    max_upload_bytes: int | None = None
    throttle: Throttle = FREE
    #: The parameters whose values are a key that only one unfinished task has.
    unique: tuple[str, ...] = ()
    ttl: int | None = None
    input_ttl: int | None = None

    def __post_init__(self) -> None:
        """Check the options; a ValueError names the invalid one."""
        self._require("name", _NAME.fullmatch(self.name), "must consist of a-z, 0-9 and . _ -, and begin with a letter")
        self._require("name", self.name != "query", "is the address of POST /tasks/query; choose another one")
        self._require("name", not self.name.startswith(_RESERVED_PREFIX), f"must not begin with {_RESERVED_PREFIX}")
        ordered = 0 < self.limits.soft < self.limits.hard
        self._require("soft_time_limit", ordered, "must be above 0 and below time_limit")
        self._require("retries", self.retries.max_retries >= 0, "must be 0 or more")
        self._require("retry_backoff", self.retries.backoff > 0, "must be above 0 (seconds)")
        throttled = self.throttle.max_running >= 0 and self.throttle.per_minute >= 0
        self._require("max_running and per_minute", throttled, "must be 0 (no limit) or more")
        counted = not self.throttle.by or self._have_canonical_json((self.throttle.by,))
        self._require("limit_by", counted, "must be the name of a parameter that is not an upload, a secret or a set")
        for option, seconds in (("ttl", self.ttl), ("input_ttl", self.input_ttl)):
            fits = seconds is None or 1 <= seconds <= MAX_TTL
            self._require(option, fits, f"must be between 1 and {MAX_TTL} (seconds)")
        self._require("queue", _QUEUE.fullmatch(self.queue), "must consist of letters, digits and _ . -")
        self._require("priority", self.priority in PRIORITIES, f"must be one of {', '.join(PRIORITIES)}")
        accepts = isinstance(self.accepts, tuple) and all(_is_media_range(each) for each in self.accepts)
        self._require("accepts", accepts, "must be a tuple of media types such as 'image/png' or 'text/*'")
        unique = isinstance(self.unique, tuple) and self._have_canonical_json(self.unique)
        self._require("unique", unique, "must be a tuple of parameters, without uploads, secrets and sets")
        self._require("max_upload_bytes", self.max_upload_bytes is None or self.max_upload_bytes > 0, "must be above 0")

    def _require(self, option: str, valid: object, requirement: str) -> None:
        if not valid:
            raise ValueError(f"{self.name}: {option} {requirement}")

    def _have_canonical_json(self, names: Collection[str]) -> bool:
        """Return whether these are parameters whose equal values are equal as JSON."""
        return set(names) <= set(self.signature.names) and all(map(self.signature.has_canonical_json, names))

    def unique_key(self, task_input: TaskInput) -> str:
        """Return the key that only one unfinished task has; empty without parameters of `unique`."""
        if not self.unique:
            return ""
        values = self.signature.arguments(task_input)
        return unique_key(UNIQUE, pydantic_core.to_json([values[name] for name in self.unique]))

    def limit_scope(self, task_input: TaskInput, owner: str) -> str:
        """Return the scope in which its limits by a parameter count this input; empty without such limits."""
        throttle = self.throttle
        if throttle.scope_type != "value":
            return ""
        value = pydantic_core.to_jsonable_python(self.signature.arguments(task_input)[throttle.by])
        return limit_scope([value, owner] if throttle.per_owner else [value])

    def call(self, arguments: Mapping[str, Any], emit: Callable[[bytes], None]) -> Any:
        """Call the function; run an `async def` in an event loop of its own. Items that it yields go to `emit`."""
        result = self.function(**arguments)
        if self.signature.yields is not None:

            def emit_item(item: Any) -> None:
                emit(self._item_type.to_json(item))

            if not inspect.isasyncgen(result):
                return emit_all(result, emit_item)
            result = emit_all_async(result, emit_item)
        return asyncio.run(result) if inspect.iscoroutine(result) else result

    @property
    def uploads(self) -> Mapping[str, Arity]:
        return self.signature.uploads

    @property
    def single_upload(self) -> str | None:
        """The parameter for a raw body, if exactly one upload is required."""
        needed = [name for name in self.uploads if name in self.input_schema.get("required", ())]
        candidates = needed or list(self.uploads)
        return candidates[0] if len(candidates) == 1 else None

    @cached_property
    def input_schema(self) -> dict[str, Any]:
        return {
            "$schema": _SCHEMA_DIALECT,
            **self.signature.model.model_json_schema(by_alias=True, schema_generator=_Exact),
        }

    @cached_property
    def output_schema(self) -> dict[str, Any]:
        return _schema_of(self.signature.returns)

    @cached_property
    def secrets(self) -> Secrets:
        return Secrets(self.input_schema, self.uploads)

    @cached_property
    def item_schema(self) -> dict[str, Any] | None:
        return None if self.signature.yields is None else _schema_of(self.signature.yields)

    def validate_json(self, body: bytes, *, allow_private: bool = False) -> TaskInput:
        """Validate a JSON body strictly: `"5"` is not a number. `5.0` is an integer, as in JSON Schema.

        Raises:
            MalformedBody, InvalidInput: the body is refused.
        """
        model, context = self.signature.model, InputContext(allow_private)
        try:
            try:
                task_input, raw = model.model_validate_json(body, strict=True, context=context), body
            except ValidationError as error:
                if not any(_is_integer_error(item) for item in error.errors(include_url=False)):
                    raise
                raw = pydantic_core.to_json(with_integers(pydantic_core.from_json(body)))
                task_input = model.model_validate_json(raw, strict=True, context=context)
        except ValidationError as error:
            raise refusal(error, body) from None
        _require_finite(body, [])
        return task_input.keep(pydantic_core.from_json(raw))

    def validate_fields(self, fields: Mapping[str, Any], *, allow_private: bool = False) -> TaskInput:
        """Validate the fields of a form or a query, whose values are text; uploads are `Upload` objects.

        Raises:
            InvalidInput: a field is refused.
        """
        try:
            task_input = self.signature.model.model_validate(
                dict(fields), strict=False, context=InputContext(allow_private)
            )
            return task_input.keep(fields)
        except ValidationError as error:
            raise refusal(error, fields) from None

    def read_stored(self, stored: bytes, blobs: BlobStore) -> TaskInput:
        """Read an input that was stored; its uploads read from `blobs`.

        Validated as at the submit: strictly if it was JSON, else as a form's text. Addresses in it are checked later,
        at connection time.

        Raises:
            InvalidInput: the signature has changed since, and the input no longer fits.
        """
        model, context = self.signature.model, InputContext(allow_private=True, blobs=blobs)
        try:
            try:
                task_input = model.model_validate_json(stored, strict=True, context=context)
            except ValidationError:
                task_input = model.model_validate_json(stored, strict=False, context=context)
        except ValidationError as error:
            raise refusal(error, stored) from None
        return task_input.keep(pydantic_core.from_json(stored))

    @cached_property
    def _item_type(self) -> ResultType:
        return item_type(self.signature.yields)

    @cached_property
    def result_type(self) -> ResultType:
        return ResultType(self.signature.returns)


def _schema_of(output: Any) -> dict[str, Any]:
    return {"$schema": _SCHEMA_DIALECT, **TypeAdapter(output).json_schema(mode="serialization")}


def _is_media_range(text: str) -> bool:
    return text == "*/*" or is_media_type(text.removesuffix("*") + "any" if text.endswith("/*") else text)


def _is_integer_error(item: Any) -> bool:
    return item["type"] in ("int_type", "literal_error", "enum") and _is_integral(item["input"])


def _is_integral(value: Any) -> bool:
    return isinstance(value, float) and value.is_integer() and abs(value) <= _MAX_EXACT_INTEGER


def with_integers(value: Any) -> Any:
    """Return a value of JSON in which `5.0` is 5: both are the same integer in JSON Schema."""
    if isinstance(value, dict):
        return {name: with_integers(each) for name, each in value.items()}
    if isinstance(value, list):
        return [with_integers(each) for each in value]
    return int(value) if _is_integral(value) else value


def refusal(error: ValidationError, raw: bytes | Mapping[str, Any]) -> InvalidInput | MalformedBody:
    items = error.errors(include_url=False, include_input=False, include_context=False)
    for item in items:
        if item["type"] == "json_invalid":
            return MalformedBody(f"{item['msg']}.")
    root = pydantic_core.from_json(raw) if isinstance(raw, bytes) else raw
    errors = [{"loc": _location(item, root), "msg": item["msg"].removeprefix("Value error, ")} for item in items]
    names = sorted({".".join(map(str, each["loc"])) for each in errors[:_MAX_NAMED] if each["loc"]})
    fields = ", ".join(names) + (f" and {len(errors) - _MAX_NAMED} more" if len(errors) > _MAX_NAMED else "")
    return InvalidInput(f"Invalid value for {fields}." if names else f"{errors[0]['msg']}.", errors=errors)


def input_json(value: Any, location: list[str | int]) -> bytes:
    """Write a value of an input as JSON; raises InvalidInput, which names the location, if JSON cannot have it."""
    try:
        text = pydantic_core.to_json(value)
        if _PLACEHOLDER in text:  # of a secret that a task passes on
            text = pydantic_core.to_json(revealed(value))
    except ValueError as error:  # also of another type, or with a lone surrogate
        message = f"Input should fit JSON: {error}"
        raise InvalidInput(f"{message}.", errors=[{"loc": location, "msg": message}]) from None
    _require_finite(text, location)
    return text


def _require_finite(text: bytes, location: list[str | int]) -> None:
    if not is_finite(text):
        message = "Input should have finite numbers only"
        raise InvalidInput(f"{message}.", errors=[{"loc": location, "msg": message}])


def read_body(model: type[Model], body: bytes) -> Model:
    """Read the JSON of a request's body, or raise the refusal of `validate_json`."""
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        raise refusal(error, body) from None


def _location(item: Any, value: Any) -> list[str | int]:
    """The path to a value in the client's input. Pydantic's own path also names each branch of a union."""
    path: list[str | int] = []
    for part in item["loc"]:
        inside = range(len(value)) if isinstance(value, list) else value if isinstance(value, Mapping) else ()
        if part in inside:
            value = value[part]
            path.append(part)
    return [*path, item["loc"][-1]] if item["type"] == "missing" else path
