"""The deliveries of the webhook of a task or a batch, and the secret that signs webhooks."""

from typing import Literal

from flask import Response
from pydantic import Field

from server.services.status import MOMENT, WireObject, timestamp
from server.services.webhooks import MAX_WEBHOOKS_READ, Receiver, failing
from server.store.batches import Batch
from server.store.record import Record
from server.store.webhooks import DeliveryAttempt
from server.web.addresses import prefix
from server.web.current import store
from server.web.errors import TASK_PROBLEMS, Problem
from server.web.middleware import caller
from server.web.openapi.route import Access, Api, ResponseSpec, ok
from server.web.responses import json_answer
from server.web.routes.bulk.batch import BATCH_PROBLEMS, find_batch
from server.web.routes.tasks import find

route = Api("webhooks", "webhooks")


DeliveryStatus = Literal["waiting", "pending", "delivered", "given-up"]


class WebhookTry(WireObject):
    """One attempt to deliver a webhook."""

    at: str = Field(json_schema_extra=MOMENT)
    status: int | None = Field(description="The receiver's HTTP status; null without an answer.")
    reason: str | None = Field(description="The reason for a missing answer.")
    ms: int = Field(description="The duration in milliseconds.")


class _Delivery(WireObject):
    url: str
    status: DeliveryStatus = Field(
        description="`waiting` for the end, `pending` until an attempt succeeds or none is left."
    )
    next_try_at: str | None = Field(json_schema_extra=MOMENT)
    tries: list[WebhookTry]


class WebhookDelivery(_Delivery):
    """The state of a task's webhook."""

    task_id: str = Field(json_schema_extra={"format": "uuid"})


class BatchWebhookDelivery(_Delivery):
    """The state of a batch's webhook."""

    batch_id: str = Field(json_schema_extra={"format": "uuid"})


class WebhookReceiver(WireObject):
    """A host whose webhooks were tried and are still to be delivered."""

    host: str
    pending: int = Field(description="Webhooks that are still to be delivered.")
    last_try: WebhookTry
    next_try_at: str | None = Field(json_schema_extra=MOMENT)
    sample: str = Field(json_schema_extra={"format": "uuid"}, description="A task or a batch with such a webhook.")
    href: str = Field(description="The webhook of the sample: GET lists its attempts, POST sends it again.")


class WebhookReceivers(WireObject):
    """The receivers of webhooks that fail."""

    receivers: list[WebhookReceiver]


class WebhookSecret(WireObject):
    """The secret with which a receiver verifies signatures (Standard Webhooks 1.0.0)."""

    secret: str = Field(pattern="^whsec_")
    previous_until: str | None = Field(
        description="The time until which the previous secret also signs.", json_schema_extra=MOMENT
    )


_SECRET = ok(WebhookSecret, "The secret.")


@route.get(
    "/tasks/<task_id>/webhook",
    ok(WebhookDelivery, "The attempts, and when the next one is due."),
    problems=(*TASK_PROBLEMS, "not-found"),
)
def get_webhook(task_id: str) -> Response:
    """The attempts to deliver a task's webhook.

    404 (`not-found`) for a task that was submitted without one.
    """
    return json_answer(_delivery(find(task_id)))


@route.post(
    "/tasks/<task_id>/webhook",
    ResponseSpec(202, "It is due now, whether it was delivered before or not.", WebhookDelivery),
    access=Access.SUBMIT,
    problems=(*TASK_PROBLEMS, "not-found", "task-not-done"),
)
def send_webhook(task_id: str) -> Response:
    """Deliver a task's webhook again.

    404 (`not-found`) for a task that was submitted without one.
    """
    record = find(task_id)
    return _send_again(record, f"The task is {record.status}.")


@route.get(
    "/batches/<batch_id>/webhook",
    ok(BatchWebhookDelivery, "The attempts, and when the next one is due."),
    problems=(*BATCH_PROBLEMS, "not-found"),
)
def get_batch_webhook(batch_id: str) -> Response:
    """The attempts to deliver a batch's webhook.

    404 (`not-found`) for a batch that was submitted without one.
    """
    return json_answer(_delivery(find_batch(batch_id)))


