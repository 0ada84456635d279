"""What waits, what runs and what has ended of late, and the workers that do it. An admin's."""

from typing import Any

from flask import Blueprint, Response

from server.records import Status, figures, records, upkeep
from server.records.traffic import DAY_STEP, ENDS, Ends, Traffic, traffic
from server.registry import catalog
from server.web.answers import json_answer
from server.web.guard import require_admin
from server.wire import links, timestamp

queues = Blueprint("queues", __name__)

#: What the sweeper finds and puts right, as its counters are named.
FINDINGS = ("lost", "nowhere", "given_back", "orphans")

_SHARES = {"p50": 0.5, "p90": 0.9, "p99": 0.99}


@queues.get("/queues")
def list_queues() -> Response:
    """Each queue, the run times of each kind of task, and what the sweeper has found."""
    require_admin()
    return json_answer(overview())


@queues.get("/workers")
def list_workers() -> Response:
    """The workers that live, and what each holds."""
    require_admin()
    return json_answer({"workers": cards()})


def overview() -> dict[str, Any]:
    """What `GET /queues` answers."""
    day, running = traffic().last_day(), traffic().running()
    statistics = figures().statistics()
    return {
        "queues": [_queue(name, day, running.get(name, 0)) for name in sorted({kind.queue for kind in catalog()})],
        "tasks": [_times(kind.name, day) for kind in catalog()],
        "sweeper": {finding: statistics.get(f"sweeper:{finding}", 0) for finding in FINDINGS},
    }


def _queue(name: str, day: Traffic, running: int) -> dict[str, Any]:
    ends, oldest = day.ends.get(name, Ends()), figures().oldest(name)
    return {
        "name": name,
        "waiting": figures().waiting(name),
        "oldest_seconds": None if oldest is None else round(max(0.0, oldest), 3),
        "running": running,
        "last_hour": _counts(60, {status: ends.last_hour(status) for status in ENDS}),
        "last_day": _counts(DAY_STEP * 60, {status: ends.last_day(status) for status in ENDS}),
    }


def _counts(step: int, by_status: dict[Status, list[int]]) -> dict[str, Any]:
    """Ends by step, oldest first; the last step goes on."""
    return {"step_seconds": step, **{str(status): counts for status, counts in by_status.items()}}


def _times(name: str, day: Traffic) -> dict[str, Any]:
    shares = {word: day.percentile(name, share) for word, share in _SHARES.items()}
    return {"task": name, "runs": day.count(name), "seconds": shares}


def cards() -> list[dict[str, Any]]:
    """The workers that live, by name."""
    found = sorted(upkeep().workers(), key=lambda card: card["name"])
    held = [task_id for card in found for task_id in card["running"]]
    runs = {record.id: record for record in records().get_many(held) if record is not None}
    return [
        {
            "name": card["name"],
            "pid": card["pid"],
            "concurrency": card["concurrency"],
            "started_at": timestamp(card["started_ms"]),
            "running": [
                {
                    "task_id": task_id,
                    "task": runs[task_id].kind,
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
