"""Build a pydantic model of the input from a function's signature, once, when it is registered."""

import inspect
import types
from collections import abc
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self, Union, get_args, get_origin, get_type_hints

import pydantic_core
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    ValidationInfo,
    create_model,
    model_validator,
)
from pydantic.errors import PydanticInvalidForJsonSchema, PydanticSchemaGenerationError, PydanticUserError
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from server.sdk.context import Context, Upload
from server.sdk.uploads import stored_form

#: Names of options in a submit's query; a parameter cannot use them.
RESERVED = frozenset(
    {"wait", "delay", "not_before", "priority", "webhook", "tag", "ttl", "cancel_after", "start_within"}
    | {"unique", "unique_for", "on_conflict", "debounce", "max_delay"}
)

SUPPORTED_TYPES = (
    "str, int, float, bool, date, datetime, an Enum, Literal, list, dict, a pydantic model, Annotated bounds of these, "
    "any of these or None, Upload, list[Upload]"
)

#: Pydantic's errors for types that it cannot read, or that JSON does not have.
_UNSUITABLE = (PydanticSchemaGenerationError, PydanticInvalidForJsonSchema, PydanticUserError)
_FILES = ("binary", "upload")  # formats of bytes and of uploads in a schema

#: The return types of functions that yield.
_ITERATORS = (abc.Iterator, abc.Iterable, abc.Generator, abc.AsyncIterator, abc.AsyncIterable, abc.AsyncGenerator)
_WITHOUT_CHECK = object()  # the context of a validation that validates one parameter, without `check`
_PREFIX = "p_"  # prefix of the model's field names, so that a parameter may be called `copy` or `schema`


class _InputSchema(GenerateJsonSchema):
    """JSON Schema without `Iterable`: pydantic validates its items only while the function reads them, once."""

    def generator_schema(self, schema: core_schema.GeneratorSchema) -> JsonSchemaValue:
        return self.handle_invalid_for_json_schema(schema, "Iterable; use list")


class TaskInput(BaseModel):
    """A validated input, which also keeps the values as they were sent.

    The record stores the values as they were sent, and the worker validates those. The output of a validator cannot be
    validated a second time: a secret prints as asterisks, and a value that was changed would be changed again.
    """

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, hide_input_in_errors=True)
    has_uploads: ClassVar[bool] = False
    __slots__ = ("_raw",)  # a private attribute of pydantic's took 10 % of the time of a batch
    if TYPE_CHECKING:
        _raw: dict[str, Any]

    def keep(self, raw: Mapping[str, Any]) -> Self:
        """Keep the values that this was validated from."""
        object.__setattr__(self, "_raw", dict(raw))  # past pydantic's own, which first looks for a field
        return self

    def stored(self) -> bytes:
        """The JSON to store: the values as they were sent, with each upload as it is stored."""
        if not self.has_uploads:
            return pydantic_core.to_json(self._raw)
        values = {name: _with_stored_uploads(value, getattr(self, _PREFIX + name)) for name, value in self._raw.items()}
        return pydantic_core.to_json(values)


def _with_stored_uploads(raw: Any, validated: Any) -> Any:
    if isinstance(validated, Upload):
        return stored_form(validated)
    if isinstance(validated, list) and any(isinstance(each, Upload) for each in validated):
        return [stored_form(each) for each in validated]
    return raw


class Arity(StrEnum):
    """The number of files of an upload parameter."""

    ONE = "one"
    MANY = "many"


@dataclass(frozen=True, slots=True)
class Signature:
    """The parts of a signature: the input model, the context parameter, the uploads, the return type, the items."""

    model: type[TaskInput]
    context: str | None
    uploads: dict[str, Arity]
    names: tuple[str, ...]
    returns: Any
    yields: Any = None  # the type of the items that it yields; None if it does not yield

    def arguments(self, task_input: BaseModel) -> dict[str, Any]:
        """Return the keyword arguments for the function, from a validated input."""
        return _arguments(task_input, self.names)

    def has_canonical_json(self, name: str) -> bool:
        """Return whether equal values of a parameter are equal as JSON: not of an upload, a secret or a set."""
        if name in self.uploads:
            return False
        schema = TypeAdapter(self.model.model_fields[_PREFIX + name].annotation or Any).json_schema()
        return not any(part.get("format") == "password" or part.get("uniqueItems") for part in _schemas(schema))