@route.post(
    "/batches/<batch_id>/webhook",
    ResponseSpec(202, "It is due now, whether it was delivered before or not.", BatchWebhookDelivery),
    access=Access.SUBMIT,
    problems=(*BATCH_PROBLEMS, "not-found", "task-not-done"),
)
def send_batch_webhook(batch_id: str) -> Response:
    """Deliver a batch's webhook again.

    404 (`not-found`) for a batch that was submitted without one.
    """
    return _send_again(find_batch(batch_id), "The batch has tasks that have not ended.")


@route.get(
    "/webhook-receivers",
    ok(WebhookReceivers, "Most webhooks first."),
    access=Access.ADMIN,
    description=f"Of the {MAX_WEBHOOKS_READ} webhooks that are due first.",
)
def list_webhook_receivers() -> Response:
    """Receivers that fail."""
    return json_answer(WebhookReceivers(receivers=[_receiver(each) for each in failing(store())]))


def _receiver(receiver: Receiver) -> WebhookReceiver:
    sample = receiver.webhooks[-1]
    return WebhookReceiver(
        host=receiver.host,
        pending=len(receiver.webhooks),
        last_try=_try(receiver.last),
        next_try_at=timestamp(receiver.next_ms),
        sample=sample.id,
        href=f"{prefix()}{sample.path}/webhook",
    )


@route.get("/webhook-secret", _SECRET, access=Access.SUBMIT)
def get_webhook_secret() -> Response:
    """The secret that signs the caller's webhooks.

    It is created on first use.
    """
    owner = caller().owner
    return _secret(owner, store().webhook_secrets.current(owner))


@route.post("/webhook-secret/rotate", _SECRET, access=Access.SUBMIT)
def rotate_webhook_secret() -> Response:
    """A new secret.

    Until `previous_until` each webhook has two signatures. Another rotation before that drops the oldest secret.
    """
    owner = caller().owner
    return _secret(owner, store().webhook_secrets.rotate(owner))


def _secret(owner: str, secret: str) -> Response:
    until = store().webhook_secrets.previous_until(owner)
    body = WebhookSecret(secret=secret, previous_until=timestamp(until * 1000 if until else None))
    return json_answer(body, headers={"Cache-Control": "no-store"})


def _send_again(of: Record | Batch, unfinished: str) -> Response:
    _check_webhook(of)
    if not store().webhooks.send_again(of.id):
        raise Problem("task-not-done", unfinished)
    return json_answer(_delivery(of), 202)


def _check_webhook(of: Record | Batch) -> None:
    if not of.webhook:
        noun = "task" if isinstance(of, Record) else "batch"
        raise Problem("not-found", f"This {noun} was submitted without a webhook.")


def _delivery(of: Record | Batch) -> WebhookDelivery | BatchWebhookDelivery:
    """Describe the webhook of a task or a batch. Raises the problem `not-found` if it was submitted without one."""
    _check_webhook(of)
    # In this order: an attempt between the two reads must not look as if there were no more.
    next_ms, attempts = store().webhooks.next_ms(of.id), store().webhooks.attempts(of.id)
    done = of.status.done if isinstance(of, Record) else of.finished_ms is not None
    status, tries = _status(attempts, next_ms, done=done), [_try(each) for each in attempts]
    fields = {"url": of.webhook, "status": status, "next_try_at": timestamp(next_ms), "tries": tries}
    if isinstance(of, Record):
        return WebhookDelivery(task_id=of.id, **fields)
    return BatchWebhookDelivery(batch_id=of.id, **fields)


def _try(attempt: DeliveryAttempt) -> WebhookTry:
    return WebhookTry(at=timestamp(attempt.at), status=attempt.status, reason=attempt.reason, ms=attempt.ms)


def _status(attempts: list[DeliveryAttempt], next_ms: int | None, *, done: bool) -> DeliveryStatus:
    if not done:
        return "waiting"
    if attempts and attempts[-1].succeeded:
        return "delivered"
    return "given-up" if next_ms is None else "pending"
