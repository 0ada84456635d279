"""JSON answers: encoding, ETag and 304, and the headers of a status."""

import hashlib
import time
from typing import Any
from weakref import WeakKeyDictionary

import pydantic_core
from flask import Response, request

from server.services.status import status_object
from server.services.submit import Accepted
from server.store.record import Record
from server.web.current import store
from server.web.errors import rate_limit

#: Headers of a submit's answer, in addition to those of a status.
OF_SUBMIT = ("Location", "Operation-Location", "RateLimit-Policy", "RateLimit", "Idempotency-Replayed")

#: Minimum and maximum of `Retry-After` in seconds.
MIN_RETRY_AFTER, MAX_RETRY_AFTER = 1, 30


def json_answer(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Build a JSON answer that clients must revalidate; 304 if it has not changed.

    `body` is a value to encode, or JSON text as bytes.
    """
    return _answer(*_encoded(body), status, headers)


def _encoded(body: Any) -> tuple[bytes, str]:
    """Encode a body as JSON, with its ETag."""
    text = body if isinstance(body, bytes) else pydantic_core.to_json(body)
    return text, f'"{hashlib.blake2b(text, digest_size=12).hexdigest()}"'


def _answer(text: bytes, etag: str, status: int, headers: dict[str, str] | None) -> Response:
    fields = {"ETag": etag, "Cache-Control": "private, no-cache", **(headers or {})}
    if status == 200 and request.method in ("GET", "HEAD") and _client_has(etag):
        return Response(status=304, headers=fields)
    return Response(text, status, fields, content_type="application/json")


def _client_has(etag: str) -> bool:
    given = request.environ.get("HTTP_IF_NONE_MATCH")
    # Usually it equals ours. Parsing the header would cost more than sending the body.
    return given is not None and (given == etag or request.if_none_match.contains_weak(etag.strip('"')))


def status_answer(record: Record, status: int = 200) -> Response:
    """Answer with the status object, and with Retry-After until the task has ended."""
    if (encoded := _statuses.get(record)) is None:
        encoded = _statuses[record] = _encoded(status_object(record, record.position))
    return _answer(*encoded, status, _when(record, record.position))


#: Encoded status objects of records that are polled again (see `server.web.gunicorn_worker.lookout`).
_statuses: WeakKeyDictionary[Record, tuple[bytes, str]] = WeakKeyDictionary()


def _when(record: Record, position: int | None) -> dict[str, str]:
    return {} if record.status.done else {"Retry-After": str(retry_after(record, position))}


def accepted(given: Accepted) -> Response:
    """Answer 202 with the status object."""
    record = given.record
    headers = {"Location": f"/tasks/{record.id}/result", "Operation-Location": f"/tasks/{record.id}"}
    headers |= rate_limit(store().settings.max_waiting_per_owner, given.unfinished)
    if given.replayed:
        headers["Idempotency-Replayed"] = "true"
    return json_answer(status_object(record, given.position), 202, _when(record, given.position) | headers)


def ended(record: Record) -> Response:
    """Answer a submit that waited for the end: the status object with the result."""
    text = pydantic_core.to_json(status_object(record, None))
    return json_answer(b'%s,"result":%s}' % (text[:-1], record.result or b"null"))


def retry_after(record: Record, position: int | None) -> int:
    """Seconds until the next poll will probably show a change."""
    if record.due_ms is not None:
        seconds = record.due_ms / 1000 - time.time()
    elif position is not None:
        seconds = store().counters.throughput().seconds_to_start(record.task_type, position)
    else:
        seconds = MIN_RETRY_AFTER
    return max(MIN_RETRY_AFTER, min(MAX_RETRY_AFTER, round(seconds)))
