"""The routes for many tasks at a time: lists, bulk, batches; and what bulk calls answer."""

import json
from typing import Any

from pydantic import BaseModel, Field

from server.web.openapi import parts
from server.web.openapi.answers import CACHED, OF_KEY, OF_STORING, UNCHANGED, found, json_of
from server.web.openapi.components import reference
from server.web.openapi.models import Problem, WireObject
from server.web.openapi.route import Access, Answer, Route


class BulkRefused(WireObject):
    """A task that matched, and was left as it was."""

    task_id: str
    problem: Problem


class _Bulk(WireObject):
    refused: list[BulkRefused]
    more: bool = Field(description="There are more than one request takes.")
    next: str | None = Field(description="The address to POST to for the others; null at the end.")


class BulkCanceled(_Bulk):
    """What `bulk/cancel` has done."""

    canceled: int


class BulkRetried(_Bulk):
    """What `bulk/retry` has done."""

    retried: int


MODELS: tuple[type[BaseModel], ...] = (BulkCanceled, BulkRetried)

_EXAMPLE = {"items": [{"task": "divide", "input": {"x": 1, "y": 2}}]}

_BATCH: dict[str, Any] = {
    "required": True,
    "content": {
        "application/json": {
            "schema": reference("BatchRequest"),
            "example": _EXAMPLE,
        },
        "application/x-ndjson": {"schema": {"type": "string", "description": "One `BatchItem` a line."}},
    },
}

MANY: tuple[Route, ...] = (
    Route(
        "get",
        "/tasks",
        "list_tasks",
        "many",
        "The caller's tasks, newest first",
        (found("TaskList", "A page of them; `next`, and `Link`, lead to the one after.", "Link"), UNCHANGED),
        description="An admin sees everyone's.",
        parameters=(*parts.FILTERS, "limit", "cursor", "If-None-Match"),
        problems=("invalid-input",),
    ),
    Route(
        "post",
        "/bulk/cancel",
        "bulk_cancel",
        "many",
        "Cancel every task that matches",
        (found("BulkCanceled", "How many were."),),
        Access.SUBMIT,
        "A filter is mandatory. While there is a `next`, POST to that.",
        parameters=(*parts.FILTERS, "cursor"),
        problems=("bad-request", "invalid-input"),
        sample="?status=queued",
    ),
    Route(
        "post",
        "/bulk/retry",
        "bulk_retry",
        "many",
        "Retry every ended task that matches",
        (found("BulkRetried", "How many were, and which could not be."),),
        Access.SUBMIT,
        "A filter is mandatory. Without `status`, those that failed or were canceled. While there is a `next`, POST to "
        "that: a task that has been retried still matches.",
        parameters=(*parts.FILTERS, "cursor"),
        problems=("bad-request", "invalid-input", *OF_STORING),
        sample="?status=failed",
    ),
    Route(
        "post",
        "/batches",
        "submit_batch",
        "many",
        "Up to 1,000 submits in one request",
        (
            Answer(
                202,
                "Item by item, a `task_id` or a problem: one bad item does not stop the others.",
                json_of(reference("BatchTicket")),
                (*CACHED, "Location", "Operation-Location", "Retry-After", "Idempotency-Replayed"),
                ("batch",),
            ),
        ),
        Access.SUBMIT,
        "Either `items`, or NDJSON with one item a line. Files go in as Base64.",
        parameters=("Idempotency-Key",),
        body=_BATCH,
        problems=(
            *("malformed-body", "bad-request", "too-large", "unsupported-media-type", "invalid-input"),
            *(*OF_KEY, "storage-full"),
        ),
        sample=f" -H 'Content-Type: application/json' -d '{json.dumps(_EXAMPLE)}'",
    ),
    Route(
        "get",
        "/batches/{batch_id}",
        "get_batch",
        "many",
        "A batch's tasks, counted by status",
        (found("BatchStatus", "The counts. `Retry-After` while it is not done.", "Retry-After"), UNCHANGED),
        parameters=("batch_id", "If-None-Match"),
        problems=("unknown-batch", "expired-batch"),
    ),
)
