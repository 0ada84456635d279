"""JSON answers: encoding, ETag and 304, and the headers of a status."""

import hashlib
from typing import Literal

from flask import Request, Response, request

from server.services.status import WireObject, status_json, with_prefix
from server.services.submit import Accepted
from server.store import Store
from server.store.lua import StoreClock
from server.store.record import Record
from server.web.addresses import prefix
from server.web.current import store, unwrapped
from server.web.errors import rate_limit
from server.web.reply import Reply

#: Headers of a submit's answer, in addition to those of a status.
SUBMIT_HEADERS = (
    *("Location", "Operation-Location", "RateLimit-Policy", "RateLimit"),
    *("Idempotency-Replayed", "Task-Deduplicated"),
)

MIN_RETRY_AFTER, MAX_RETRY_AFTER = 1, 30  # minimum and maximum of `Retry-After` in seconds


#: Key of the WSGI environment: a function to call with the record that is read for this request.
OFFER = "coatcheck.offer"


class Live(WireObject):
    """The answer of a process that is up."""

    status: Literal["live"]


LIVE = Live(status="live").as_json()  # the body of `/health/live`


def reply(
    text: bytes, etag: str, status: int = 200, fields: dict[str, str] | None = None, *, matches: bool = False
) -> Reply:
    """Build a JSON answer that clients must revalidate; 304 if the client's copy `matches`."""
    all_fields = {"ETag": etag, "Cache-Control": "private, no-cache", **(fields or {})}
    if status == 200 and matches:
        return Reply(304, all_fields, b"")
    all_fields["Content-Type"] = "application/json"
    return Reply(status, all_fields, text)


def common_fields(request_id: str) -> dict[str, str]:
    """Build the header fields of every answer."""
    return {"X-Request-ID": request_id, "X-Content-Type-Options": "nosniff"}


def encoded(body: WireObject | bytes) -> tuple[bytes, str]:
    """Encode a body as JSON, with its ETag. `body` is an object, or JSON text as bytes."""
    text = body if isinstance(body, bytes) else body.as_json()
    return text, f'"{hashlib.blake2b(text, digest_size=12).hexdigest()}"'


def encoded_status(record: Record, prefix: str) -> tuple[bytes, str]:
    """Encode the status object, with its ETag."""
    return encoded(status_json(record, record.position, prefix))


def envelope(record: Record, prefix: str) -> bytes:
    """The stored JSON of the result, without parsing it."""
    return b'{"task_id":"%s","status":"%s","result":%s}' % (
        record.id.encode(),
        record.status.encode(),
        with_prefix(record.result or b"null", prefix),
    )


def json_answer(body: WireObject | bytes, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Answer with JSON, or with 304 if the client has it. `body` is as in `encoded`."""
    return _answer(*encoded(body), status, headers)


def _answer(text: bytes, etag: str, status: int, headers: dict[str, str] | None) -> Response:
    current_request = unwrapped(request)
    matches = current_request.method in ("GET", "HEAD") and _client_has(current_request, etag)
    return reply(text, etag, status, headers, matches=matches).for_flask()


def _client_has(current_request: Request, etag: str) -> bool:
    condition = current_request.environ.get("HTTP_IF_NONE_MATCH")
    # Usually it equals ours. Parsing the header would cost more than sending the body.
    return condition is not None and (condition == etag or current_request.if_none_match.contains_weak(etag.strip('"')))


def status_answer(record: Record, status: int = 200) -> Response:
    """Answer with the status object, and with Retry-After until the task has ended."""
    to_start = seconds_to_start(store(), record, record.position)
    if (offer := request.environ.get(OFFER)) is not None:
        offer(record, to_start)
    return _answer(*encoded_status(record, prefix()), status, retry_after_field(record, to_start, store().clock))


def result_answer(record: Record) -> Response:
    """Answer with the result of a task that has succeeded."""
    record = store().tasks.with_result(record)
    if (offer := request.environ.get(OFFER)) is not None:
        offer(record, None)
    return json_answer(envelope(record, prefix()), headers={"Vary": "Accept"})


def retry_after_field(record: Record, to_start: float | None, clock: StoreClock) -> dict[str, str]:
    """Build Retry-After for a task that has not ended."""
    return {} if record.status.done else {"Retry-After": str(retry_after(record, to_start, clock))}


def accepted(submit: Accepted) -> Response:
    """Answer 202 with the status object; 200 with that of an earlier task that has the same key."""
    return accepted_reply(store(), submit, prefix()).for_flask()


def accepted_reply(store: Store, submit: Accepted, prefix: str) -> Reply:
    """Build the answer to a submit, see `accepted`."""
    record = submit.record
    fields = retry_after_field(record, seconds_to_start(store, record, submit.position), store.clock)
    fields |= {"Location": f"/tasks/{record.id}/result", "Operation-Location": f"/tasks/{record.id}"}
    fields |= rate_limit(store.settings.max_waiting_per_owner, submit.unfinished)
    if submit.replayed:
        fields["Idempotency-Replayed"] = "true"
    if submit.deduplicated:
        fields["Task-Deduplicated"] = "true"
    status = 200 if submit.deduplicated else 202
    return reply(*encoded(status_json(record, submit.position, prefix)), status, fields)


def ended(record: Record) -> Response:
    """Answer a submit that waited for the end: the status object with the result."""
    return json_answer(with_result(status_json(record, None, prefix()), store().tasks.result(record), prefix()))


def with_result(text: bytes, result: bytes, prefix: str) -> bytes:
    """Add the stored JSON of the result to the status object, without parsing it."""
    return b'%s,"result":%s}' % (text[:-1], with_prefix(result, prefix))


def seconds_to_start(store: Store, record: Record, position: int | None) -> float | None:
    """Estimate the seconds until a task at this position in its queue starts; None if it is in no queue."""
    return None if position is None else store.counters.throughput().seconds_to_start(record.task_type, position)


def retry_after(record: Record, to_start: float | None, clock: StoreClock) -> int:
    """Seconds until the next poll will probably show a change."""
    if record.paused:
        return MAX_RETRY_AFTER
    if record.due_ms is not None:
        seconds = record.due_ms / 1000 - clock.now_ns() / 1e9
    else:
        seconds = MIN_RETRY_AFTER if to_start is None else to_start
    return max(MIN_RETRY_AFTER, min(MAX_RETRY_AFTER, round(seconds)))
