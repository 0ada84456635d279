"""Errors of tasks and of their inputs.

TaskError        raised in a task: it ends as failed, with this type and sentence
RetryLater       raised in a task: it is tried again
Canceled         raised in a task: the client asked it to stop
InvalidInput, MalformedBody, UnknownTaskType, UnsupportedMediaType, TooLarge
                 a submit is refused (children of `server.store.errors.CoatcheckError`)
"""

import re

from server.store.errors import CoatcheckError, ErrorType, error_object, error_type, register_error_types

__all__ = [
    "Canceled",
    "ErrorType",
    "InvalidInput",
    "MalformedBody",
    "RetryLater",
    "TaskError",
    "TooLarge",
    "UnknownTaskType",
    "UnsupportedMediaType",
    "describe",
    "register_error_types",
]

register_error_types(
    {
        "malformed-body": ErrorType("The body cannot be parsed", "Send a JSON object, a multipart form, or raw bytes."),
        "invalid-input": ErrorType("The input does not fit the schema", "See `errors` and /catalog/{name}."),
        "unknown-task-type": ErrorType("Unknown task type", "GET /catalog lists the task types."),
        "unsupported-media-type": ErrorType("Unsupported media type", "The detail lists the supported types."),
        "too-large": ErrorType("The request is too large", "The detail gives the limit."),
        "task-error": ErrorType("The task's function raised an error", "The detail has its message."),
        "time-limit": ErrorType("The task took longer than its limit", "Send less work in one task."),
        "out-of-memory": ErrorType("The task needed more memory than its limit", "Send a smaller input."),
        "result-too-large": ErrorType("The result is too large to keep", "Save large results as a file."),
        "upload-missing": ErrorType("An upload of the task is missing", "Submit the task again."),
        "upload-unreachable": ErrorType(
            "The URL of an upload cannot be read", "Check the URL, or send the file itself."
        ),
    }
)


class InvalidInput(CoatcheckError):
    """The input does not fit the schema. `errors` names each place: `{"loc": […], "msg": "…"}`."""

    type = "invalid-input"


class MalformedBody(CoatcheckError):
    """The body cannot be parsed."""

    type = "malformed-body"


class UnknownTaskType(CoatcheckError):
    """No task type has this name."""

    type = "unknown-task-type"


class UnsupportedMediaType(CoatcheckError):
    """The task does not accept files of this type."""

    type = "unsupported-media-type"


class TooLarge(CoatcheckError):
    """A file or a body is larger than its limit."""

    type = "too-large"


class TaskError(Exception):
    """Ends a task as failed; `type` is a slug, `detail` a sentence that says what to do.

    Raises:
        ValueError: `type` is not a slug, so it cannot be part of an address.
    """

    def __init__(self, type: str, detail: str) -> None:
        if error_type(type) is None:
            raise ValueError(f"the type of a TaskError is a slug such as 'too-many-pages', not {type!r}")
        super().__init__(type, detail)
        self.type = type
        self.detail = detail


class RetryLater(Exception):
    """The function asked to be tried again after so many seconds, beside its kind's retries.

    Its cause (`raise RetryLater(10) from error`) is what a client reads as the task's `error` meanwhile.
    """

    def __init__(self, seconds: float) -> None:
        super().__init__(seconds)
        self.seconds = seconds


class Canceled(BaseException):
    """The client asked the task to stop.

    Not an `Exception`, so that a task's own `except Exception` does not swallow it (as `KeyboardInterrupt`).
    """


#: Addresses, hosts with a port, IPv4 addresses, and paths: what a client is not to read.
_PRIVATE = re.compile(
    r"\w+://\S+|\b[\w.-]+:\d{4,5}\b|\b\d{1,3}(?:\.\d{1,3}){3}\b|(?<![\w./])~?(?:/[\w.@+-]+){2,}/?|\b[A-Za-z]:\\\S+"
)
_SPEAKING = (ValueError, ArithmeticError, LookupError, TypeError, AssertionError, NotImplementedError)


def describe(error: BaseException) -> dict[str, str]:
    """What a client is told of an exception that ended its task.

    The words of the plain built-in exceptions are passed on, without paths and addresses; those of others
    (a database driver's, say) may hold anything, so only their name is.
    """
    if isinstance(error, TaskError):
        return error_object(error.type, error.detail)
    name = type(error).__name__
    plain = isinstance(error, _SPEAKING) and type(error).__module__ == "builtins"
    words = _PRIVATE.sub("…", str(error))[:500] if plain and not isinstance(error, UnicodeError) else ""
    detail = f"{name}: {words}" if words else f"{name}; the worker's log has more under this task's id"
    return error_object("task-error", detail)
