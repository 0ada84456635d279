"""The request that the receiver of a webhook gets: the document's own `webhooks`."""

from typing import Any

from server.web.openapi.components import reference


def _header(name: str, description: str) -> dict[str, Any]:
    return {"name": name, "in": "header", "required": True, "description": description, "schema": {"type": "string"}}


def _call(operation_id: str, noun: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {
        "post": {
            "operationId": operation_id,
            "tags": ["webhooks"],
            "summary": f"A {noun} has ended",
            "description": "Sent to the `webhook` of the submit, as Standard Webhooks 1.0.0 specify. Retried for up to "
            "a day until the answer is 2xx; 410 stops the retries.",
            "security": [],
            "parameters": [
                _header("webhook-id", f"The {noun}'s id, the same for each attempt."),
                _header("webhook-timestamp", "The time of this attempt, in seconds since 1970."),
                _header(
                    "webhook-signature", "`v1,` and a signature; two of them, separated by a space, during a rotation."
                ),
            ],
            "requestBody": {"required": True, "content": {"application/json": {"schema": schema}}},
            "responses": {"2XX": {"description": "Received."}, "410": {"description": "No more attempts."}},
        }
    }


_BATCH_ENDED: dict[str, Any] = {
    "type": "object",
    "required": ["type", "timestamp", "data"],
    "properties": {
        "type": {"type": "string", "enum": ["batch.ended"]},
        "timestamp": {"type": "string", "format": "date-time"},
        "data": reference("BatchStatus"),
    },
}

#: The OpenAPI `webhooks` object: the requests that this server sends.
CALLS: dict[str, Any] = {
    "task-ended": _call("task_ended", "task", reference("TaskStatus")),
    "batch-ended": _call("batch_ended", "batch", _BATCH_ENDED),
}
