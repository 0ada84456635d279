"""Maps errors of all layers to answers (RFC 9457), in one place.

`Problem` is an answer that a route raises. The layers below raise children of `CoatcheckError`, which `as_problem`
maps to one. An error type without an HTTP status, such as a task's own, is 409.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import pydantic_core
from flask import Flask, Response, g, request
from werkzeug.exceptions import HTTPException

from server.logs import event
from server.store.connection import UNREACHABLE, store_error
from server.store.errors import (
    CoatcheckError,
    ErrorType,
    QuotaExceeded,
    StorageFull,
    StoreUnavailable,
    error_type,
    error_types,
    register_error_types,
)
from server.web.addresses import prefix
from server.web.circuit_breaker import circuit_breaker
from server.web.current import store
from server.web.reply import Reply
from server.web.schemas import ProblemObject

#: Invalid values that a problem names, parts of each location, and characters of a message and of the detail.
MAX_ERRORS, MAX_DEPTH, MAX_TEXT, MAX_DETAIL = 50, 20, 200, 1000

#: The HTTP status of each error type of the layers below that is not 409.
_STATUSES: Mapping[str, int] = {
    "malformed-body": 400,
    "unknown-task-type": 404,
    "expired-task": 410,
    "expired-input": 410,
    "too-large": 413,
    "unsupported-media-type": 415,
    "invalid-input": 422,
    "idempotency-key-reused": 422,
    "over-quota": 429,
    "too-many-schedules": 429,
    "internal-error": 500,
    "unavailable": 503,
    "queue-full": 503,
    "storage-full": 503,
}

#: The error types that several routes share, for their descriptions: of the id of a task, of a body, of an idempotency
#: key, and of routes that store tasks.
TASK_PROBLEMS: tuple[str, ...] = ("unknown-task", "expired-task")
BODY_PROBLEMS: tuple[str, ...] = ("malformed-body", "too-large", "unsupported-media-type", "invalid-input")
KEY_PROBLEMS: tuple[str, ...] = ("idempotency-key-in-use", "idempotency-key-reused")
STORING_PROBLEMS: tuple[str, ...] = ("over-quota", "unavailable", "queue-full", "storage-full", "duplicate-task")

register_error_types(
    {
        "bad-request": ErrorType(
            "The request cannot be understood", "See the detail, and check the request's syntax.", 400
        ),
        "unauthenticated": ErrorType(
            "An API key is required", "Send `Authorization: Bearer <key>` with a valid key.", 401
        ),
        "too-many-wrong-keys": ErrorType(
            "Too many wrong API keys", "The key is not valid. Check it, and wait as long as Retry-After says.", 429
        ),
        "too-many-requests": ErrorType(
            "Too many requests with this key", "The key has a limit per minute. Wait as long as Retry-After says.", 429
        ),
        "forbidden": ErrorType("This key may not do that", "Use a key whose role allows it.", 403),
        "not-found": ErrorType("Not found", "/docs lists the routes.", 404),
        "unknown-task": ErrorType(
            "Unknown task", "It was never issued, or is not yours. Check the id and the key.", 404
        ),
        "unknown-batch": ErrorType("Unknown batch", "It was never issued, or is not yours.", 404),
        "unknown-schedule": ErrorType(
            "Unknown schedule", "It does not exist, or is not yours. GET /schedules lists yours.", 404
        ),
        "unknown-file": ErrorType("Unknown file", "The task's result lists its files.", 404),
        "unknown-queue": ErrorType("Unknown queue", "No task type uses it. GET /queues lists the queues.", 404),
        "method-not-allowed": ErrorType("Method not allowed", "The Allow header lists the allowed methods.", 405),
        "task-failed": ErrorType(
            "The task failed", "`error` gives the reason. Fix the input and submit again, or retry."
        ),
        "task-canceled": ErrorType("The task was canceled", "Submit it again if it was canceled by mistake."),
        "expired-batch": ErrorType("The batch has expired", "A batch is deleted some time after its tasks.", 410),
        "range-not-satisfiable": ErrorType("The range is outside the file", "Ask for bytes that the file has.", 416),
    }
)


@dataclass(frozen=True, slots=True)
class ProblemType:
    """An error type with its HTTP status; `advice` tells a client what to do."""

    status: int
    title: str
    advice: str


def problem_type(name: str) -> ProblemType | None:
    """Find a problem type. An unregistered slug is a task's own type. None if it is not a slug."""
    registered_type = error_type(name)
    return _with_status(name, registered_type) if registered_type else None


def problem_types() -> dict[str, ProblemType]:
    return {name: registered(name) for name in error_types()}


def registered(name: str) -> ProblemType:
    """Return a registered problem type. The OpenAPI document needs some thousand, so it must be cheap."""
    return _with_status(name, error_types()[name])


def _with_status(name: str, registered_type: ErrorType) -> ProblemType:
    status = _STATUSES.get(name) or registered_type.status or 409
    return ProblemType(status, registered_type.title, registered_type.advice)


class Problem(CoatcheckError):
    """An answer in `application/problem+json`.

    `name` is a registered error type; `extra` goes into the body, `headers` into the answer.
    """

    def __init__(self, name: str, detail: str = "", *, headers: Mapping[str, str] | None = None, **extra: Any) -> None:
        super().__init__(detail, **extra)
        self._name = name
        its_type = problem_type(name)
        assert its_type is not None
        self.problem_type = its_type
        self.headers = dict(headers or {})

    @property
    def name(self) -> str:
        return self._name

    @property
    def status(self) -> int:
        return self.problem_type.status

    def body(self, prefix: str, max_errors: int = MAX_ERRORS) -> dict[str, Any]:
        """The body as an RFC 9457 object. Its size does not depend on the client's input."""
        return {
            "type": f"{prefix}/problems/{self.name}",
            "title": self.problem_type.title,
            "status": self.status,
            "detail": _shortened(self.detail or self.problem_type.advice, MAX_DETAIL),
            **_bounded(self.extra, max_errors),
        }


