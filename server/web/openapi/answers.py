"""Answers that several routes share."""

from collections.abc import Mapping

from server.web.openapi.components import Schema, reference
from server.web.openapi.route import Answer

CACHED = ("ETag", "Cache-Control")
OF_TASK = ("unknown-task", "expired-task")
TICKET_HEADERS = ("Location", "Operation-Location", "Retry-After", "RateLimit", "RateLimit-Policy")
OF_KEY = ("idempotency-key-in-use", "idempotency-key-reused")
OF_STORING = ("over-quota", "unavailable", "queue-full", "storage-full")


def json_of(schema: Schema) -> Mapping[str, Schema]:
    """An answer in JSON."""
    return {"application/json": schema}


def status_with(status: int, description: str, *headers: str, links: tuple[str, ...] = ()) -> Answer:
    """The status object."""
    return Answer(status, description, json_of(reference("TaskStatus")), (*CACHED, *headers), links)


def found(schema: str, description: str, *headers: str) -> Answer:
    """200, an object that a client may keep."""
    return Answer(200, description, json_of(reference(schema)), (*CACHED, *headers))


UNCHANGED = Answer(304, "Not changed since this `ETag`.", headers=CACHED)
