"""Steps before and after each request: its id, the caller, the origin check, and the log line."""

import contextlib
import logging
import random
import re
import time
from functools import cache, lru_cache
from typing import Any

from flask import Flask, Request, Response, g, request

from server.logs import event, spans
from server.logs.trace import Trace, parse_trace
from server.settings import Settings
from server.store.api_keys import LOCAL, Caller, Role
from server.store.connection import UNREACHABLE
from server.web import audited, long_poll
from server.web.addresses import ADDRESS_FIELDS, ARRIVED, LOOPBACK, base, make_absolute, template
from server.web.circuit_breaker import circuit_breaker
from server.web.current import request_counts, store, unwrapped
from server.web.errors import Problem
from server.web.request_limits import count_request, wait_fields, wrong_keys
from server.web.responses import common_fields
from server.web.sessions import HOST_USER, SAFE_METHODS, caller_of_host, caller_of_proxy, caller_of_session

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")

#: Endpoints without authentication: they reveal nothing about tasks.
_PUBLIC = frozenset(
    {"health.get_live", "health.get_ready", "pages.get_openapi", "pages.get_docs", "pages.get_problem", "assets.static"}
    | {"ui.home", "ui.run", "ui.show_sign_in", "ui.sign_in", "ui.sign_out"}
)

#: Endpoints that answer without any key configured, wherever the server listens.
_ALWAYS = frozenset({"health.get_live"})

#: Advice for a server without keys that others can reach.
NO_KEY = (
    "No API key is configured, and the server listens on an address that others can reach. Set ADMIN_KEY, or create a "
    "key with `coatcheck keys create --owner you --role admin` (`make key OWNER=you ROLE=admin`)."
)

#: Endpoints that a key with the role metrics may call. They name neither tasks nor owners.
_METRICS_ENDPOINTS = frozenset({"queues.list_queues", "queues.get_queue", "metrics.get_metrics"})

#: Statuses without a body. Flask would set Content-Type: text/html for them.
_EMPTY = (204, 303, 304)

UNROUTED = "* *"  # the method and route of requests without a route: scanners must not make metrics
_template = cache(template)
Environ = dict[str, Any]  # the environment of a WSGI request

log = logging.getLogger("server.web.app")


def install(app: Flask) -> None:
    """Register the hooks of the application."""
    app.before_request(_before)
    app.after_request(_end)


def caller() -> Caller:
    """The caller of this request. It is checked again after a wait. Raises the problems of `identify`."""
    context = unwrapped(g)
    if "caller" not in context:
        context.caller = identify()
    identified: Caller = context.caller
    return identified


def require_submit() -> Caller:
    """Require a caller that may change its own tasks. Raises the problem `forbidden` for a read-only key."""
    current_caller = caller()
    if not current_caller.may_submit:
        raise Problem("forbidden", "This key is read-only. Use a key with the role submit or admin.")
    return current_caller


def require_admin() -> Caller:
    """Require a caller with the role admin. Raises the problem `forbidden`."""
    current_caller = caller()
    if not current_caller.is_admin:
        raise Problem("forbidden", "This requires a key with the role admin.")
    return current_caller


def require_metrics() -> Caller:
    """Require a caller that may read the server's metrics. Raises the problem `forbidden`."""
    current_caller = caller()
    if not (current_caller.is_admin or current_caller.role is Role.METRICS):
        raise Problem("forbidden", "This requires a key with the role metrics or admin.")
    return current_caller


def _before() -> Response | None:
    """Run all checks in one hook, which reads the WSGI environment: four hooks with `request` took 0.03 ms more."""
    if (parked := long_poll.parked_request()) is not None:
        long_poll.restore(parked)
        return None
    current_request, context = unwrapped(request), unwrapped(g)
    environ = current_request.environ
    _begin(current_request, context)
    if environ["REQUEST_METHOD"] == "OPTIONS" and "HTTP_ACCESS_CONTROL_REQUEST_METHOD" in environ:
        return Response(status=204)
    _check_origin(environ)
    _check_encoding(environ)
    endpoint = current_request.endpoint
    if endpoint not in _ALWAYS and HOST_USER not in environ:  # an application around this one has its own login
        _require_keys()
    if endpoint is not None and endpoint not in _PUBLIC:
        circuit_breaker().check()
        context.caller = identified = identify()
        if identified.role is Role.METRICS and endpoint not in _METRICS_ENDPOINTS:
            raise Problem("forbidden", "A key with the role metrics reads /queues, /metrics and /health only.")
        if identified.rate_limit:
            context.rate_fields = count_request(identified)
    return None


