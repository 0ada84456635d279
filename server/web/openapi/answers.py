"""Answers and problems that several routes share."""

from typing import Any

from pydantic import BaseModel

from server.web.openapi.route import CACHED, Answer, Media
from server.web.schemas import TaskStatus

OF_TASK: tuple[str, ...] = ("unknown-task", "expired-task")
TICKET_HEADERS: tuple[str, ...] = ("Location", "Operation-Location", "Retry-After", "RateLimit", "RateLimit-Policy")
OF_BODY: tuple[str, ...] = ("malformed-body", "too-large", "unsupported-media-type", "invalid-input")
OF_KEY: tuple[str, ...] = ("idempotency-key-in-use", "idempotency-key-reused")
OF_STORING: tuple[str, ...] = ("over-quota", "unavailable", "queue-full", "storage-full", "duplicate-task")


def json_of(schema: Media) -> dict[str, Media]:
    return {"application/json": schema}


def json_body(schema: Media, example: Any, *, required: bool = True) -> dict[str, Any]:
    """Describe a request's body (a Request Body Object)."""
    return {"required": required, "content": {"application/json": {"schema": schema, "example": example}}}


def status_with(status: int, description: str, *headers: str, links: tuple[str, ...] = ()) -> Answer:
    """Describe an answer with the status object."""
    return Answer(status, description, json_of(TaskStatus), (*CACHED, *headers), links)


def found(model: type[BaseModel], description: str, *headers: str) -> Answer:
    """Describe 200 with an object that a client may cache."""
    return Answer(200, description, json_of(model), (*CACHED, *headers))


#: What the description of a stream says.
STREAM = "Server-sent events, with a comment as heartbeat after 15 seconds without an event."


def stream_of(model: type[BaseModel], description: str) -> tuple[Answer, Answer]:
    """Describe a stream of events, and its end for a client that has received them all."""
    events = Answer(200, description, {"text/event-stream": model}, ("Cache-Control",))
    return events, Answer(204, "The client has already received `done`.")
