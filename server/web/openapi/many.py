"""The routes for many tasks at a time: lists, bulk calls and batches."""

import json
from typing import Any

from pydantic import BaseModel, Field

from server.web.openapi import parts
from server.web.openapi.answers import CACHED, OF_KEY, OF_STORING, UNCHANGED, found, json_of
from server.web.openapi.components import reference
from server.web.openapi.models import Problem, WireObject
from server.web.openapi.route import Access, Answer, Route


class BulkRefused(WireObject):
    """A task that matched but could not be changed."""

    task_id: str
    problem: Problem


class _Bulk(WireObject):
    refused: list[BulkRefused]
    more: bool = Field(description="More tasks match than one request handles.")
    next: str | None = Field(description="The address for the next call; null at the end.")


class BulkCanceled(_Bulk):
    """The result of `bulk/cancel`."""

    canceled: int


class BulkRetried(_Bulk):
    """The result of `bulk/retry`."""

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
        "application/x-ndjson": {"schema": {"type": "string", "description": "One `BatchItem` per line."}},
    },
}

MANY: tuple[Route, ...] = (
    Route(
        "get",
        "/tasks",
        "list_tasks",
        "many",
        "The caller's tasks, newest first",
        (found("TaskList", "A page of tasks; `next` and `Link` lead to the next one.", "Link"), UNCHANGED),
        description="Admins see all owners' tasks.",
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
        "A filter is required. While there is a `next`, POST to it.",
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
        (found("BulkRetried", "The number of retried tasks, and those that could not be retried."),),
        Access.SUBMIT,
        "A filter is required. Without `status`, it retries tasks that failed or were canceled. While there is a "
        "`next`, POST to it: a task that has been retried still matches.",
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
                "A `task_id` or a problem for each item. An invalid item does not stop the others.",
                json_of(reference("BatchTicket")),
                (*CACHED, "Location", "Operation-Location", "Retry-After", "Idempotency-Replayed"),
                ("batch",),
            ),
        ),
        Access.SUBMIT,
        "Either `items`, or NDJSON with one item per line. Files are sent as Base64.",
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
        (found("BatchStatus", "The counts, with `Retry-After` until all tasks have ended.", "Retry-After"), UNCHANGED),
        parameters=("batch_id", "If-None-Match"),
        problems=("unknown-batch", "expired-batch"),
    ),
)
