"""Every error that a client can meet: its name, its status, its sentence.

Problem                     an answer (RFC 9457), raised anywhere below the web
├── and its named kinds, made by the functions of `KINDS`
BlobMissing, BlobsFull      the blob store's
TaskError                   raised in a task: it ends as failed, with this type and sentence
RetryLater                  raised in a task: it is tried again
Canceled                    raised in a task: the client asked it to stop
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Kind:
    """One kind of problem: `status` is the HTTP status, `advice` what a client can do about it."""

    status: int
    title: str
    advice: str


KINDS: Mapping[str, Kind] = {
    # of a request
    "malformed-body": Kind(400, "The body cannot be parsed", "Send a JSON object, a multipart form, or raw bytes."),
    "bad-request": Kind(400, "The request cannot be understood", "Look at the detail, and at the request's syntax."),
    "unauthenticated": Kind(401, "An API key is needed", "Send `Authorization: Bearer <key>` with a valid key."),
    "forbidden": Kind(403, "This key may not do that", "Use a key whose role allows it."),
    "not-found": Kind(404, "There is nothing at this address", "Look at /docs for the routes."),
    "unknown-task": Kind(404, "No such task", "It was never issued, or it is not yours. Check the id and the key."),
    "unknown-batch": Kind(404, "No such batch", "It was never issued, or it is not yours."),
    "unknown-schedule": Kind(404, "No such schedule", "GET /schedules lists them."),
    "unknown-kind": Kind(404, "No such kind of task", "GET /catalog lists the kinds."),
    "unknown-file": Kind(404, "No such file", "The task's result lists its files."),
    "unknown-feed": Kind(404, "No such feed", "GET /feeds lists yours; `fetch_feed` makes one."),
    "method-not-allowed": Kind(405, "This address does not take this method", "The Allow header says which it takes."),
    "task-failed": Kind(409, "The task failed", "`error` says why. Mend the input and submit again, or retry."),
    "task-canceled": Kind(409, "The task was canceled", "Submit it again if it was canceled by mistake."),
    "expired-task": Kind(410, "The task has expired", "Its record is dropped some time after the end. Submit again."),
    "task-not-done": Kind(409, "The task has not ended", "Wait for its end, or cancel it first."),
    "idempotency-key-in-use": Kind(409, "A request with this key is being stored", "Repeat it in a moment."),
    "expired-batch": Kind(410, "The batch has expired", "It is forgotten some time after its tasks are."),
    "too-large": Kind(413, "The request is too large", "The detail says the limit."),
    "unsupported-media-type": Kind(415, "This media type is not taken", "The detail says which are."),
    "range-not-satisfiable": Kind(416, "The range lies outside the file", "Ask for bytes that the file has."),
    "invalid-input": Kind(422, "The input does not fit the schema", "`errors` names each place; see /catalog/{name}."),
    "idempotency-key-reused": Kind(422, "The key came with another request", "Make a new key for each request."),
    "over-quota": Kind(429, "Too many unfinished tasks", "Wait for some to end; Retry-After says how long."),
    "internal-error": Kind(500, "Something broke on our side", "Try again; the log has the request id."),
    "unavailable": Kind(503, "The server cannot take this right now", "Try again; Retry-After says when."),
    "queue-full": Kind(503, "The queue is full", "Try again; Retry-After says when."),
    "storage-full": Kind(503, "There is no room for the files", "Try again later, or send less."),
    # of a task that failed
    "task-error": Kind(409, "The task's function raised an error", "The detail has its words."),
    "time-limit": Kind(409, "The task took longer than its limit", "Send less work in one task."),
    "worker-lost": Kind(
        409, "The worker died under the task too often", "The task may need more memory than there is."
    ),
    "out-of-memory": Kind(409, "The task needed more memory than it may have", "Send a smaller input."),
    "result-too-large": Kind(409, "The result is too large to keep", "Save large results as a file."),
    "dependency-failed": Kind(
        409, "A task that this one needs did not succeed", "Look at that task, then submit again."
    ),
    "upload-missing": Kind(409, "An upload of the task is gone", "Submit the task again."),
    "upload-unreachable": Kind(409, "The URL of an upload cannot be read", "Look at the URL; or send the file itself."),
    "csv-unreadable": Kind(409, "The file cannot be read as CSV", "The detail names the line, and what to give."),
    "csv-empty": Kind(409, "The file has no rows", "Send a file with at least one row."),
    "csv-too-large": Kind(409, "The table is too large", "The detail says the limit; send a part of it."),
    "csv-no-such-column": Kind(409, "The file has no such column", "The detail lists the columns there are."),
    "mail-not-configured": Kind(409, "No mail server is configured", "Set `SMTP_URL` and `MAIL_FROM`."),
    "mail-recipients": Kind(409, "The recipients cannot be read", "The detail says what is wrong with them."),
    "mail-template": Kind(409, "A template cannot be filled in", "The detail names the place. Nothing was sent."),
    "mail-login-refused": Kind(409, "The mail server does not take us", "Look at `SMTP_URL`; nothing was sent."),
    "mail-server-unreachable": Kind(409, "The mail server does not answer", "Try again later; nothing was sent."),
    "mail-deferred": Kind(409, "Some recipients are still to do", "The task tries them again by itself."),
    "feed-unreachable": Kind(409, "The feed does not answer", "The detail says how it failed; try again later."),
    "feed-unreadable": Kind(409, "The feed cannot be read", "The detail says where; look at `items`, `key`, `format`."),
    "feed-too-large": Kind(409, "The feed is too large", "The detail says the limit; fetch a part of it."),
    "database-unavailable": Kind(503, "The database does not answer", "Try again later; look at `DATABASE_URL`."),
    "image-unreadable": Kind(
        409, "The image cannot be read", "Check that the file is whole; save it again as PNG or JPEG."
    ),
    "image-too-large": Kind(409, "The image is too large", "Make it smaller first; the detail says the limit."),
    "image-format-unsupported": Kind(409, "This image format is not taken", "Convert it to one of the formats listed."),
}


_SLUG = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


def kind_of(name: str) -> Kind | None:
    """The kind of this name; a slug that is not in `KINDS` is a task's own. None where it is no slug."""
    if name in KINDS or not _SLUG.fullmatch(name):
        return KINDS.get(name)
    return Kind(409, name.replace("-", " ").capitalize(), "An error of a task's own; its detail says what to do.")


