"""Queues and workers: what waits, what runs, and what has ended recently. For admins only."""

from typing import Any

from flask import Blueprint, Response

from server.sdk.registry import catalog
from server.services.status import links, timestamp
from server.store.record import Status
from server.store.stats import DAY_STEP, ENDS, DayStats, Ends
from server.web.current import store
from server.web.middleware import require_admin
from server.web.responses import json_answer

queues = Blueprint("queues", __name__)

#: Names of the counters of automatic recoveries.
FINDINGS = ("lost_attempts", "lost_messages", "returned_messages", "orphaned_files")

_SHARES = {"p50": 0.5, "p90": 0.9, "p99": 0.99}


@queues.get("/queues")
def list_queues() -> Response:
    """List the queues, the run times of each task type, and automatic recoveries."""
    require_admin()
    return json_answer(overview())


@queues.get("/workers")
def list_workers() -> Response:
    """List the workers that are up, and their tasks."""
    require_admin()
    return json_answer({"workers": cards()})


def overview() -> dict[str, Any]:
    """The body of `GET /queues`."""
    day, running = store().hourly_stats.last_day(), store().hourly_stats.running()
    statistics = store().counters.statistics()
    return {
        "queues": [_queue(name, day, running.get(name, 0)) for name in sorted({kind.queue for kind in catalog()})],
        "tasks": [_times(kind.name, day) for kind in catalog()],
        "recoveries": {finding: statistics.get(f"recovery:{finding}", 0) for finding in FINDINGS},
    }


def _queue(name: str, day: DayStats, running: int) -> dict[str, Any]:
    ends, oldest = day.ends.get(name, Ends()), store().counters.oldest(name)
    return {
        "name": name,
        "waiting": store().counters.waiting(name),
        "oldest_seconds": None if oldest is None else round(max(0.0, oldest), 3),
        "running": running,
        "last_hour": _counts(60, {status: ends.last_hour(status) for status in ENDS}),
        "last_day": _counts(DAY_STEP * 60, {status: ends.last_day(status) for status in ENDS}),
    }


def _counts(step: int, by_status: dict[Status, list[int]]) -> dict[str, Any]:
    """Ends by time step, oldest first. The last step is not complete."""
    return {"step_seconds": step, **{str(status): counts for status, counts in by_status.items()}}


def _times(name: str, day: DayStats) -> dict[str, Any]:
    shares = {word: day.percentile(name, share) for word, share in _SHARES.items()}
    return {"task": name, "runs": day.count(name), "seconds": shares}


def cards() -> list[dict[str, Any]]:
    """The workers that are up, by name."""
    found = sorted(store().leases.workers(), key=lambda card: card["name"])
    held = [task_id for card in found for task_id in card["running"]]
    runs = {record.id: record for record in store().tasks.get_many(held) if record is not None}
    return [
        {
            "name": card["name"],
            "pid": card["pid"],
            "concurrency": card["concurrency"],
            "started_at": timestamp(card["started_ms"]),
            "running": [
                {
                    "task_id": task_id,
                    "task": runs[task_id].task_type,
                    "owner": runs[task_id].owner,
                    "started_at": timestamp(runs[task_id].started_ms),
                    "links": links(task_id),
                }
                for task_id in card["running"]
                if task_id in runs
            ],
        }
        for card in found
    ]
