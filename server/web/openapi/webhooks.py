"""The routes of webhooks. The call to the receiver is described in the document's `webhooks`."""

from typing import Any

from server.web.openapi.answers import CACHED, OF_TASK, UNCHANGED, found, json_of
from server.web.openapi.components import reference
from server.web.openapi.route import Access, Answer, Route

_SECRET = Answer(200, "The secret.", json_of(reference("WebhookSecret")), CACHED)

WEBHOOKS: tuple[Route, ...] = (
    Route(
        "get",
        "/tasks/{task_id}/webhook",
        "get_webhook",
        "webhooks",
        "The attempts to deliver a task's webhook",
        (found("WebhookDelivery", "The attempts, and when the next one is due."), UNCHANGED),
        description="404 (`not-found`) for a task that was submitted without one.",
        parameters=("task_id", "If-None-Match"),
        problems=(*OF_TASK, "not-found"),
    ),
    Route(
        "get",
        "/webhook-secret",
        "get_webhook_secret",
        "webhooks",
        "The secret that signs the caller's webhooks",
        (_SECRET, UNCHANGED),
        Access.SUBMIT,
        "It is created on first use.",
        parameters=("If-None-Match",),
    ),
    Route(
        "post",
        "/webhook-secret/rotate",
        "rotate_webhook_secret",
        "webhooks",
        "A new secret",
        (_SECRET,),
        Access.SUBMIT,
        "Until `previous_until` each webhook has two signatures. Another rotation before that drops the oldest secret.",
    ),
)


def _header(name: str, description: str) -> dict[str, Any]:
    return {"name": name, "in": "header", "required": True, "description": description, "schema": {"type": "string"}}


#: The OpenAPI `webhooks` object: the call that this server makes.
CALLS: dict[str, Any] = {
    "task-ended": {
        "post": {
            "operationId": "task_ended",
            "tags": ["webhooks"],
            "summary": "A task has ended",
            "description": "Sent to the `webhook` of the submit, as Standard Webhooks 1.0.0 specify. Retried for up to "
            "a day until the answer is 2xx; 410 stops the retries.",
            "security": [],
            "parameters": [
                _header("webhook-id", "The task's id, the same for each attempt."),
                _header("webhook-timestamp", "The time of this attempt, in seconds since 1970."),
                _header(
                    "webhook-signature", "`v1,` and a signature; two of them, separated by a space, during a rotation."
                ),
            ],
            "requestBody": {
                "required": True,
                "content": {"application/json": {"schema": reference("TaskStatus")}},
            },
            "responses": {"2XX": {"description": "Received."}, "410": {"description": "No more attempts."}},
        }
    }
}
