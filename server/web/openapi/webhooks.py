"""The request that the receiver of a webhook gets: the document's own `webhooks`."""

from typing import Any

from server.web.openapi.components import reference


def _header(name: str, description: str) -> dict[str, Any]:
    return {"name": name, "in": "header", "required": True, "description": description, "schema": {"type": "string"}}


#: The OpenAPI `webhooks` object: the request that this server sends.
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
