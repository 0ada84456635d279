"""The names of `server.store.keys` as a Lua table, which each script gets in front of it."""

import inspect
import re
from itertools import cycle

from server.store.keys import Keys

_USED = re.compile(r"\bkeys\.(\w+)")


def lua_table(keys: Keys, script: str) -> str:
    """Define, as Lua, the names in `keys` that a script uses."""
    lines = [_lua(keys, name) for name in sorted(set(_USED.findall(script)))]
    return "\n".join(["local keys = {}", *lines, ""]) if lines else ""


def _lua(keys: Keys, name: str) -> str:
    found = getattr(keys, name)
    if isinstance(found, str):
        return f"keys.{name} = {quoted(found)}"
    parameters = list(inspect.signature(found).parameters)
    pieces = found(*(f"\0{parameter}\0" for parameter in parameters)).split("\0")
    text = " .. ".join(
        piece if is_name else quoted(piece) for piece, is_name in zip(pieces, cycle((False, True))) if piece
    )
    return f"function keys.{name}({', '.join(parameters)}) return {text} end"


def quoted(text: str) -> str:
    """Write a text as Lua does."""
    return "'" + "".join(char if char.isalnum() or char in ":_-." else f"\\{ord(char):03d}" for char in text) + "'"
