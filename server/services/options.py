"""Options that say how to run a task; they are not its parameters."""

from dataclasses import dataclass, fields
from typing import Any


@dataclass(frozen=True, slots=True)
class Options:
    """Options of a submit: `delay`, `ttl` and `cancel_after` in seconds, `not_before_ms` since 1970."""

    delay: float = 0.0
    not_before_ms: int = 0
    priority: str = "normal"
    tags: tuple[str, ...] = ()
    ttl: int | None = None
    cancel_after: float = 0.0
    webhook: str = ""

    def identity(self) -> dict[str, Any]:
        """Return the options that are not the default, by name: equal in a release that has more options."""
        values = ((each.name, each.default, getattr(self, each.name)) for each in fields(self))
        return {name: value for name, default, value in values if value != default}