def _arguments(task_input: BaseModel, names: Iterable[str]) -> dict[str, Any]:
    return {name: getattr(task_input, _PREFIX + name) for name in names}


def read(function: Callable[..., Any], check: Callable[..., object] | None = None) -> Signature:
    """Read a function's signature. `check` validates parameters in combination.

    Raises:
        TypeError: a parameter has no type or an unsupported one, a reserved name, or a default that does not match
            its type; or it is not a function. The message names it.
    """
    label = f"{getattr(function, '__module__', '')}.{getattr(function, '__qualname__', repr(function))}"
    if not inspect.isfunction(function):
        raise TypeError(f"{label}: a task must be a function, not a class or another object")
    hints = _hints(label, function)
    yields, returns = _output_types(label, function, hints.pop("return", Any))
    context, fields, uploads = None, {}, {}
    for parameter in inspect.signature(function).parameters.values():
        name = parameter.name
        if hints.get(name) is Context:
            if context:
                raise TypeError(f"{label}: the parameter {name!r} is a second Context; remove it")
            context = name
            continue
        annotation = _annotation(label, parameter, hints)
        if (arity := _arity(annotation)) is not None:
            uploads[name] = arity
        default = ... if parameter.default is inspect.Parameter.empty else parameter.default
        fields[name] = (annotation, default)
    model = _model(label, function.__name__, fields, uploads, check)
    _check_returns(label, returns)
    _check_returns(label, yields)
    return Signature(model, context, uploads, tuple(fields), returns, yields)


def _output_types(label: str, function: Callable[..., Any], annotation: Any) -> tuple[Any, Any]:
    """Return the types of the items and of the result. The first is None if the function is not a generator."""
    if not inspect.isgeneratorfunction(function) and not inspect.isasyncgenfunction(function):
        return None, annotation
    if annotation is not Any and (get_origin(annotation) or annotation) not in _ITERATORS:
        raise TypeError(
            f"{label}: it yields, so its return type must be Iterator[item], AsyncIterator[item] or "
            f"Generator[item, None, result], not {annotation!r}"
        )
    item, _, result = (*get_args(annotation), None, None)[:3] if get_args(annotation) else (Any, None, Any)
    return item, result


def _hints(label: str, function: Callable[..., Any]) -> dict[str, Any]:
    try:
        return get_type_hints(function, include_extras=True)
    except NameError as error:
        raise TypeError(f"{label}: an annotation uses {error.name!r}, which its module does not define") from error


def _annotation(label: str, parameter: inspect.Parameter, hints: dict[str, Any]) -> Any:
    name = parameter.name
    if parameter.kind in (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD):
        raise TypeError(f"{label}: the parameter {name!r} accepts any number of values; name each parameter")
    if parameter.kind is inspect.Parameter.POSITIONAL_ONLY:
        raise TypeError(f"{label}: the parameter {name!r} is positional-only; input is passed by name: remove the `/`")
    if name in RESERVED:
        raise TypeError(f"{label}: the parameter name {name!r} is reserved for an option of the submit; choose another")
    if hints.get(name, Any) is Any or hints[name] is object:
        raise TypeError(f"{label}: the parameter {name!r} has no type; supported types: {SUPPORTED_TYPES}")
    if _bare_type(hints[name]) is bytes:
        raise TypeError(f"{label}: the parameter {name!r} is bytes; use Upload for files")
    return hints[name]


def _model(
    label: str,
    title: str,
    fields: dict[str, tuple[Any, Any]],
    uploads: Mapping[str, Arity],
    check: Callable[..., object] | None,
) -> type[TaskInput]:
    model_fields: dict[str, Any] = {
        _PREFIX + name: (annotation, Field(default, alias=name)) for name, (annotation, default) in fields.items()
    }
    validators: Any = _validators(fields, check)
    try:
        model: type[TaskInput] = create_model(
            title, __base__=TaskInput, __cls_kwargs__={"title": title}, __validators__=validators, **model_fields
        )
        suits = _suits(model.model_json_schema(schema_generator=_InputSchema), uploads)
    except _UNSUITABLE:
        suits = False
    if not suits:  # a model of each parameter alone is slower, and identifies the invalid one
        for name, (annotation, _) in fields.items():
            _check_parameter(label, name, annotation, is_upload=name in uploads)
    _check_defaults(label, model, fields)
    model.has_uploads = bool(uploads)
    return model


