"""Collect JSON Schemas in `components.schemas` without name conflicts.

Pydantic gives each schema its own `$defs`. Two tasks may have different models named `Options`: equal definitions are
shared, and the second of two different ones gets its task's name as a prefix.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

from pydantic import TypeAdapter

from server.sdk.uploads import Upload

Schema = dict[str, Any]

_COMPONENTS = "#/components/schemas/"
_LOCAL = "#/$defs/"
_UPLOAD = "Upload"  # the component of an upload, wherever it occurs
_LOCAL_REFERENCE = re.compile(r'"#/\$defs/([^"]+)"')

#: Keywords whose values are data, where "$ref" has no special meaning.
_DATA = frozenset({"default", "const", "enum", "examples", "example"})

#: Keywords whose values map free names to schemas.
_NAMED = frozenset({"properties", "patternProperties", "dependentSchemas"})

#: Keywords next to a reference that override the referenced schema.
_OVERRIDES = ("title", "description", "default")


def reference(name: str) -> Schema:
    return {"$ref": _COMPONENTS + name}


def named_references(section: str, *names: str) -> dict[str, Any]:
    """References to components of a section, by name."""
    return {name: {"$ref": f"#/components/{section}/{name}"} for name in names}


def one_of(*values: str | int) -> Schema:
    """A schema of these values. A `const` without a type makes generators of clients drop the schema."""
    return {"type": "integer" if isinstance(values[0], int) else "string", "enum": list(values)}


def without_null(schema: Schema) -> Schema:
    """Copy a schema without null values, which a form and a query cannot express."""
    if "anyOf" not in schema:
        return dict(schema)
    others = [each for each in schema["anyOf"] if each != {"type": "null"}]
    rest = {key: value for key, value in schema.items() if key != "anyOf" and (key, value) != ("default", None)}
    return rest | (others[0] if len(others) == 1 else {"anyOf": others})


class Components:
    """The namespace. First `reserve` the names that must be exact, then `add` their schemas."""

    def __init__(self) -> None:
        self.schemas: dict[str, Schema] = {_UPLOAD: TypeAdapter(Upload).json_schema()}
        self._names: dict[str, str] = {}

    def reserve(self, wanted: str) -> str:
        """Reserve a name; if it is in use, add a number. Returns the reserved name."""
        name, number = wanted, 2
        while name in self.schemas:
            name, number = f"{wanted}{number}", number + 1
        self.schemas[name] = {}
        return name

    def add(self, name: str, schema: Mapping[str, Any]) -> None:
        """Store a schema under a reserved name, and its `$defs` as components."""
        renamed = self.add_all(schema.get("$defs", {}), name)
        body = {key: value for key, value in schema.items() if key not in ("$defs", "$schema", "title")}
        self.schemas[name] = self._rewritten(body, renamed)

    def add_all(self, definitions: Mapping[str, Schema], prefix: str = "") -> dict[str, str]:
        """Store definitions that refer to each other; a different one of the same name gets the prefix.

        Returns the name of each definition's component.
        """
        new: dict[str, Schema] = {}
        renamed: dict[str, str] = {}
        for local, definition in definitions.items():
            fingerprint = _fingerprint(local, definitions)
            if fingerprint not in self._names:
                self._names[fingerprint] = self.reserve(local if local not in self.schemas else prefix + local)
                new[self._names[fingerprint]] = definition
            renamed[local] = self._names[fingerprint]
        for name, definition in new.items():
            self.schemas[name] = self._rewritten(_untitled(definition), renamed)
        return renamed

    def _rewritten(self, schema: Mapping[str, Any], renamed: Mapping[str, str]) -> Schema:
        """Copy a schema, with references to the components."""
        if schema.get("format") == "upload":
            upload = self.schemas[_UPLOAD]
            overrides = {key: schema[key] for key in _OVERRIDES if key in schema}
            return reference(_UPLOAD) | {key: value for key, value in overrides.items() if value != upload.get(key)}
        rewritten = {key: self._rewritten_value(key, value, renamed) for key, value in schema.items()}
        if type(rewritten.get("const")) in (str, int):
            rewritten |= one_of(rewritten.pop("const"))
        return rewritten

    def _rewritten_value(self, key: str, value: Any, renamed: Mapping[str, str]) -> Any:
        if key in _DATA:
            return value
        if key == "$ref":
            return _renamed_reference(value, renamed)
        if key == "discriminator":
            mapping = value.get("mapping", {}).items()
            return value | {"mapping": {name: _renamed_reference(ref, renamed) for name, ref in mapping}}
        if key in _NAMED:
            return {name: self._rewritten_any(each, renamed) for name, each in value.items()}
        return self._rewritten_any(value, renamed)

    def _rewritten_any(self, value: Any, renamed: Mapping[str, str]) -> Any:
        if isinstance(value, Mapping):
            return self._rewritten(value, renamed)
        if isinstance(value, list):
            return [self._rewritten_any(each, renamed) for each in value]
        return value


def _renamed_reference(ref: str, renamed: Mapping[str, str]) -> str:
    local = ref.removeprefix(_LOCAL)
    return _COMPONENTS + renamed[local] if ref.startswith(_LOCAL) else ref


def _untitled(schema: Schema) -> Schema:
    """Remove the title: generators of clients name a class by it, and two components may have the same."""
    return {key: value for key, value in schema.items() if key != "title"}


def _fingerprint(local: str, definitions: Mapping[str, Schema]) -> str:
    """A value that is equal for equal definitions, including everything they refer to."""
    reached: set[str] = set()
    waiting = [local]
    while waiting:
        name = waiting.pop()
        if name in definitions and name not in reached:
            reached.add(name)
            waiting += _LOCAL_REFERENCE.findall(json.dumps(definitions[name]))
    return json.dumps([local, {name: definitions[name] for name in reached}], sort_keys=True)
