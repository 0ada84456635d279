"""One place turns errors into answers (RFC 9457)."""

import logging

import pydantic_core
from flask import Flask, Response, g, request
from redis.exceptions import OutOfMemoryError, ResponseError
from werkzeug.exceptions import HTTPException

from server.connections import UNREACHABLE
from server.errors import BlobsFull, Problem
from server.logs import event
from server.settings import settings

_BY_STATUS = {
    400: "bad-request",
    404: "not-found",
    405: "method-not-allowed",
    413: "too-large",
    416: "range-not-satisfiable",
}

#: What Redis says where it will not write now: a full disk, a fail-over. Some have exceptions of their own, but not
#: inside a script.
_NOT_NOW = ("MISCONF", "MASTERDOWN", "CLUSTERDOWN", "NOREPLICAS", "READONLY", "LOADING")

log = logging.getLogger(__name__)


def install(app: Flask) -> None:
    """Register the handlers."""
    app.register_error_handler(Problem, answer)
    app.register_error_handler(HTTPException, _from_werkzeug)
    app.register_error_handler(Exception, _unexpected)
    app.register_error_handler(BlobsFull, _full)
    app.register_error_handler(ResponseError, _refused_by_redis)
    for error in (*UNREACHABLE, OSError):  # a blob store that is out of reach raises an OSError
        app.register_error_handler(error, _unreachable)


def answer(problem: Problem) -> Response:
    """The answer of a problem."""
    body = problem.body() | {"request_id": g.get("request_id", "")}
    response = Response(pydantic_core.to_json(body), problem.kind.status, mimetype="application/problem+json")
    response.headers.update(problem.headers)
    response.headers.setdefault("Cache-Control", "no-store")
    if problem.kind.status == 503:
        response.headers.setdefault("Retry-After", "2")
    return response


def _from_werkzeug(error: HTTPException) -> Response:
    status = error.code or 500
    if status < 400:
        return Response(error.get_body(), status, error.get_headers())
    name = _BY_STATUS.get(status, "bad-request" if status < 500 else "internal-error")
    if name == "too-large":
        limit = settings().max_upload_bytes
        return answer(Problem(name, f"A request has {limit} bytes at most.", limit=limit))
    if name == "method-not-allowed":
        allowed = ", ".join(sorted(getattr(error, "valid_methods", None) or ()))
        return answer(Problem(name, f"It takes {allowed}.", headers={"Allow": allowed}))
    return answer(Problem(name))


def _unreachable(error: Exception) -> Response:
    event(log, "store.unreachable", level=logging.WARNING, request_id=g.get("request_id"), reason=error)
    return answer(Problem("unavailable", "The store cannot be reached."))


def _refused_by_redis(error: ResponseError) -> Response:
    """Redis answered, and would not: at `maxmemory` (inside a script it says so in a plain ResponseError), or worse."""
    text = str(error)
    if isinstance(error, OutOfMemoryError) or "OOM command not allowed" in text:
        return _full(error)
    return _unreachable(error) if any(word in text for word in _NOT_NOW) else _unexpected(error)


def _full(error: Exception) -> Response:
    event(log, "store.full", level=logging.ERROR, request_id=g.get("request_id"), reason=error)
    return answer(Problem("storage-full", headers={"Retry-After": "30"}))


def _unexpected(error: Exception) -> Response:
    event(log, "request.failed", level=logging.ERROR, error=True, request_id=g.get("request_id"), path=request.path)
    return answer(Problem("internal-error", "The log has more under this request's id."))


def of_gunicorn(status: int, reason: str) -> bytes:
    """The answer to what never was a request: Gunicorn gives it, before there is one for us to answer."""
    body = {
        "type": "/problems/bad-request",
        "title": reason,
        "status": status,
        "detail": "It is no HTTP request that can be read.",
    }
    text = pydantic_core.to_json(body)
    head = (
        f"HTTP/1.1 {status} {reason}\r\nConnection: close\r\nContent-Type: application/problem+json\r\n"
        f"Content-Length: {len(text)}\r\n\r\n"
    )
    return head.encode("latin-1") + text
