"""The names of `server.store.keys` in Lua: a script names a key as Python does, which is replaced by its text."""

import re
from collections.abc import Iterable

from server.store.keys import PARAMETER, Keys

_NAME = re.compile(r"\bkeys\.(\w+)(\(?)")

#: Expressions that need no parentheses in a concatenation.
_SIMPLE = re.compile(r"[\w.]+|'[^']*'")


def with_keys(keys: Keys, script: str) -> str:
    """Replace each `keys.name` and `keys.name(parameters)` of a script with Lua that makes the key.

    A table of functions in front of each script took as long as ten commands: Lua creates all of them at each call.
    """
    pieces, end = [], 0
    for match in _NAME.finditer(script):
        if match.start() < end:
            raise ValueError(f"{match[0]} is within another key")
        pieces.append(script[end : match.start()])
        pattern, end = keys.pattern(match[1]), match.end()
        parameters = PARAMETER.findall(pattern)
        if not parameters:
            pieces.append(quoted(pattern) + match[2])
        elif match[2]:
            arguments, end = _arguments(script, end)
            pieces.append(f"({_text(pattern, arguments)})")
        else:
            pieces.append(f"function({', '.join(parameters)}) return {_text(pattern, parameters)} end")
    return "".join([*pieces, script[end:]])


def _arguments(script: str, begin: int) -> tuple[list[str], int]:
    """Return the arguments from this position on, and the position after their closing parenthesis."""
    arguments, depth, start = [], 0, begin
    for position in range(begin, len(script)):
        char = script[position]
        if depth == 0 and char in ",)":
            arguments.append(script[start:position].strip())
            start = position + 1
            if char == ")":
                return arguments, start
        depth += (char in "([{") - (char in ")]}")
    raise ValueError(f"no end of the arguments: {script[begin : begin + 60]}")


def _text(pattern: str, arguments: Iterable[str]) -> str:
    """Write the text of a key with these expressions in it."""
    expressions = (text if _SIMPLE.fullmatch(text) else f"({text})" for text in arguments)
    pieces = enumerate(PARAMETER.split(pattern))  # every second one is a parameter's name
    return " .. ".join(next(expressions) if at % 2 else quoted(piece) for at, piece in pieces if piece)


def quoted(text: str) -> str:
    """Write a text as Lua does."""
    return "'" + "".join(char if char.isalnum() or char in ":_-." else f"\\{ord(char):03d}" for char in text) + "'"
