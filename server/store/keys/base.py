"""Definitions of keys as patterns."""

import re
from collections.abc import Callable
from inspect import getattr_static
from typing import Any

PARAMETER = re.compile(r"\{(\w+)\}")


class Prefixed:
    """Keys under one prefix. An empty `owner` in their parameters means all owners."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix

    def pattern(self, name: str) -> str:
        """Return the pattern of a key by its name here, with the prefix."""
        found: str = getattr_static(type(self), name).pattern(self)
        return found


class _Definition:
    """The definition of a key."""

    def __init__(self, pattern: str, *, foreign: bool = False) -> None:
        """`foreign`: it is the broker's, and has no prefix."""
        self._pattern = pattern
        self._foreign = foreign

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def pattern(self, keys: Prefixed) -> str:
        return self._pattern if self._foreign else keys.prefix + self._pattern

    def _keep(self, keys: Prefixed, made: Any) -> Any:
        """Let the next use find it among the attributes of the object."""
        return vars(keys).setdefault(self._name, made)


class Name(_Definition):
    """A key without parameters."""

    def __get__(self, keys: Prefixed, _: type) -> str:
        found: str = self._keep(keys, self.pattern(keys))
        return found


class Key(_Definition):
    """A key with parameters in its pattern, which are those of the function that returns it."""

    def __get__(self, keys: Prefixed, _: type) -> Callable[..., str]:
        form = PARAMETER.sub("%s", self.pattern(keys))
        found: Callable[..., str] = self._keep(keys, lambda *values: form % values)
        return found