def invalid(message: str, *loc: str) -> Problem:
    """Build the problem of one value in the request; `loc` is its location, such as `query` and its name."""
    return Problem("invalid-input", f"Invalid value for {loc[-1]}.", errors=[{"loc": list(loc), "msg": message}])


def _bounded(extra: Mapping[str, Any], max_errors: int) -> dict[str, Any]:
    """Name the first invalid values of an input, and say how many more there are."""
    errors = extra.get("errors", ())
    named = [
        {
            "loc": [_shortened(part, MAX_TEXT) if isinstance(part, str) else part for part in each["loc"][:MAX_DEPTH]],
            "msg": _shortened(each["msg"], MAX_TEXT),
        }
        for each in errors[:max_errors]
    ]
    more = {"more_errors": len(errors) - len(named)} if len(errors) > len(named) else {}
    return {**extra, **({"errors": named} if "errors" in extra else {}), **more}


def _shortened(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"


def as_problem(error: CoatcheckError) -> Problem:
    """Convert an error of any layer to its answer."""
    if isinstance(error, Problem):
        return error
    headers = {} if error.retry_after is None else {"Retry-After": str(error.retry_after)}
    if isinstance(error, QuotaExceeded):
        headers |= rate_limit(error.limit, error.used, error.policy, error.unit)
    return Problem(error.name, error.detail, headers=headers, **error.extra)


def rate_limit(
    limit: int, used: int, policy: str = "unfinished", unit: str = "", *, window: int = 0, reset: int = 0
) -> dict[str, str]:
    """The RateLimit fields (draft-ietf-httpapi-ratelimit-headers) of a quota.

    Args:
        window: the seconds for which the quota holds; 0 without a time.
        reset: the seconds until it begins anew.
    """
    return {
        "RateLimit-Policy": f'"{policy}";q={limit}'
        + (f';qu="{unit}"' if unit else "")
        + (f";w={window}" if window else ""),
        "RateLimit": f'"{policy}";r={max(limit - used, 0)}' + (f";t={reset}" if window else ""),
    }


_BY_STATUS = {
    400: "bad-request",
    404: "not-found",
    405: "method-not-allowed",
    413: "too-large",
    416: "range-not-satisfiable",
}

log = logging.getLogger(__name__)


def install(app: Flask) -> None:
    """Register the error handlers of the application."""
    app.register_error_handler(CoatcheckError, answer)
    app.register_error_handler(HTTPException, _from_werkzeug)
    app.register_error_handler(Exception, _unexpected)
    for error in (StorageFull, StoreUnavailable, *UNREACHABLE):
        app.register_error_handler(error, _of_the_store)


def answer(error: CoatcheckError) -> Response:
    return problem_reply(error, g.get("request_id", ""), prefix()).for_flask()


def problem_reply(error: CoatcheckError, request_id: str, prefix: str) -> Reply:
    """Build the answer for an error, before Flask or the event loop sends it."""
    problem = as_problem(error)
    body = ProblemObject.model_validate(problem.body(prefix) | {"request_id": request_id}).as_json()
    fields = {"Content-Type": "application/problem+json", **problem.headers}
    fields.setdefault("Cache-Control", "no-store")
    if problem.status == 503:
        fields.setdefault("Retry-After", "2")
    return Reply(problem.status, fields, body)


def _from_werkzeug(error: HTTPException) -> Response:
    status = error.code or 500
    if status < 400:
        return Response(error.get_body(), status, error.get_headers())
    name = _BY_STATUS.get(status, "bad-request" if status < 500 else "internal-error")
    if name == "too-large":
        limit = store().settings.max_upload_bytes
        return answer(Problem(name, f"A request may have up to {limit} bytes.", limit=limit))
    if name == "method-not-allowed":
        allowed = ", ".join(sorted(getattr(error, "valid_methods", None) or ()))
        return answer(Problem(name, f"Allowed: {allowed}.", headers={"Allow": allowed}))
    return answer(Problem(name))


def _of_the_store(error: Exception) -> Response:
    failure = store_error(error)
    if failure is None:
        return _unexpected(error)
    name, level = ("full", logging.ERROR) if isinstance(failure, StorageFull) else ("unreachable", logging.WARNING)
    event(log, f"store.{name}", level=level, request_id=g.get("request_id"), reason=error)
    if "began" in g:
        circuit_breaker().record_failure(g.began)
    return answer(failure)


def _unexpected(error: Exception) -> Response:
    event(log, "request.failed", level=logging.ERROR, error=True, request_id=g.get("request_id"), path=request.path)
    return answer(Problem("internal-error", "See the server's log for this request id."))


def of_gunicorn(prefix: str, status: int) -> bytes:
    """The bytes of an answer to a malformed request, which Gunicorn sends before Flask is called."""
    reason = HTTPStatus(status).phrase
    body = {
        "type": f"{prefix}/problems/bad-request",
        "title": reason,
        "status": status,
        "detail": "Malformed HTTP request.",
    }
    text = pydantic_core.to_json(body)
    head = (
        f"HTTP/1.1 {status} {reason}\r\nConnection: close\r\nContent-Type: application/problem+json\r\n"
        f"Content-Length: {len(text)}\r\n\r\n"
    )
    return head.encode("latin-1") + text
