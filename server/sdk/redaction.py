"""Secrets in inputs: where they are, an input without them, and their values for `server.logs.hide`.

A secret is a `SecretStr` or `SecretBytes`, or the value of a parameter, field or key whose name contains one of NAMES.
"""

import re
from collections.abc import Callable, Container, Iterator, Mapping
from functools import cached_property, lru_cache
from typing import Any

from pydantic import BaseModel, SecretBytes, SecretStr

from server.logs import PLACEHOLDER

#: Parts of names: `db_password`, `Api-Key` and `accessToken` have one, `max_tokens` has none.
NAMES = (
    *("password", "passwords", "passwd", "passphrase", "secret", "secrets", "token", "api_key", "api_keys", "apikey"),
    *("access_key", "private_key", "authorization", "credential", "credentials", "cookie"),
)

_NAME = re.compile(rf"_(?:{'|'.join(NAMES)})_")
_WORD_BEGINS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_NOT_A_LETTER = re.compile(r"[^a-z0-9]+")

_Schema = dict[str, Any]
_Change = Callable[[Any], Any]


@lru_cache(maxsize=4096)
def is_secret_name(name: str) -> bool:
    """Return whether a name contains one of NAMES, in any case, as snake_case, kebab-case or camelCase."""
    snake_case = _NOT_A_LETTER.sub("_", _WORD_BEGINS.sub("_", name).lower())
    return _NAME.search(f"_{snake_case}_") is not None


class Secrets:
    """The secrets in the inputs of one task type, by its schema. An upload is not a secret, whatever its name is."""

    def __init__(self, schema: _Schema, uploads: Container[str] = ()) -> None:
        self._root = schema
        self._uploads = uploads

    @cached_property
    def possible(self) -> bool:
        """Return whether an input may have a secret. Objects that accept any key may."""
        return _may_have_secret(self._root, self._uploads)

    def hide(self, task_input: Mapping[str, Any]) -> dict[str, Any]:
        """Return an input with PLACEHOLDER in place of each secret."""
        return self._changed(task_input, lambda _: PLACEHOLDER)

    def restore(self, task_input: Mapping[str, Any], stored: Mapping[str, Any]) -> dict[str, Any]:
        """Return an input with the stored secret wherever it has PLACEHOLDER."""
        hidden = self.hide(stored)
        return {name: _restored(value, hidden.get(name), stored.get(name)) for name, value in task_input.items()}

    def values(self, task_input: Mapping[str, Any]) -> list[str]:
        texts: list[str] = []
        if self.possible:
            self._changed(task_input, lambda secret: texts.extend(_texts(secret)))
        return texts

    def _changed(self, task_input: Mapping[str, Any], change: _Change) -> dict[str, Any]:
        if not self.possible:
            return dict(task_input)
        schemas = list(branches(self._root, self._root))
        return {
            name: value if name in self._uploads else self._walk(value, name, _members(schemas, name), change)
            for name, value in task_input.items()
        }

    def _walk(self, value: Any, name: str, schemas: list[_Schema], change: _Change) -> Any:
        if value is None or isinstance(value, bool):
            return value
        schemas = [branch for schema in schemas for branch in branches(schema, self._root)]
        marked = isinstance(value, str | int | float) and any(schema.get("writeOnly") for schema in schemas)
        if marked or is_secret_name(name):
            return change(value)
        if isinstance(value, dict):
            return {key: self._walk(each, key, _members(schemas, key), change) for key, each in value.items()}
        if isinstance(value, list):
            return [self._walk(each, "", _items(schemas, index), change) for index, each in enumerate(value)]
        return value


def revealed(value: Any) -> Any:
    """Return a value with the secrets of `SecretStr` and `SecretBytes`, which JSON otherwise has as PLACEHOLDER."""
    if isinstance(value, SecretStr | SecretBytes):
        return value.get_secret_value()
    if isinstance(value, BaseModel):
        value = value.model_dump(by_alias=True)
    if isinstance(value, dict):
        return {key: revealed(each) for key, each in value.items()}
    return [revealed(each) for each in value] if isinstance(value, list | tuple | set | frozenset) else value


BY_NAME = Secrets({"type": "object"})  # for a task type that is not registered any more: its secrets by name


def _restored(value: Any, hidden: Any, stored: Any) -> Any:
    """Return a value with the stored one where it has PLACEHOLDER and the stored one is hidden."""
    if value == PLACEHOLDER and hidden == PLACEHOLDER:
        return stored
    if isinstance(value, dict) and isinstance(stored, dict) and isinstance(hidden, dict):
        return {key: _restored(each, hidden.get(key), stored.get(key)) for key, each in value.items()}
    if isinstance(value, list) and isinstance(stored, list) and isinstance(hidden, list):
        rest = [None] * (len(value) - len(stored))
        return [_restored(*each) for each in zip(value, hidden + rest, stored + rest, strict=False)]
    return value


def _texts(secret: Any) -> Iterator[str]:
    if isinstance(secret, dict | list):
        for each in secret.values() if isinstance(secret, dict) else secret:
            yield from _texts(each)
    elif secret is not None and not isinstance(secret, bool):
        yield str(secret)


def branches(schema: _Schema, root: _Schema, above: tuple[str, ...] = ()) -> Iterator[_Schema]:
    """Yield a schema and its alternatives, with references resolved."""
    reference = schema.get("$ref", "")
    if reference in above:
        return
    if reference:
        above = (*above, reference)
        yield from branches(root.get("$defs", {}).get(reference.rpartition("/")[2], {}), root, above)
    yield schema
    for keyword in ("anyOf", "oneOf", "allOf"):
        for branch in schema.get(keyword, ()):
            yield from branches(branch, root, above)


def _members(schemas: list[_Schema], key: str) -> list[_Schema]:
    members = []
    for schema in schemas:
        others = [*schema.get("patternProperties", {}).values(), schema.get("additionalProperties")]
        declared = schema.get("properties", {}).get(key)
        members += [declared] if declared is not None else [each for each in others if isinstance(each, dict)]
    return members


def _items(schemas: list[_Schema], index: int) -> list[_Schema]:
    items: list[_Schema] = []
    for schema in schemas:
        first = schema.get("prefixItems", ())
        item = first[index] if index < len(first) else schema.get("items")
        items += [item] if isinstance(item, dict) else []
    return items


def _may_have_secret(root: _Schema, uploads: Container[str]) -> bool:
    """Return whether any part of a schema is secret, or is open to keys of any name."""
    schemas: list[_Schema] = [root]
    for schema in schemas:  # grows while it is read
        named = dict(schema.get("properties", {}))
        if schema is root:
            named = {key: each for key, each in named.items() if key not in uploads}
        is_open = schema.get("type") == "object" and schema.get("additionalProperties") is not False
        if is_open or schema.get("writeOnly") or any(map(is_secret_name, named)):
            return True
        if not schema.keys() - {"title", "description", "default"}:  # any JSON
            return True
        parts = [schema.get("items"), *schema.get("prefixItems", ()), *schema.get("patternProperties", {}).values()]
        parts += [*named.values(), *schema.get("$defs", {}).values()]
        parts += [branch for keyword in ("anyOf", "oneOf", "allOf") for branch in schema.get(keyword, ())]
        schemas += [part for part in parts if isinstance(part, dict)]
    return False
