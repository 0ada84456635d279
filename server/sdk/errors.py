"""Errors of tasks and of their inputs.

TaskError        raised in a task: it ends as failed, with this type and detail
RetryLater       raised in a task: it is retried later
Canceled         raised in a task: the client has canceled it
InvalidInput, MalformedBody, UnknownTaskType, UnsupportedMediaType, TooLarge
                 a submit is refused (children of `server.store.errors.CoatcheckError`)
"""

import re

from server.logs import redact
from server.settings import MAX_DURATION_SECONDS
from server.store.errors import CoatcheckError, ErrorType, error_object, error_type, register_error_types

#: For the modules of tasks, which import them from here.
__all__ = ["CoatcheckError", "ErrorType", "register_error_types"]

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
        "invalid-result": ErrorType("The task's function returned an invalid result", "Fix the function."),
        "task-rejected": ErrorType("The task's function rejected the task", "The detail has its reason."),
        "result-too-large": ErrorType("The result is too large to keep", "Save large results as a file."),
        "upload-missing": ErrorType("An upload of the task is missing", "Submit the task again."),
        "upload-unreachable": ErrorType(
            "The URL of an upload cannot be read", "Check the URL, or send the file itself."
        ),
    }
)


_MAX_REASONS = 5  # reasons that the text of an `InvalidInput` has


class InvalidInput(CoatcheckError):
    """The input does not fit the schema. `errors` has the location of each error: `{"loc": […], "msg": "…"}`."""

    type = "invalid-input"

    def __str__(self) -> str:
        """The detail and the first reasons: a traceback in Python shows no `errors`."""
        errors = [each for each in self.extra.get("errors", ()) if each["msg"] not in self.detail]
        reasons = (f"{'.'.join(map(str, each['loc']))}: {each['msg']}." for each in errors[:_MAX_REASONS])
        return " ".join((self.detail, *reasons))


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
    """Ends a task as failed; `type` is a slug, `detail` says what is wrong and what to do.

    Raises:
        ValueError: `type` is not a slug, so it cannot be part of an address.
    """

    def __init__(self, type: str, detail: str) -> None:
        if error_type(type) is None:
            raise ValueError(f"the type of a TaskError must be a slug such as 'too-many-pages', not {type!r}")
        super().__init__(type, detail)
        self.type = type
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.type}: {self.detail}"


class RedactedError(Exception):
    """Replaces an unexpected error of a task whose message contains a secret of its input."""


class RetryLater(Exception):
    """Retry the task after `seconds`, 366 days at most, in addition to the retries of its task type.

    Until then, its cause (`raise RetryLater(10) from error`) is the task's `error`.
    """

    def __init__(self, seconds: float) -> None:
        super().__init__(seconds)
        self.seconds = min(max(0.0, seconds), float(MAX_DURATION_SECONDS))  # 0 also for NaN


class Canceled(BaseException):
    """The client has canceled the task.

    Not an `Exception`, so that a task's own `except Exception` does not swallow it (as `KeyboardInterrupt`).
    """


#: URLs, hosts with a port, IPv4 addresses, and paths: a client must not see them.
_PRIVATE = re.compile(
    r"\w+://\S+|\b[\w.-]+:\d{4,5}\b|\b\d{1,3}(?:\.\d{1,3}){3}\b|(?<![\w./])~?(?:/[\w.@+-]+){2,}/?|\b[A-Za-z]:\\\S+"
)
MAX_DETAIL = 4_000  # characters of an error's detail: every status and list of its task has it
_WITH_MESSAGE = (ValueError, ArithmeticError, LookupError, TypeError, AssertionError, NotImplementedError)


def describe(error: BaseException) -> dict[str, str]:
    """Describe, for the client, an exception that ended its task.

    Built-in exceptions keep their message, without paths, addresses and the secrets of the task's input. Messages of
    other exceptions, such as a database driver's, may contain secrets, so only the class name is shown.
    """
    if isinstance(error, TaskError):
        return error_object(error.type, _detail(error.detail))
    if isinstance(error, CoatcheckError):
        described = error.error_object()
        return described | {"detail": _detail(described["detail"])}
    name = type(error).__name__
    shows_message = isinstance(error, _WITH_MESSAGE) and type(error).__module__ == "builtins"
    message = _PRIVATE.sub("…", _detail(error))[:500] if shows_message and not isinstance(error, UnicodeError) else ""
    detail = f"{name}: {message}" if message else f"{name}; see the worker's log for this task id"
    return error_object("task-error", _detail(detail))


def _detail(value: object) -> str:
    """Cut first: the time to search for addresses grows with the square of the length."""
    return redact(text_of(value))[:MAX_DETAIL]


def text_of(value: object) -> str:
    """Return a value as text, also one whose `__str__` fails."""
    try:
        return str(value)
    except Exception as error:
        return f"<{type(error).__name__} in its __str__>"
