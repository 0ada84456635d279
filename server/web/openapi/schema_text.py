"""A JSON Schema as short text for readers, and a sample value that matches it."""

import json
from collections.abc import Mapping
from typing import Any

Schema = Mapping[str, Any]

_BYTES = {"data": "R0lGODlhAQABAAAAACw=", "filename": "cat.gif"}
_TEXTS = {"date": "2026-01-31", "date-time": "2026-01-31T12:00:00Z", "uuid": "01997b5c-0a1e-7c3d-9f00-2b7c1d4e5f60"}
_MAX_DEPTH = 6


def resolved(schema: Schema, root: Schema) -> Schema:
    """Resolve a reference of `root`. Keywords next to the reference take precedence."""
    while "$ref" in schema:
        others = {key: value for key, value in schema.items() if key != "$ref"}
        schema = {**root.get("$defs", {}).get(schema["$ref"].rpartition("/")[2], {}), **others}
    return schema


def branches(schema: Schema, root: Schema) -> list[Schema]:
    """The alternatives of a schema without null, or the schema itself."""
    schema = resolved(schema, root)
    alternatives = [*schema.get("anyOf", ()), *schema.get("oneOf", ())]
    if not alternatives or schema.get("format") == "upload":  # an upload in any form
        return [] if schema.get("type") == "null" else [schema]
    return [branch for each in alternatives for branch in branches(each, root)]


def is_nullable(schema: Schema, root: Schema) -> bool:
    schema = resolved(schema, root)
    return schema.get("type") == "null" or any(
        is_nullable(each, root) for each in (*schema.get("anyOf", ()), *schema.get("oneOf", ()))
    )


def is_plain(schema: Schema, root: Schema) -> bool:
    """Return whether a form field can hold the value: text, a number, a choice, or a repeated field of these."""
    return all(
        _is_scalar(each)
        or (each.get("type") == "array" and all(map(_is_scalar, branches(each.get("items", {}), root))))
        for each in branches(schema, root)
    )


def _is_scalar(schema: Schema) -> bool:
    return "enum" in schema or "const" in schema or schema.get("type") in ("string", "integer", "number", "boolean")


def describe(schema: Schema, root: Schema, depth: int = 0) -> str:
    """Describe a schema as text: `integer, 1 to 10000`, `jpeg | png`, `list of {op: "blur", amount?: number}`."""
    if depth > _MAX_DEPTH:
        return "…"
    texts = dict.fromkeys(_branch(each, root, depth) for each in branches(schema, root))
    return " | ".join(texts) or "null"


def _branch(schema: Schema, root: Schema, depth: int) -> str:
    if schema.get("format") == "upload":
        return "file"
    if "const" in schema:
        return json.dumps(schema["const"])
    if "enum" in schema:
        return " | ".join(value if isinstance(value, str) else json.dumps(value) for value in schema["enum"])
    json_type = schema.get("type")
    if json_type == "array":
        items = describe(schema["items"], root, depth + 1) if schema.get("items") else "anything"
        return f"list of {f'({items})' if ' | ' in items else items}{_bounds(schema)}"
    if json_type == "object":
        return _object(schema, root, depth)
    name = schema.get("format") or json_type or "anything"
    return f"{name}{_bounds(schema)}"


def _object(schema: Schema, root: Schema, depth: int) -> str:
    needed = schema.get("required", ())
    fields = [
        f"{name}{'' if name in needed else '?'}: {describe(each, root, depth + 1)}"
        for name, each in schema.get("properties", {}).items()
    ]
    if fields:
        return "{" + "; ".join(fields) + "}"
    others = _others(schema)
    values = describe(others, root, depth + 1) if others else "anything"
    return f"object of name: {values}{_bounds(schema)}"


def _others(schema: Schema) -> Schema:
    """Return the type of values under names that the schema does not list."""
    others: list[Any] = [*schema.get("patternProperties", {}).values(), schema.get("additionalProperties")]
    return others[0] if isinstance(others[0], Mapping) else {}


def _bounds(schema: Schema) -> str:
    for lower, upper, unit in (
        ("minimum", "maximum", ""),
        ("minLength", "maxLength", " characters"),
        ("minItems", "maxItems", " items"),
        ("minProperties", "maxProperties", " entries"),
    ):
        minimum, maximum = schema.get(lower), schema.get(upper)
        if minimum is not None and maximum is not None:
            return f", {number(minimum)} to {number(maximum)}{unit}"
        if minimum is not None:
            return f", at least {number(minimum)}{unit}"
        if maximum is not None:
            return f", at most {number(maximum)}{unit}"
    if "exclusiveMinimum" in schema:
        return f", more than {number(schema['exclusiveMinimum'])}"
    if "exclusiveMaximum" in schema:
        return f", less than {number(schema['exclusiveMaximum'])}"
    return ""


def number(value: float) -> str:
    """Format a limit in digits: `1000000`, not `1e+06`."""
    return f"{value:.15g}"


def sample(schema: Schema, root: Schema | None = None, depth: int = 0) -> Any:
    """Return a small value that matches: the schema's example, its default, or the smallest allowed value."""
    root = schema if root is None else root
    schema = resolved(schema, root)
    if schema.get("examples"):
        return schema["examples"][0]
    if schema.get("default") is not None:
        return schema["default"]
    alternatives = branches(schema, root)
    if not alternatives or depth > _MAX_DEPTH:
        return None
    return _sample_of(alternatives[0], root, depth)


def _sample_of(schema: Schema, root: Schema, depth: int) -> Any:
    if schema.get("format") == "upload":
        return _BYTES
    if "const" in schema or "enum" in schema:
        return schema.get("const", (schema.get("enum") or [None])[0])
    json_type = schema.get("type")
    if json_type == "object":
        return _sample_object(schema, root, depth)
    if json_type == "array":
        return [sample(schema.get("items", {}), root, depth + 1)] * max(1, schema.get("minItems", 1))
    if json_type in ("integer", "number"):
        return _sample_number(schema)
    return {"boolean": True, "string": _TEXTS.get(schema.get("format", ""), "text")}.get(str(json_type))


def _sample_object(schema: Schema, root: Schema, depth: int) -> dict[str, Any]:
    properties = schema.get("properties", {})
    needed = schema.get("required", ())
    names = [name for name, each in properties.items() if name in needed or _has_its_own_example(each, root)]
    values = {name: sample(properties[name], root, depth + 1) for name in names}
    if not properties and (others := _others(schema)):
        values["name"] = sample(others, root, depth + 1)
    return values


def _has_its_own_example(schema: Schema, root: Schema) -> bool:
    schema = resolved(schema, root)
    return "examples" in schema and is_nullable(schema, root)


def _sample_number(schema: Schema) -> float:
    minimum = schema.get("minimum", schema.get("exclusiveMinimum", -100))
    maximum = schema.get("maximum", schema.get("exclusiveMaximum", 100))
    usual = 100 if "minimum" in schema or "maximum" in schema else 10
    value: float = max(minimum, min(maximum, usual))
    if value == schema.get("exclusiveMinimum") or value == schema.get("exclusiveMaximum"):
        value = (minimum + maximum) / 2
    return value
