"""One place turns errors into answers (RFC 9457)."""

import logging

import pydantic_core
from flask import Flask, Response, g, request
from redis.exceptions import ResponseError
from werkzeug.exceptions import HTTPException

from server.connections import UNREACHABLE, store_problem
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

log = logging.getLogger(__name__)


def install(app: Flask) -> None:
    """Register the handlers."""
    app.register_error_handler(Problem, answer)
    app.register_error_handler(HTTPException, _from_werkzeug)
    app.register_error_handler(Exception, _unexpected)
    for error in (BlobsFull, ResponseError, *UNREACHABLE, OSError):
        app.register_error_handler(error, _of_the_store)


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


def _of_the_store(error: Exception) -> Response:
    problem = store_problem(error)
    if problem is None:
        return _unexpected(error)
    name, level = ("full", logging.ERROR) if problem.name == "storage-full" else ("unreachable", logging.WARNING)
    event(log, f"store.{name}", level=level, request_id=g.get("request_id"), reason=error)
    return answer(problem)


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