def _require_keys() -> None:
    """Refuse everything that other machines can reach until a key is configured. Raises the problem `unavailable`."""
    if store().settings.host in LOOPBACK:
        return
    with contextlib.suppress(*UNREACHABLE):  # pages without tasks are shown in an outage, too
        if not store().api_keys.any():
            raise Problem("unavailable", NO_KEY)


def _begin(current_request: Request, context: Any) -> None:
    environ = current_request.environ
    context.began = time.perf_counter()
    context.request_id = request_id_of(environ.get("HTTP_X_REQUEST_ID", ""))
    context.trace = parse_trace(environ.get("HTTP_TRACEPARENT", ""), environ.get("HTTP_TRACESTATE", ""))
    context.span = None
    if current_request.method not in SAFE_METHODS:
        rule = str(current_request.url_rule) if current_request.url_rule else ""
        context.span = begin_span(current_request.method, rule, current_request.path, context.trace)
        context.trace = context.span.trace


def begin_span(method: str, rule: str, path: str, trace: Trace) -> spans.Span:
    attributes = {"http.request.method": method, "http.route": rule, "url.path": path}
    return spans.begin("SERVER", f"{method} {rule}".strip(), trace, attributes)


def end_span(span: spans.Span, status: int, task_id: str | None) -> None:
    span.set({"http.response.status_code": status, **({"coatcheck.task.id": task_id} if task_id else {})})
    span.end(f"The answer is {status}." if status >= 500 else "")


def request_id_of(sent_id: str) -> str:
    """Return the request's id: the one that the client sent, or a new one."""
    # Not a secret. Random bytes from the system would release the interpreter's lock.
    return sent_id if _REQUEST_ID.fullmatch(sent_id) else f"{random.getrandbits(64):016x}"


def _check_origin(environ: Environ) -> None:
    """Refuse changes from pages of other origins (CSRF, DNS rebinding).

    `Origin: null` is a page without an origin, such as a sandbox or a file; it is refused.
    """
    origin = environ.get("HTTP_ORIGIN")
    if origin is None or environ["REQUEST_METHOD"] in SAFE_METHODS or origin in store().settings.cors_origins:
        return
    if origin.partition("://")[2] != request.host:
        raise Problem("forbidden", "Pages of this origin may not call the server. CORS_ORIGINS lists the allowed ones.")


def _check_encoding(environ: Environ) -> None:
    """Refuse compressed bodies, which would be stored as if they were the file (RFC 9110, 8.4)."""
    encoding = environ.get("HTTP_CONTENT_ENCODING", "identity")
    if encoding.strip().lower() != "identity":
        detail = f"Content-Encoding {encoding[:40]} is not supported. Send the body without compression."
        raise Problem("unsupported-media-type", detail, headers={"Accept-Encoding": "identity"})


def identify() -> Caller:
    """Find the caller by the API key, or by the session of a browser; raise `unauthenticated` or `forbidden`."""
    environ, keys = unwrapped(request).environ, store().api_keys
    header = environ.get("HTTP_AUTHORIZATION", "")
    scheme, _, key = header.partition(" ")
    if (named := caller_of_host() or (None if header else caller_of_proxy())) is not None:
        return named
    if not header and HOST_USER not in environ and not keys.any():
        return _local()
    identified = keys.find(key.strip()) if scheme.lower() == "bearer" else None
    if not header:
        identified = caller_of_session()
    if identified is None:
        raise _unauthenticated(key)
    return identified


