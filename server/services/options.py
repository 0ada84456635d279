"""Options that say how to run a task; they are not its parameters."""

from dataclasses import dataclass


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

    def due_ms(self, now_ms: int) -> int:
        """When the task is due, in ms since 1970; 0 means immediately."""
        return max(now_ms + int(self.delay * 1000) if self.delay else 0, self.not_before_ms)

    def cancel_at_ms(self, now_ms: int) -> int:
        """When the task will be canceled, in ms since 1970; 0 means never."""
        return now_ms + int(self.cancel_after * 1000) if self.cancel_after else 0
