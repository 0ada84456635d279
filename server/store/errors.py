"""Errors of the layers below the web. `server.web.errors` maps each to an HTTP answer.

CoatcheckError                  the root: a request is refused, for a reason with a name
├── StoreUnavailable            Redis or the blob store does not answer, or answers "not now"
├── StorageFull                 Redis or the blob store is full
├── QuotaExceeded, QueueFull    too many unfinished tasks of one owner; too many waiting tasks in one queue
│   └── BytesExceeded           too many bytes of one owner
├── TooManySchedules            an owner has too many schedules
├── ScheduleNameTaken           the name of a schedule is in use
├── IdempotencyKeyReused, IdempotencyKeyInUse
├── AlreadyRetried              a task was retried before
├── DuplicateTask               another task has the key of `unique`
└── those of `server.sdk.errors` and `server.services`, about inputs, uploads and tasks
BlobMissing                     no blob has this key

An error type has a name, a title and advice. The name is the last part of a problem's address (RFC 9457).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar


@dataclass(frozen=True, slots=True)
class ErrorType:
    """One named reason; `advice` tells a client what to do.

    `status` is the HTTP status, for error types of the web layer and of a package of tasks; see `server.web.errors`.
    """

    title: str
    advice: str
    status: int | None = None


_SLUG = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")

_types: dict[str, ErrorType] = {}


def register_error_types(types: Mapping[str, ErrorType]) -> None:
    """Add the error types of a package, such as those of an included task.

    Raises:
        ValueError: a name is not a slug, or another package uses it with another title.
    """
    for name, error_type in types.items():
        if not _SLUG.fullmatch(name) or _types.get(name, error_type) != error_type:
            raise ValueError(f"{name!r} cannot be the name of an error type: use a slug that is not in use")
        _types[name] = error_type


def error_types() -> Mapping[str, ErrorType]:
    """Return every registered error type by its name."""
    return _types


def error_type(name: str) -> ErrorType | None:
    """Return the type of this name. An unregistered slug is a task's own type; None if it is not a slug."""
    if name in _types or not _SLUG.fullmatch(name):
        return _types.get(name)
    return ErrorType(name.replace("-", " ").capitalize(), "An error of a task's own; its detail says what to do.")


def error_object(name: str, detail: str) -> dict[str, str]:
    """Return the form of an error in a record: an RFC 9457 object without a status."""
    definition = error_type(name)
    return {"type": f"/problems/{name}", "title": definition.title if definition else "", "detail": detail}


class CoatcheckError(Exception):
    """A request or a step is refused.

    The client reads `detail`, so it never contains a path of the machine, a secret or a host. `retry_after` is in
    seconds. `extra` adds fields to the problem, such as `errors` or `limit`.
    """

    type: ClassVar[str] = "internal-error"
    retry_after: int | None = None

    def __init__(self, detail: str = "", **extra: Any) -> None:
        super().__init__(detail)
        self.detail = detail
        self.extra = extra

    @property
    def name(self) -> str:
        """Return the name of its error type."""
        return self.type

    def error_object(self) -> dict[str, str]:
        """Return the form of this error in a record."""
        definition = error_type(self.name)
        return error_object(self.name, self.detail or (definition.advice if definition else ""))


class StoreUnavailable(CoatcheckError):
    """Redis or the blob store cannot be reached, or is not ready."""

    type = "unavailable"


class StorageFull(CoatcheckError):
    """Redis or the blob store is full."""

    type = "storage-full"
    retry_after = 30


class QuotaExceeded(CoatcheckError):
    """The owner has too many unfinished tasks. `policy` and `unit` are the names in the RateLimit fields."""

    type = "over-quota"
    retry_after = 5
    policy: ClassVar[str] = "unfinished"
    unit: ClassVar[str] = ""
    message: ClassVar[str] = "You have {used} unfinished tasks; the limit is {limit}."

    def __init__(self, used: int, limit: int) -> None:
        super().__init__(self.message.format(used=used, limit=limit))
        self.used = used
        self.limit = limit


class BytesExceeded(QuotaExceeded):
    """The owner's inputs, uploads and outputs have too many bytes."""

    retry_after = 30
    policy = "bytes"
    unit = "content-bytes"
    message = "Your tasks hold {used} bytes of inputs, uploads and outputs; the limit is {limit}."


class TooManySchedules(CoatcheckError):
    """The owner has reached its maximum number of schedules."""

    type = "too-many-schedules"


class ScheduleNameTaken(CoatcheckError):
    """Another owner has a schedule with this name."""

    type = "schedule-name-taken"


class QueueFull(CoatcheckError):
    """Too many tasks wait in the queue."""

    type = "queue-full"
    retry_after = 10


#: Temporary errors, which the next task would have too.
CAPACITY_ERRORS = (QuotaExceeded, QueueFull, StorageFull, StoreUnavailable)


class IdempotencyKeyReused(CoatcheckError):
    """The key was used with another request before."""

    type = "idempotency-key-reused"


class IdempotencyKeyInUse(CoatcheckError):
    """The first request with the key is still being stored."""

    type = "idempotency-key-in-use"
    retry_after = 1


class AlreadyRetried(CoatcheckError):
    """A retry has created a new task from this one before; `task_id` names the new one."""

    type = "already-retried"

    def __init__(self, retried_as: str) -> None:
        super().__init__(f"It was retried already, as {retried_as}. `again=true` retries it again.", task_id=retried_as)


class DuplicateTask(CoatcheckError):
    """Another task has the key of `unique`; `task_id` names it."""

    type = "duplicate-task"

    def __init__(self, task_id: str) -> None:
        super().__init__(f"The task {task_id} has this key.", task_id=task_id)


class BlobMissing(Exception):
    """No blob has this key."""


register_error_types(
    {
        "internal-error": ErrorType("Internal error", "Try again; the log has the request id."),
        "unavailable": ErrorType("The server cannot accept this now", "Try again; Retry-After says when."),
        "storage-full": ErrorType("The storage is full", "Try again later, or send less."),
        "too-many-schedules": ErrorType("Too many schedules", "Delete one first; an admin has no limit."),
        "schedule-name-taken": ErrorType("The name of the schedule is in use", "Choose another name."),
        "over-quota": ErrorType(
            "Over the owner's quota",
            "Wait until tasks end or expire, or delete some; Retry-After says when to try again.",
        ),
        "queue-full": ErrorType("The queue is full", "Try again; Retry-After says when."),
        "idempotency-key-reused": ErrorType(
            "The idempotency key belongs to another request", "Make a new key for each request."
        ),
        "idempotency-key-in-use": ErrorType(
            "A request with this idempotency key is being stored", "Repeat the request in a moment."
        ),
        "already-retried": ErrorType(
            "The task was retried already", "`task_id` is the new task. To make another, retry with `again=true`."
        ),
        "duplicate-task": ErrorType(
            "A task with this key already exists",
            "`task_id` is the task with this key. Wait for its end, or follow it.",
        ),
        "worker-lost": ErrorType(
            "The worker process died while it ran this task",
            "The task may need more memory than there is. Send a smaller input.",
        ),
        "not-started-in-time": ErrorType(
            "The task did not start in time", "No worker was free within `start_within`. Submit again."
        ),
        "dependency-failed": ErrorType(
            "A task that this task needs did not succeed", "See that task's error, then submit again."
        ),
    }
)
