"""A form for each task type, built from its schema. The docs page and the task type's page show the same form."""

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from server.sdk.definition import TaskDefinition
from server.sdk.redaction import is_secret_name
from server.sdk.signature import Arity
from server.store.connection import UNREACHABLE
from server.web.current import store
from server.web.openapi.schema_text import branches, describe, is_nullable, is_plain, number, resolved, sample

_SIMPLE_INPUTS = {"date": "date", "uri": "url", "email": "email", "password": "password"}
_ANY_BYTES = "application/octet-stream"
_LONG = 2_500  # minimum `maxLength` of a text that gets several lines


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of a task as the page shows it. `control` is an input's type, or select, check, file, area, json.

    `literal`: its choices are JSON values such as numbers, not texts.
    """

    name: str
    control: str
    required: bool
    hint: str = ""
    value: str = ""
    choices: tuple[str, ...] = ()
    attributes: Mapping[str, Any] = field(default_factory=dict)
    structure: str = ""
    literal: bool = False

    def prefilled(self, typed: Mapping[str, str]) -> "Parameter":
        """Return the parameter with the typed text in place of its default; secrets are typed anew."""
        if self.name not in typed or self.control == "password":
            return self
        return replace(self, value=typed[self.name])


@dataclass(frozen=True, slots=True)
class TaskForm:
    """A task type as the page shows it."""

    definition: TaskDefinition
    parameters: list[Parameter]
    result: str
    curl: str


def form_of(definition: TaskDefinition, base: str) -> TaskForm:
    """Build the form of a task type; `base` is the server's address for its command."""
    schema = definition.input_schema
    needed = schema.get("required", ())
    parameters = [
        _parameter(definition, name, each, name in needed) for name, each in schema.get("properties", {}).items()
    ]
    result = _lines(describe(definition.output_schema, definition.output_schema))
    return TaskForm(definition, parameters, result, _curl(definition, base))


def _parameter(definition: TaskDefinition, name: str, schema: dict[str, Any], required: bool) -> Parameter:
    root = definition.input_schema
    if name in definition.uploads:
        return _file(definition, name, schema, required)
    alternatives = branches(schema, root)
    described = _description(schema, alternatives, root)
    default = resolved(schema, root).get("default")
    shown = _text(default) if default is not None else _text(sample(schema, root)) if required else ""
    first = alternatives[0] if len(alternatives) == 1 else {}
    if not alternatives or not is_plain(schema, root) or first.get("type") == "array":
        return _json(name, describe(schema, root), described, required, shown)
    if first.get("type") == "boolean" and default is False and not is_nullable(schema, root):
        return Parameter(name, "check", required=False, hint=_sentences(described))
    choices, control = tuple(map(_text, _values(first))), _input(first)
    if control == "text" and is_secret_name(name):
        control = "password"
    return Parameter(
        name=name,
        control="select" if choices else control,
        required=required,
        hint=described if choices else _sentences(describe(schema, root), described),
        value=shown,
        choices=("", *choices) if is_nullable(schema, root) else choices,
        attributes={} if choices else _bounds(first),
        literal=not all(isinstance(value, str) for value in _values(first)),
    )


def _file(definition: TaskDefinition, name: str, schema: dict[str, Any], required: bool) -> Parameter:
    many = definition.uploads[name] is Arity.MANY
    images = all(each.startswith("image/") or each == _ANY_BYTES for each in definition.accepts)
    accepts = "image/*" if definition.accepts and images else ",".join(definition.accepts)
    attributes = ({"accept": accepts} if accepts else {}) | ({"multiple": "multiple"} if many else {})
    described = schema.get("description", "")
    hint = "" if described.startswith("A file:") else described
    return Parameter(name, "file", required, _sentences("Several files" if many else "", hint), attributes=attributes)


def _json(name: str, structure: str, described: str, required: bool, shown: str) -> Parameter:
    """Build a parameter that is not a single value: JSON in a text area."""
    long = len(structure) > 60
    hint = _sentences("JSON" if long else f"JSON: {structure}", described)
    return Parameter(name, "json", required, hint, shown, structure=_lines(structure) if long else "")


def _sentences(*parts: str) -> str:
    return ". ".join(part[0].upper() + part[1:] for part in parts if part)


def _description(schema: dict[str, Any], alternatives: list[Mapping[str, Any]], root: dict[str, Any]) -> str:
    description: str = resolved(schema, root).get("description", "")
    return description or (alternatives[0].get("description", "") if len(alternatives) == 1 else "")


def _values(schema: Mapping[str, Any]) -> list[Any]:
    if schema.get("type") == "boolean":
        return [True, False]
    return list(schema.get("enum", [schema["const"]] if "const" in schema else []))


def _input(schema: Mapping[str, Any]) -> str:
    if schema.get("type") in ("integer", "number"):
        return "number"
    if schema.get("maxLength", 0) >= _LONG:
        return "area"
    return _SIMPLE_INPUTS.get(schema.get("format", ""), "text")


def _bounds(schema: Mapping[str, Any]) -> dict[str, Any]:
    names = {"minimum": "min", "maximum": "max", "minLength": "minlength", "maxLength": "maxlength"}
    attributes = {names[key]: number(schema[key]) for key in names if key in schema}
    return attributes | ({"step": "any"} if schema.get("type") == "number" else {})


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _lines(structure: str) -> str:
    """Put each alternative on its own line: a long list is easier to read vertically."""
    return structure.replace("} | {", "}\n{").replace("list of ({", "list of (\n{")


def _curl(definition: TaskDefinition, base: str) -> str:
    """Return the shortest command that submits a task of this type."""
    file = "@cat.jpg" if "image/jpeg" in definition.accepts else "@file"
    values = {
        name: file if name in definition.uploads else _text(value)
        for name, value in sample(definition.input_schema).items()
    }
    fields = [f"-F {shlex.quote(f'{name}={value}')}" for name, value in values.items()]
    return " ".join(["curl", *key_header(), *(fields or ["-X POST"]), f"{base}/tasks/{definition.name}"])


def key_header() -> list[str]:
    """Return the header with the key for a command, on a server that needs one."""
    return ['-H "Authorization: Bearer $COATCHECK_KEY"'] if needs_key() else []


def needs_key() -> bool:
    """Return whether requests need a key; also True while Redis does not answer."""
    try:
        return store().api_keys.any()
    except UNREACHABLE:
        return True
