"""The deliveries of a task's webhook, and the secret that signs webhooks."""

from typing import Any

from flask import Blueprint, Response

from server.services.status import timestamp
from server.store.record import Record
from server.store.webhooks import DeliveryAttempt
from server.web.current import store
from server.web.errors import Problem
from server.web.middleware import require_submit
from server.web.responses import json_answer
from server.web.routes.tasks import find

webhooks = Blueprint("webhooks", __name__)


@webhooks.get("/tasks/<task_id>/webhook")
def tries(task_id: str) -> Response:
    """List the attempts to deliver a task's webhook, and when the next one is due."""
    record = find(task_id)
    if not record.webhook:
        raise Problem("not-found", "This task was submitted without a webhook.")
    return json_answer(_delivery(record, store().webhooks.attempts(task_id), store().webhooks.next_ms(task_id)))


@webhooks.get("/webhook-secret")
def show_secret() -> Response:
    """Show the caller's secret. It is created on first use."""
    owner = require_submit().owner
    return _secret(owner, store().webhook_secrets.current(owner))


@webhooks.post("/webhook-secret/rotate")
def rotate_secret() -> Response:
    """Create a new secret. The previous one also signs for a day."""
    owner = require_submit().owner
    return _secret(owner, store().webhook_secrets.rotate(owner))


def _secret(owner: str, secret: str) -> Response:
    until = store().webhook_secrets.previous_until(owner)
    body = {"secret": secret, "previous_until": timestamp(until * 1000 if until else None)}
    return json_answer(body, headers={"Cache-Control": "no-store"})


def _delivery(record: Record, made: list[DeliveryAttempt], next_ms: int | None) -> dict[str, Any]:
    return {
        "task_id": record.id,
        "url": record.webhook,
        "status": _status(record, made, next_ms),
        "next_try_at": timestamp(next_ms),
        "tries": [
            {"at": timestamp(each.at), "status": each.status, "reason": each.reason, "ms": each.ms} for each in made
        ],
    }


def _status(record: Record, made: list[DeliveryAttempt], next_ms: int | None) -> str:
    if not record.status.done:
        return "waiting"
    if made and made[-1].succeeded:
        return "delivered"
    return "given-up" if next_ms is None else "pending"
