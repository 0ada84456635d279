"""A task that kills its process soon ends as failed, without harm to other tasks."""

import signal
from pathlib import Path
from typing import Any

import pytest
from harness import Service, eventually
from ledger import starts


def _error(end: dict[str, Any]) -> str:
    assert end["status"] == "failed", end
    return str(end["error"]["type"])


@pytest.mark.slow
def test_a_poison_task_fails_after_at_most_three_starts_while_others_continue(fresh: Service) -> None:
    fresh.start()
    poison = {name: fresh.submit(name) for name in ("kills_child", "eats_memory", "blocks_in_c")}
    healthy = [fresh.submit("ledgered", seconds=0.1) for _ in range(20)]
    for task_id in healthy:
        assert fresh.wait_for(task_id, seconds=60)["status"] == "succeeded"
    errors = {name: _error(fresh.wait_for(task_id, seconds=60)) for name, task_id in poison.items()}
    assert errors == {
        "kills_child": "/problems/worker-lost",
        "eats_memory": "/problems/out-of-memory",
        "blocks_in_c": "/problems/time-limit",
    }
    assert starts(fresh, poison["kills_child"]) == 3
    assert starts(fresh, poison["eats_memory"]) == starts(fresh, poison["blocks_in_c"]) == 1
    assert fresh.workers[0].alive


@pytest.mark.slow
def test_the_temporary_files_of_a_killed_child_are_deleted(fresh: Service, tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    fresh.start_web()
    worker = fresh.start_worker(TMPDIR=str(scratch), WORKER_CONCURRENCY="1")
    poison = fresh.submit("kills_child_with_a_file", file={"data": "aGVsbG8=", "filename": "a.txt"})
    assert _error(fresh.wait_for(poison, seconds=60)) == "/problems/worker-lost"
    assert starts(fresh, poison) == 3
    eventually(lambda: not list(scratch.glob("**/*.txt")))
    worker.signal(signal.SIGTERM)
    worker.wait()
    assert list(scratch.iterdir()) == []


@pytest.mark.slow
def test_a_task_that_kills_workers_fails_at_the_ninth_while_others_continue(fresh: Service) -> None:
    fresh.start(workers=1)
    poison = fresh.submit("kills_worker")
    healthy = [fresh.submit("ledgered", seconds=0.1) for _ in range(5)]
    fresh.restart_workers_until(lambda: fresh.status(poison)["done"], seconds=400)
    assert _error(fresh.status(poison)) == "/problems/worker-lost"
    assert starts(fresh, poison) == 9
    for task_id in healthy:
        assert fresh.wait_for(task_id)["status"] == "succeeded"


@pytest.mark.slow
def test_a_task_whose_worker_the_platform_kills_four_times_still_succeeds(fresh: Service) -> None:
    fresh.start(workers=1)
    task_id = fresh.submit("ledgered", seconds=4)
    for _ in range(4):
        before = fresh.wait_for(task_id, "running", seconds=60)["deliveries"]
        fresh.workers[-1].kill()
        fresh.start_worker()
        eventually(lambda before=before: fresh.status(task_id)["deliveries"] > before, seconds=60)
    end = fresh.wait_for(task_id, seconds=60)
    assert (end["status"], end["deliveries"]) == ("succeeded", 5)
