"""Paths into JSON, such as `data.items`."""

from typing import Any


def at(value: Any, path: str) -> Any:
    """Return the value at a path, or None. A name may contain dots: `@odata.nextLink`, `page.next.url`."""
    if not isinstance(value, dict):
        return None
    if path in value:
        return value[path]
    end = path.find(".")
    while end >= 0:
        if path[:end] in value and (found := at(value[path[:end]], path[end + 1 :])) is not None:
            return found
        end = path.find(".", end + 1)
    return None
