"""Answers and problems that several routes share."""

from pydantic import BaseModel

from server.web.openapi.route import CACHED, Answer, Media
from server.web.schemas import TaskStatus

OF_TASK: tuple[str, ...] = ("unknown-task", "expired-task")
TICKET_HEADERS: tuple[str, ...] = ("Location", "Operation-Location", "Retry-After", "RateLimit", "RateLimit-Policy")
OF_KEY: tuple[str, ...] = ("idempotency-key-in-use", "idempotency-key-reused")
OF_STORING: tuple[str, ...] = ("over-quota", "unavailable", "queue-full", "storage-full", "duplicate-task")


def json_of(schema: Media) -> dict[str, Media]:
    return {"application/json": schema}


def status_with(status: int, description: str, *headers: str, links: tuple[str, ...] = ()) -> Answer:
    """Describe an answer with the status object."""
    return Answer(status, description, json_of(TaskStatus), (*CACHED, *headers), links)


def found(model: type[BaseModel], description: str, *headers: str) -> Answer:
    """Describe 200 with an object that a client may cache."""
    return Answer(200, description, json_of(model), (*CACHED, *headers))