def _unauthenticated(key: str) -> Problem:
    """Build the refusal of a request without a key, or with a wrong one."""
    if key and (seconds := wrong_keys().count(request.remote_addr or "")):
        return Problem("too-many-wrong-keys", headers=wait_fields(seconds))
    return Problem("unauthenticated", headers={"WWW-Authenticate": 'Bearer realm="coatcheck"'})


def _local() -> Caller:
    """The local user, if no key exists and the request uses a loopback address and name."""
    settings, current_request = store().settings, unwrapped(request)
    hosts = current_request.environ.get(ARRIVED, current_request.host), current_request.host
    if not all(is_local(settings, host) for host in hosts):
        raise Problem("unauthenticated", "No API key is configured. Create one with `make key`.")
    return LOCAL


def is_local(settings: Settings, host: str) -> bool:
    """Whether the server listens on a loopback address only, and `host` is a loopback name."""
    return settings.host in LOOPBACK and _host_name(host) in LOOPBACK


@lru_cache(maxsize=64)
def _host_name(host: str) -> str:
    """The client's `Host` header without its port and without the brackets of an IPv6 address."""
    name = host if host.endswith("]") else host.rpartition(":")[0] or host
    return name.removeprefix("[").removesuffix("]").lower()


def _end(response: Response) -> Response:
    current_request, context = unwrapped(request), unwrapped(g)
    status, headers, task_id = response.status_code, response.headers, context.get("task_id")
    names = set(headers.keys())  # to look for a name that is absent costs 1 µs
    if status in _EMPTY:
        headers.pop("Content-Type", None)
    if "Allow" in names:
        headers["Allow"] = ", ".join(sorted(response.allow))  # Flask keeps a set
    for name, text in common_fields(context.request_id).items():  # `update` takes three times as long
        headers[name] = text
    for name, text in context.get("rate_fields", {}).items():
        headers[name] = f"{others}, {text}" if (others := headers.get(name)) else text
    method, path = current_request.method, current_request.path
    if method not in SAFE_METHODS:
        audited.record(response)
    if not names.isdisjoint(ADDRESS_FIELDS):
        make_absolute(headers, base())
    _allow_origin(response)
    _count(current_request, status)
    if context.span is not None:
        end_span(context.span, status, task_id)
    log_request(method, path, status, context.began, context.request_id, task_id, context.trace.id)
    return response


def _count(current_request: Request, status: int) -> None:
    """Count the request by method, route and status class, for `GET /metrics`.

    Gunicorn's loop flushes the counts. Under other servers a request does, if it has just used Redis.
    """
    rule, counts = current_request.url_rule, request_counts()
    name = f"{current_request.method} {_template(rule.rule)}" if rule is not None else UNROUTED
    counts.add(f"{name}:{status // 100}")
    if current_request.endpoint not in _PUBLIC and status < 500 and counts.due():
        counts.flush()


def log_request(
    method: str, path: str, status: int, began: float, request_id: str, task_id: str | None, trace_id: str = ""
) -> None:
    """Log a request in one line; `began` is a value of `time.perf_counter()`."""
    ms = f"{(time.perf_counter() - began) * 1000:.1f}"
    ids: dict[str, Any] = {"request_id": request_id, "task_id": task_id, "trace_id": trace_id}
    event(log, "request", method=method, path=path, status=status, ms=ms, **ids)


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
        "Idempotency-Replayed, Task-Deduplicated, Content-Disposition, Content-Range, RateLimit, RateLimit-Policy"
    )
    if request.method == "OPTIONS":
        response.headers["Access-Control-Allow-Methods"] = "GET, POST, PUT, PATCH, DELETE, QUERY"
        response.headers["Access-Control-Allow-Headers"] = (
            "Authorization, Content-Type, Content-Disposition, Prefer, Cancel-After, Idempotency-Key, "
            "If-None-Match, If-Range, Range, Last-Event-ID, X-Request-ID, traceparent, tracestate"
        )
        response.headers["Access-Control-Max-Age"] = "600"
