"""How to run a task: never its own parameters."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Options:
    """How to run a task; `delay`, `ttl` and `cancel_after` in seconds, `not_before_ms` since 1970."""

    delay: float = 0.0
    not_before_ms: int = 0
    priority: str = "normal"
    tags: tuple[str, ...] = ()
    ttl: int | None = None
    cancel_after: float = 0.0
    webhook: str = ""

    def due_ms(self, now_ms: int) -> int:
        """When the task is due; 0 is at once."""
        return max(now_ms + int(self.delay * 1000) if self.delay else 0, self.not_before_ms)

    def cancel_at_ms(self, now_ms: int) -> int:
        """When the task is to be canceled; 0 is never."""
        return now_ms + int(self.cancel_after * 1000) if self.cancel_after else 0
