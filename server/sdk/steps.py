"""Steps of a task: the value that each returned is stored, so that a later attempt continues after it."""

import inspect
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any, get_type_hints

from pydantic.errors import PydanticUserError

from server.sdk.errors import TaskError
from server.sdk.results import MAX_RESULT_BYTES, ResultType

#: Prefix of the keys of steps among a task's checkpoints. `get_checkpoints.lua` does not copy them to a retry.
PREFIX = "step:"


class Steps:
    """The steps of one attempt. `load` and `save` read and write the task's checkpoints."""

    def __init__(self, load: Callable[[], Mapping[str, str]], save: Callable[[str, str], None]) -> None:
        self._load = load
        self._save = save
        self._ended: set[str] = set()
        self._values: dict[str, bytes] | None = None  # of this and earlier attempts, as JSON

    def run(self, name: str, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Return the stored value of a step; without one, call the function and store its value.

        For an `async def`, return an awaitable of the value.
        """
        returned = _returned(name, function)
        if inspect.iscoroutinefunction(function):
            return self._await(name, returned, partial(function, *args, **kwargs))
        if (stored := self._stored(name)) is not None:
            return returned.from_json(stored)
        value = function(*args, **kwargs)
        if inspect.iscoroutine(value):
            value.close()
            raise TypeError(f"step {name!r}: pass the `async def` itself: await ctx.step(name, function, arguments)")
        return self._keep(name, returned, value)

    async def _await(self, name: str, returned: ResultType, function: Callable[[], Awaitable[Any]]) -> Any:
        if (stored := self._stored(name)) is not None:
            return returned.from_json(stored)
        return self._keep(name, returned, await function())

    def _stored(self, name: str) -> bytes | None:
        if name in self._ended:
            raise ValueError(f"The step {name!r} has ended already in this attempt; give each step its own name.")
        if self._values is None:
            checkpoints = self._load().items()
            self._values = {key[len(PREFIX) :]: text.encode() for key, text in checkpoints if key.startswith(PREFIX)}
            self._bytes = sum(map(len, self._values.values()))
        if name in self._values:
            self._ended.add(name)
        return self._values.get(name)

    def _keep(self, name: str, returned: ResultType, value: Any) -> Any:
        """Store a value and return it as a later attempt reads it, so that every attempt sees the same."""
        text = returned.to_json(value)
        decoded = returned.from_json(text)
        self._bytes += len(text)
        if self._bytes > MAX_RESULT_BYTES:
            detail = f"With the step {name!r}, the steps returned {self._bytes} bytes; the limit is {MAX_RESULT_BYTES}."
            raise TaskError("result-too-large", detail)
        self._save(PREFIX + name, text.decode())
        self._ended.add(name)
        return decoded


def _returned(name: str, function: Callable[..., Any]) -> ResultType:
    """Return the declared type of a function's value; any JSON if it declares none."""
    plain = function.func if isinstance(function, partial) else function
    try:
        returns = plain if isinstance(plain, type) else get_type_hints(plain, include_extras=True).get("return", Any)
    except (AttributeError, NameError, TypeError):  # a builtin, or a name that only a type checker imports
        returns = Any
    try:
        return ResultType(returns, f"The result of the step {name!r}")
    except PydanticUserError:
        raise TypeError(f"step {name!r}: its return type cannot be stored as JSON ({returns!r})") from None
