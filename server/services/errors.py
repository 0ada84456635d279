"""Errors of the use cases, children of `server.store.errors.CoatcheckError`."""

from server.store.errors import CoatcheckError, ErrorType, register_error_types

register_error_types(
    {
        "task-not-done": ErrorType("The task has not ended", "Wait until it ends, or cancel it first."),
        "expired-task": ErrorType("The task has expired", "A record is deleted some time after its end. Submit again."),
        "expired-input": ErrorType("The input of the task is deleted", "Submit a new task with its input."),
    }
)


class TaskNotDone(CoatcheckError):
    """The task has not ended; only a task that has ended can be retried or deleted."""

    type = "task-not-done"


class TaskExpired(CoatcheckError):
    """The id is unknown, or the task's record was deleted."""

    type = "expired-task"


class InputExpired(CoatcheckError):
    """The input and its uploads are deleted, some time before the record."""

    type = "expired-input"


class FileExpired(CoatcheckError):
    """The bytes of a stored file are gone, because its task has expired."""

    type = "expired-task"
