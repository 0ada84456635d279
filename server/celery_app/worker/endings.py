"""Every way out of a function ends its task: translates each exception into an end."""

import errno
from collections.abc import Iterator
from datetime import UTC, datetime

from celery.exceptions import Ignore, Reject, Retry, SoftTimeLimitExceeded

from server.sdk.errors import Canceled, RetryLater, TaskError

_AGAIN = 1.0  # seconds before the next attempt if the function asks for one without a time


def ending_of(error: BaseException, soft_limit: float) -> BaseException:
    """Return `Canceled`, `RetryLater`, `TaskError`, or the function's own `Exception`."""
    if isinstance(error, Canceled):
        return error
    if isinstance(error, SoftTimeLimitExceeded):
        return TaskError("time-limit", f"It took longer than {soft_limit:g} seconds.")
    if any(_is_allocation_failure(each) for each in causes(error)):
        return TaskError("out-of-memory", "It needed more memory than WORKER_MEMORY_LIMIT allows.")
    if isinstance(error, Retry | Reject | Ignore):
        return _of_celery(error)
    if not isinstance(error, Exception):
        return TaskError("task-error", f"The function raised {type(error).__name__}, which ends a process.")
    return error


def _of_celery(error: Exception) -> Exception:
    """Translate the exceptions with which a function directs Celery."""
    if isinstance(error, Retry):
        later = RetryLater(_seconds_until(error.when))
        later.__cause__ = error.exc
        return later
    if isinstance(error, Reject) and error.requeue:
        return RetryLater(_AGAIN)
    reason = getattr(error, "reason", None) or (error.args[0] if error.args else None)
    verb = "rejected" if isinstance(error, Reject) else "ignored"
    return TaskError("task-rejected", f"The function {verb} the task" + (f": {reason}"[:500] if reason else "."))


def _seconds_until(when: object) -> float:
    if isinstance(when, datetime):
        return max(0.0, (when.astimezone(UTC) - datetime.now(UTC)).total_seconds())
    return float(when) if isinstance(when, int | float) else _AGAIN


def _is_allocation_failure(error: BaseException) -> bool:
    return isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno == errno.ENOMEM)


def causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an exception and its causes, including those that `from None` hides and the members of a group."""
    visited: set[int] = set()
    pending: list[BaseException | None] = [error]
    while pending:
        each = pending.pop()
        if each is None or id(each) in visited:
            continue
        visited.add(id(each))
        yield each
        pending += [each.__cause__, each.__context__]
        if isinstance(each, BaseExceptionGroup):
            pending += each.exceptions