def _suits(schema: dict[str, Any], uploads: Mapping[str, Arity]) -> bool:
    """Return whether all parameters are of types that JSON has, and files only where an upload is expected."""
    properties = schema["properties"]
    others = {name: value for name, value in properties.items() if name not in uploads}
    parts = _schemas({**schema, "properties": others})
    return all(map(_has_type, properties.values())) and not any(part.get("format") in _FILES for part in parts)


def _has_type(schema: dict[str, Any]) -> bool:
    return bool(schema.keys() - {"title", "default", "description"})


def _validators(names: Iterable[str], check: Callable[..., object] | None) -> dict[str, Any]:
    """Make `check` a part of the model: its ValueError makes the input invalid."""
    if check is None:
        return {}
    names = tuple(names)

    def fits_together(task_input: BaseModel, info: ValidationInfo) -> BaseModel:
        if info.context is not _WITHOUT_CHECK:
            check(**_arguments(task_input, names))
        return task_input

    return {"fits_together": model_validator(mode="after")(fits_together)}


def _check_parameter(label: str, name: str, annotation: Any, *, is_upload: bool) -> None:
    try:
        schema, reason = TypeAdapter(annotation).json_schema(schema_generator=_InputSchema), None
    except _UNSUITABLE as error:
        schema, reason = {}, error
    if not _has_type(schema):
        message = f"has an unsupported type ({annotation!r}); supported types: {SUPPORTED_TYPES}"
        raise TypeError(f"{label}: the parameter {name!r} {message}") from reason
    parts = list(_schemas(schema))
    if any(part.get("format") == "binary" for part in parts):
        raise TypeError(f"{label}: the parameter {name!r} contains bytes; use Upload for files")
    if not is_upload and any(part.get("format") == "upload" for part in parts):
        raise TypeError(f"{label}: the parameter {name!r} contains an Upload; use Upload or list[Upload] as the type")


def _check_defaults(label: str, model: type[TaskInput], fields: dict[str, tuple[Any, Any]]) -> None:
    instance = model.model_construct()
    for name, (_, default) in fields.items():
        if default is ...:
            continue
        try:
            model.__pydantic_validator__.validate_assignment(instance, _PREFIX + name, default, context=_WITHOUT_CHECK)
        except ValidationError as error:
            message = f"the default of the parameter {name!r} does not match its type: {error.errors()[0]['msg']}"
            raise TypeError(f"{label}: {message}") from None


def _schemas(value: Any) -> Iterator[dict[str, Any]]:
    """Yield every schema nested in a schema."""
    if isinstance(value, dict):
        yield value
        value = list(value.values())
    if isinstance(value, list):
        for each in value:
            yield from _schemas(each)


def _check_returns(label: str, returns: Any) -> None:
    try:
        if isinstance(returns, type):
            _check_class(returns)
        else:
            TypeAdapter(returns).json_schema(mode="serialization")
    except _UNSUITABLE as error:
        raise TypeError(f"{label}: the return type cannot be represented in JSON ({returns!r})") from error


@lru_cache(maxsize=64)
def _check_class(returns: type) -> None:
    """Fail if results of a class have no JSON Schema. Many tasks return the same class."""
    TypeAdapter(returns).json_schema(mode="serialization")


def _bare_type(annotation: Any) -> Any:
    """Strip `Annotated` and `| None` from a type."""
    if get_origin(annotation) is Annotated:
        return _bare_type(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        rest = [arg for arg in get_args(annotation) if arg is not type(None)]
        return _bare_type(rest[0]) if len(rest) == 1 else annotation
    return annotation


def _arity(annotation: Any) -> Arity | None:
    plain = _bare_type(annotation)
    if plain is Upload:
        return Arity.ONE
    if get_origin(plain) is list and _bare_type(get_args(plain)[0]) is Upload:
        return Arity.MANY
    return None
