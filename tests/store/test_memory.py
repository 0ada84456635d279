"""The tables of docs/deploying.md: Redis's memory for a million tasks, and connections for each number of processes."""

import json
import re
from collections.abc import Callable

import pytest
from harness import ROOT

from server.logs.trace import Trace
from server.settings import Settings
from server.store import Store, ids
from server.store.connection import connections_wanted
from server.store.record import NewTask, Status
from server.store.submit import SubmitRequest

PAGE = (ROOT / "docs/deploying.md").read_text()

#: Tasks that a measurement stores, and the part by which the documented figure may differ.
COUNT, TOLERANCE = 4_000, 0.15

REPORT = json.dumps({"exception": "OSError", "message": "m" * 60, "traceback": "t" * 1_500, "place": "a.py:1"})
ERROR = json.dumps({"type": "/problems/task-error", "title": "The task's function raised an error", "detail": "d" * 60})


def submit(store: Store, input_bytes: int = 20, **fields: object) -> list[str]:
    """Store tasks with an input of this length; return their ids."""
    text = json.dumps({"text": "i" * (input_bytes - 12)}).encode()
    tasks = [
        NewTask(ids.new("alice", store.secret, store.clock.now_ns()), "alice", "divide", text, **fields)  # type: ignore[arg-type]
        for _ in range(COUNT)
    ]
    for start in range(0, COUNT, 500):
        store.submits.submit(SubmitRequest("alice", tasks[start : start + 500]))
    return [task.id for task in tasks]


def finish(store: Store, task_ids: list[str], status: Status = Status.SUCCEEDED, **fields: bytes | str) -> None:
    """Run tasks as a worker does."""
    for task_id in task_ids:
        assert store.tasks.claim(task_id, "worker/12345678")
        assert store.tasks.finish(task_id, "worker/12345678", status, **fields)


def lines(store: Store, task_ids: list[str]) -> None:
    for task_id in task_ids:
        assert store.tasks.claim(task_id, "worker/12345678")
        for number in range(10):
            store.tasks.progress(task_id, "worker/12345678", None, f"line {number} " + "x" * 70)
        store.tasks.finish(task_id, "worker/12345678", Status.SUCCEEDED, r=b"1")


TRACE = Trace(f"00-{'a' * 32}-{'b' * 16}-01")

#: By the text of the table.
CASES: dict[str, Callable[[Store], None]] = {
    "queued, input of 20 bytes": lambda store: submit(store) and None,
    "queued, with `request_id` and `traceparent`": lambda store: (
        submit(store, request_id="a" * 16, trace=TRACE) and None
    ),
    "queued, input of 1 KB": lambda store: submit(store, 1000) and None,
    "queued, with a webhook and two tags": lambda store: (
        submit(store, webhook="https://hooks.example.org/coatcheck", tags=("invoice", "customer-1")) and None
    ),
    "scheduled, input of 20 bytes": lambda store: submit(store, delay_ms=3_600_000) and None,
    "succeeded, result of 20 bytes": lambda store: finish(store, submit(store), r=b"r" * 20),
    "succeeded, input and result of 1 KB": lambda store: finish(store, submit(store, 1000), r=b"r" * 1000),
    "succeeded, with 10 log lines of 80 bytes": lambda store: lines(store, submit(store)),
    "failed, with its traceback": lambda store: finish(store, submit(store), Status.FAILED, e=ERROR, fl=REPORT),
}


def measured(store: Store, case: Callable[[Store], None]) -> float:
    """Return MB for a million tasks."""
    finish(store, submit(store)[:10], r=b"1")  # scripts and statistics exist now
    before = used_memory(store)
    case(store)
    return (used_memory(store) - before) / COUNT


def used_memory(store: Store) -> int:
    """Return bytes, without the buffers of connections: they shrink after two seconds without a large command."""
    memory: dict[str, int] = store.redis.info("memory")
    return memory["used_memory"] - memory["mem_clients_normal"] - memory["mem_aof_buffer"]


def documented(case: str) -> float:
    (megabytes,) = re.findall(rf"^\| {re.escape(case)} \| ([0-9,]+) MB \|$", PAGE, re.MULTILINE)
    return float(megabytes.replace(",", ""))


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_a_million_tasks_need_the_documented_memory(store: Store, case: str) -> None:
    megabytes = measured(store, CASES[case])

    assert abs(megabytes - documented(case)) < TOLERANCE * megabytes, f"{case}: {megabytes:,.0f} MB"


@pytest.mark.parametrize("web", [1, 2, 4, 8])
@pytest.mark.parametrize("children", [1, 2, 4, 8])
def test_the_documented_connections_are_those_of_the_setting(web: int, children: int) -> None:
    row = re.findall(rf"^\| `WEB_CONCURRENCY={web}` \|(.*)\|$", PAGE, re.MULTILINE)
    column = [1, 2, 4, 8].index(children)
    settings = Settings(redis_url="redis://nowhere", web_concurrency=web, worker_concurrency=children)

    assert [int(cell) for cell in row[0].split("|")][column] == connections_wanted(settings)
