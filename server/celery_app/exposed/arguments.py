"""The parameters of a Celery task as those of a task type: each with a name and a type."""

import inspect
from collections.abc import Callable, Iterable, Mapping
from inspect import Parameter
from typing import Annotated, Any, get_type_hints

from pydantic import JsonValue, TypeAdapter, WithJsonSchema

_JSON_TYPES = ("string", "number", "boolean", "object", "array", "null")

#: Any JSON value, as the type of a parameter without one.
AnyJson = Annotated[JsonValue, WithJsonSchema({"anyOf": [{"type": name} for name in _JSON_TYPES]})]


class Arguments:
    """The parameters of one Celery task. `*args` is a list and `**kwargs` an object, by their names."""

    def __init__(self, function: Callable[..., Any], types: Mapping[str, Any], *, untyped: bool) -> None:
        self._signature = inspect.signature(function)
        self._hints = {**_hints(function, untyped), **types}
        if unknown := sorted(types.keys() - self._signature.parameters.keys()):
            raise TypeError(f"{function.__qualname__} has no parameter {unknown[0]!r}, which `types` names")
        self._untyped = untyped
        self.parameters = [self._parameter(each) for each in self._signature.parameters.values()]
        self.returns = Any if untyped else self._hints.get("return", Any)

    def _parameter(self, parameter: Parameter) -> Parameter:
        hint, default = self._hints.get(parameter.name, Any), parameter.default
        if default is None and hint is not Any:
            hint = hint | None
        if self._untyped and not _fits(hint, default):
            hint = AnyJson
        if parameter.kind is Parameter.VAR_POSITIONAL:
            hint, default = list[hint], []  # type: ignore[valid-type]
        elif parameter.kind is Parameter.VAR_KEYWORD:
            hint, default = dict[str, hint], {}  # type: ignore[valid-type]
        return Parameter(parameter.name, Parameter.KEYWORD_ONLY, default=default, annotation=hint)

    def call(self, named: Mapping[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return positional and keyword arguments for the function, from the parameters of a task type."""
        parameters = self._signature.parameters.values()
        by_position = any(named[each.name] for each in parameters if each.kind is Parameter.VAR_POSITIONAL)
        args: list[Any] = []
        kwargs: dict[str, Any] = {}
        for each in parameters:
            value = named[each.name]
            if each.kind is Parameter.VAR_POSITIONAL:
                args += value
            elif each.kind is Parameter.VAR_KEYWORD:
                kwargs |= value
            elif each.kind is Parameter.POSITIONAL_ONLY or (
                by_position and each.kind is Parameter.POSITIONAL_OR_KEYWORD
            ):
                args.append(value)
            else:
                kwargs[each.name] = value
        return tuple(args), kwargs

    def bind(self, args: Iterable[Any] | None, kwargs: Mapping[str, Any] | None) -> dict[str, Any]:
        """Return the parameters of a task type, from the arguments of a call; raises TypeError as a call does."""
        return dict(self._signature.bind(*(args or ()), **(kwargs or {})).arguments)


def _hints(function: Callable[..., Any], untyped: bool) -> dict[str, Any]:
    try:
        return get_type_hints(inspect.unwrap(function), include_extras=True)
    except NameError:
        if untyped:
            return {}
        raise


def _fits(hint: Any, default: Any) -> bool:
    if hint in (Any, object, bytes):
        return False
    try:
        adapter = TypeAdapter(hint)
        schema = adapter.json_schema()
        if default is not Parameter.empty:
            adapter.validate_python(default)
    except Exception:  # pydantic has several for a type that it does not know
        return False
    return bool(schema.keys() - {"title", "description"})
