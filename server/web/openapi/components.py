"""JSON Schemas from many places, moved into `components.schemas` without a clash of names.

Pydantic gives each schema its own `$defs`. Two tasks may each have a model `Options` that is not the same: equal
definitions are shared, the second of two that differ gets its task's name in front.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

Schema = dict[str, Any]

_PLACE = "#/components/schemas/"
_LOCAL = "#/$defs/"
_LOCAL_REFERENCE = re.compile(r'"#/\$defs/([^"]+)"')

#: Keywords whose value is data, in which "$ref" is a word like any other.
_DATA = frozenset({"default", "const", "enum", "examples", "example"})

#: Keywords that hold schemas by names of the author's choice.
_NAMED = frozenset({"properties", "patternProperties", "dependentSchemas"})

#: What may stand beside a reference and override what it refers to.
_BESIDE_REFERENCE = ("title", "description", "default")


def reference(name: str) -> Schema:
    """A reference to a component."""
    return {"$ref": _PLACE + name}


class Components:
    """The namespace. First `reserve` the names that must be exact, then `place` what they stand for."""

    def __init__(self) -> None:
        self.schemas: dict[str, Schema] = {}
        self._placed: dict[str, str] = {}
        self._renamed: dict[str, dict[str, str]] = {}
        self._upload: Schema = {}

    def reserve(self, wanted: str) -> str:
        """Take `wanted`, or where it is taken, `wanted` with a number; the name that was taken."""
        name, number = wanted, 2
        while name in self.schemas:
            name, number = f"{wanted}{number}", number + 1
        self.schemas[name] = {}
        return name

    def place(self, name: str, schema: Mapping[str, Any]) -> None:
        """Put a schema under a reserved name, and its `$defs` beside it."""
        definitions: dict[str, Schema] = schema.get("$defs", {})
        new: dict[str, Schema] = {}
        renamed: dict[str, str] = {}
        self._renamed[name] = renamed
        for local, definition in definitions.items():
            mark = _fingerprint(local, definitions)
            if mark not in self._placed:
                self._placed[mark] = self._take(local, name)
                new[self._placed[mark]] = definition
            renamed[local] = self._placed[mark]
        for placed, definition in new.items():
            self.schemas[placed] = self.rewritten(name, definition)
        body = {key: value for key, value in schema.items() if key not in ("$defs", "$schema")}
        self.schemas[name] = self.rewritten(name, body)

    def place_upload(self, name: str, schema: Schema) -> None:
        """Put the schema of an upload under a reserved name; wherever it stands inline, it becomes a reference."""
        self.schemas[name] = schema
        self._upload = {"name": name, **schema}

    def rewritten(self, root: str, schema: Mapping[str, Any]) -> Schema:
        """A part of the schema that was placed as `root`, with its references pointing to the components."""
        if self._upload and schema.get("format") == "upload":
            own = {key: schema[key] for key in _BESIDE_REFERENCE if key in schema}
            return reference(self._upload["name"]) | {k: v for k, v in own.items() if v != self._upload.get(k)}
        return {key: self._rewritten_value(root, key, value) for key, value in schema.items()}

    def _rewritten_value(self, root: str, key: str, value: Any) -> Any:
        if key in _DATA:
            return value
        if key == "$ref":
            return self._renamed_reference(root, value)
        if key == "discriminator":
            mapping = value.get("mapping", {}).items()
            return value | {"mapping": {name: self._renamed_reference(root, ref) for name, ref in mapping}}
        if key in _NAMED:
            return {name: self._rewritten_any(root, each) for name, each in value.items()}
        return self._rewritten_any(root, value)

    def _rewritten_any(self, root: str, value: Any) -> Any:
        if isinstance(value, Mapping):
            return self.rewritten(root, value)
        if isinstance(value, list):
            return [self._rewritten_any(root, each) for each in value]
        return value

    def _renamed_reference(self, root: str, ref: str) -> str:
        local = ref.removeprefix(_LOCAL)
        return _PLACE + self._renamed[root][local] if ref.startswith(_LOCAL) else ref

    def _take(self, wanted: str, root: str) -> str:
        return self.reserve(wanted if wanted not in self.schemas else root + wanted)


def _fingerprint(local: str, definitions: Mapping[str, Schema]) -> str:
    """The same for definitions of the same name that say the same, down to what they refer to."""
    reached: set[str] = set()
    waiting = [local]
    while waiting:
        name = waiting.pop()
        if name in definitions and name not in reached:
            reached.add(name)
            waiting += _LOCAL_REFERENCE.findall(json.dumps(definitions[name]))
    return json.dumps([local, {name: definitions[name] for name in reached}], sort_keys=True)
