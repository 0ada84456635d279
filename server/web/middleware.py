"""Before and after each request: its id, who makes it, where its page comes from, and its line in the log."""

import logging
import random
import re
import time
from functools import lru_cache
from typing import Any

from flask import Flask, Response, g, request

from server.logs import event
from server.store.api_keys import LOCAL, Caller
from server.web.body.stream import drain
from server.web.current import store
from server.web.errors import Problem
from server.web.gunicorn_worker import waiting
from server.web.sessions import caller_of_session

#: Loopback: the only addresses on which a server without keys answers.
LOOPBACK = ("127.0.0.1", "localhost", "::1")

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")

#: Endpoints that answer anybody: they say nothing of anybody's tasks.
_PUBLIC = frozenset(
    {"health.live", "health.ready", "pages.openapi", "pages.docs", "pages.problem", "assets.static"}
    | {"ui.home", "ui.run", "ui.show_sign_in", "ui.sign_in", "ui.sign_out"}
)

#: Answers that have no body, of which Flask says all the same that it is HTML.
_EMPTY = (204, 303, 304)

_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})

#: A request as WSGI gives it.
Environ = dict[str, Any]

log = logging.getLogger("server.web.app")


def install(app: Flask) -> None:
    """Register the hooks."""
    app.before_request(_before)
    app.after_request(_end)


def caller() -> Caller:
    """Who makes this request; of one that comes back from waiting, who that is by now.

    Raises:
        Problem: as `identify`.
    """
    if "caller" not in g:
        g.caller = identify()
    found: Caller = g.caller
    return found


def require_submit() -> Caller:
    """The caller, who may change its own tasks.

    Raises:
        Problem: `forbidden` for a key that may only read.
    """
    found = caller()
    if not found.may_submit:
        raise Problem("forbidden", "This key may only read.")
    return found


def require_admin() -> Caller:
    """The caller, who is an admin.

    Raises:
        Problem: `forbidden`.
    """
    found = caller()
    if not found.is_admin:
        raise Problem("forbidden", "This needs a key with the role admin.")
    return found


def _before() -> Response | None:
    """One hook, which reads headers from the environment: four that used `request` took 0.03 ms of each request."""
    if (ticket := waiting.returned()) is not None:
        waiting.recall(ticket)
        return None
    environ = request.environ
    _begin(environ)
    if environ["REQUEST_METHOD"] == "OPTIONS" and "HTTP_ACCESS_CONTROL_REQUEST_METHOD" in environ:
        return Response(status=204)
    _check_origin(environ)
    _check_encoding(environ)
    endpoint = request.endpoint
    if endpoint is not None and endpoint not in _PUBLIC:
        g.caller = identify()
    return None


def _begin(environ: Environ) -> None:
    g.began = time.perf_counter()
    given = environ.get("HTTP_X_REQUEST_ID", "")
    # No secret: and to ask the system for random bytes is to let another thread go first.
    g.request_id = given if _REQUEST_ID.fullmatch(given) else f"{random.getrandbits(64):016x}"


def _check_origin(environ: Environ) -> None:
    """A page of another site may not act in the name of whoever has it open (CSRF, DNS rebinding).

    `Origin: null` is a page without one (a sandbox, a file): it is nobody's.
    """
    origin = environ.get("HTTP_ORIGIN")
    if origin is None or environ["REQUEST_METHOD"] in _SAFE_METHODS or origin in store().settings.cors_origins:
        return
    if origin.partition("://")[2] != request.host:
        raise Problem("forbidden", "Pages of this origin may not call the server; CORS_ORIGINS names those that may.")


def _check_encoding(environ: Environ) -> None:
    """A compressed body would be taken for what it holds (RFC 9110, 8.4)."""
    encoding = environ.get("HTTP_CONTENT_ENCODING", "identity")
    if encoding.strip().lower() != "identity":
        detail = f"Content-Encoding {encoding[:40]} is not taken; send the body as it is."
        raise Problem("unsupported-media-type", detail, headers={"Accept-Encoding": "identity"})


def identify() -> Caller:
    """Who makes this request: by its key, or by the session of a browser that has signed in.

    Raises:
        Problem: `unauthenticated`; `forbidden` for a session that another site uses.
    """
    header = request.environ.get("HTTP_AUTHORIZATION", "")
    scheme, _, key = header.partition(" ")
    if not header and not store().api_keys.any():
        return _local()
    found = store().api_keys.find(key.strip()) if scheme.lower() == "bearer" else None
    if not header:
        found = caller_of_session()
    if found is None:
        raise Problem("unauthenticated", headers={"WWW-Authenticate": 'Bearer realm="coatcheck"'})
    return found


def _local() -> Caller:
    """Without keys, whoever reaches a loopback address under a loopback name is the one user."""
    if store().settings.host not in LOOPBACK or _host_name(request.host) not in LOOPBACK:
        raise Problem("unauthenticated", "No key is configured: make one with `make key`.")
    return LOCAL


@lru_cache(maxsize=64)
def _host_name(host: str) -> str:
    """`Host` without its port, and without the brackets of an IPv6 address; the header is the client's word."""
    name = host if host.endswith("]") else host.rpartition(":")[0] or host
    return name.removeprefix("[").removesuffix("]").lower()


def _end(response: Response) -> Response:
    status, request_id = response.status_code, g.request_id
    if status >= 400:
        drain()
    elif status in _EMPTY:
        response.headers.pop("Content-Type", None)
    response.headers.add("X-Request-ID", request_id)
    response.headers.setdefault("X-Content-Type-Options", "nosniff")
    _allow_origin(response)
    event(
        log,
        "request",
        method=request.method,
        path=request.path,
        status=status,
        ms=f"{(time.perf_counter() - g.began) * 1000:.1f}",
        request_id=request_id,
        task_id=g.get("task_id"),
    )
    return response


def _allow_origin(response: Response) -> None:
    allowed = store().settings.cors_origins
    if not allowed:
        return
    response.headers.add("Vary", "Origin")
    origin = request.headers.get("Origin", "")
    if origin not in allowed:
        return
    response.headers["Access-Control-Allow-Origin"] = origin
    response.headers["Access-Control-Expose-Headers"] = (
        "Location, Operation-Location, Retry-After, ETag, Link, X-Request-ID, Preference-Applied, "
        "Idempotency-Replayed, Content-Disposition, Content-Range, RateLimit, RateLimit-Policy"
    )
    if request.method == "OPTIONS":
        response.headers["Access-Control-Allow-Methods"] = "GET, POST, PUT, DELETE"
        response.headers["Access-Control-Allow-Headers"] = (
            "Authorization, Content-Type, Content-Disposition, Prefer, Cancel-After, Idempotency-Key, "
            "If-None-Match, If-Range, Range, Last-Event-ID, X-Request-ID"
        )
        response.headers["Access-Control-Max-Age"] = "600"
