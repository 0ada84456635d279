"""The status object, which submits, polls, waits and webhooks all return."""

from datetime import UTC, datetime
from typing import Any

from server.store.record import Record, Status


def timestamp(milliseconds: int | None) -> str | None:
    """Format a time as RFC 3339 in UTC, with milliseconds."""
    if milliseconds is None:
        return None
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def links(task_id: str) -> dict[str, str]:
    """The addresses of a task's routes."""
    base = f"/tasks/{task_id}"
    return {"status": base, "result": f"{base}/result", "events": f"{base}/events", "cancel": f"{base}/cancel"}


def _progress(record: Record) -> dict[str, Any] | None:
    """The last report. A function that has succeeded has done all of it, whatever it reported last."""
    if record.progress is None or record.status is not Status.SUCCEEDED:
        return record.progress
    return record.progress | {"done": record.progress["total"], "percent": 100}


def status_object(record: Record, position: int | None) -> dict[str, Any]:
    """Build the status object; `position` is the place in the queue, where 1 is next."""
    body = {
        "task_id": record.id,
        "task": record.task_type,
        "status": record.status,
        "state": record.status.celery_state,
        "done": record.status.done,
        "progress": _progress(record),
        "submitted_at": timestamp(record.submitted_ms),
        "started_at": timestamp(record.started_ms),
        "finished_at": timestamp(record.finished_ms),
        "expires_at": timestamp(record.expires_ms),
        "deliveries": record.deliveries,
        "retries": record.retries,
        "queue": {"name": record.queue, "position": position},
        "tags": record.tags,
        "error": record.error,
        "links": links(record.id),
    }
    if record.status is Status.SCHEDULED and record.due_ms is not None:
        body["not_before"] = timestamp(record.due_ms)
    if record.waits_for and not record.status.done:
        body["waits_for"] = record.waits_for
    if record.retry_of:
        body["retry_of"] = record.retry_of
    if record.earlier_attempts:
        body["earlier_attempts"] = [
            {"started_at": timestamp(run.started_ms), "seconds": run.ms / 1000, "ending": run.ending, "detail": run.why}
            for run in record.earlier_attempts
        ]
    return body