class Problem(Exception):
    """An answer in `application/problem+json`.

    `name` is one of `KINDS`; `extra` goes into the body, `headers` into the answer. `detail` is read by the
    client, so it never holds a path of the machine, a secret or a host.
    """

    def __init__(self, name: str, detail: str = "", *, headers: Mapping[str, str] | None = None, **extra: Any) -> None:
        super().__init__(name, detail)
        self.name = name
        self.kind = KINDS[name]
        self.detail = detail
        self.headers = dict(headers or {})
        self.extra = extra

    def body(self) -> dict[str, Any]:
        """The RFC 9457 object."""
        return {
            "type": f"/problems/{self.name}",
            "title": self.kind.title,
            "status": self.kind.status,
            "detail": self.detail or self.kind.advice,
            **self.extra,
        }


class BlobMissing(Exception):
    """There is no blob under this key."""


class BlobsFull(Exception):
    """The blob store is at its budget."""


class TaskError(Exception):
    """Ends a task as failed; `type` is a slug, `detail` a sentence that says what to do.

    Raises:
        ValueError: `type` is no slug, and would make no address of a page.
    """

    def __init__(self, type: str, detail: str) -> None:
        if kind_of(type) is None:
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
        kind = kind_of(error.type)
        return {"type": f"/problems/{error.type}", "title": kind.title if kind else "", "detail": error.detail}
    name = type(error).__name__
    plain = isinstance(error, _SPEAKING) and type(error).__module__ == "builtins"
    words = _PRIVATE.sub("…", str(error))[:500] if plain and not isinstance(error, UnicodeError) else ""
    detail = f"{name}: {words}" if words else f"{name}; the worker's log has more under this task's id"
    return {"type": "/problems/task-error", "title": KINDS["task-error"].title, "detail": detail}
