"""Secrets in inputs: where they are, an input without them, and their values for `server.logs.hide`.

A secret is a `SecretStr` or `SecretBytes`, or the value of a parameter, field or key whose name has one of NAMES in it.
"""

import re
from collections.abc import Callable, Container, Iterator, Mapping
from functools import cached_property, lru_cache
from typing import Any

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
    """Return whether a name has one of NAMES in it, in any case, as snake_case, kebab-case or camelCase."""
    words = _NOT_A_LETTER.sub("_", _WORD_BEGINS.sub("_", name).lower())
    return _NAME.search(f"_{words}_") is not None


class Secrets:
    """The secrets in the inputs of one task type, by its schema. An upload is none, whatever its name is."""

    def __init__(self, schema: _Schema, uploads: Container[str] = ()) -> None:
        self._root = schema
        self._uploads = uploads

    @cached_property
    def possible(self) -> bool:
        """Return whether an input may have a secret. Objects that accept any key may."""
        return _may_hold(self._root, self._uploads)

    def hide(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return an input with PLACEHOLDER in place of each secret."""
        return self._changed(given, lambda _: PLACEHOLDER)

    def restore(self, given: Mapping[str, Any], stored: Mapping[str, Any]) -> dict[str, Any]:
        """Return an input with the stored secret at each place where it has PLACEHOLDER."""
        hidden = self.hide(stored)
        return {name: _restored(value, hidden.get(name), stored.get(name)) for name, value in given.items()}

    def values(self, given: Mapping[str, Any]) -> list[str]:
        found: list[str] = []
        if self.possible:
            self._changed(given, lambda secret: found.extend(_texts(secret)))
        return found

    def _changed(self, given: Mapping[str, Any], change: _Change) -> dict[str, Any]:
        if not self.possible:
            return dict(given)
        schemas = list(branches(self._root, self._root))
        return {
            name: value if name in self._uploads else self._walk(value, name, _members(schemas, name), change)
            for name, value in given.items()
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
            return [self._walk(each, "", _items(schemas, at), change) for at, each in enumerate(value)]
        return value


BY_NAME = Secrets({"type": "object"})  # for a task type that is not registered any more: its secrets by name


def _restored(given: Any, hidden: Any, stored: Any) -> Any:
    """Return a value with the stored one where it has PLACEHOLDER and the stored one is hidden."""
    if given == PLACEHOLDER and hidden == PLACEHOLDER:
        return stored
    if isinstance(given, dict) and isinstance(stored, dict) and isinstance(hidden, dict):
        return {key: _restored(each, hidden.get(key), stored.get(key)) for key, each in given.items()}
    if isinstance(given, list) and isinstance(stored, list) and isinstance(hidden, list):
        rest = [None] * (len(given) - len(stored))
        return [_restored(*each) for each in zip(given, hidden + rest, stored + rest, strict=False)]
    return given


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
    for word in ("anyOf", "oneOf", "allOf"):
        for branch in schema.get(word, ()):
            yield from branches(branch, root, above)


def _members(schemas: list[_Schema], key: str) -> list[_Schema]:
    found = []
    for schema in schemas:
        others = [*schema.get("patternProperties", {}).values(), schema.get("additionalProperties")]
        own = schema.get("properties", {}).get(key)
        found += [own] if own is not None else [each for each in others if isinstance(each, dict)]
    return found


def _items(schemas: list[_Schema], at: int) -> list[_Schema]:
    found: list[_Schema] = []
    for schema in schemas:
        first = schema.get("prefixItems", ())
        item = first[at] if at < len(first) else schema.get("items")
        found += [item] if isinstance(item, dict) else []
    return found


def _may_hold(root: _Schema, uploads: Container[str]) -> bool:
    """Return whether any place of a schema is secret, or is open to keys of any name."""
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
        parts += [branch for word in ("anyOf", "oneOf", "allOf") for branch in schema.get(word, ())]
        schemas += [part for part in parts if isinstance(part, dict)]
    return False
