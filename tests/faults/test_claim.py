"""One atomic step decides which worker runs a task, and whose result counts."""

import signal
import time

import pytest
from harness import Service, eventually
from ledger import starts


def _deliver_again(service: Service, task_id: str) -> None:
    with service.redis.client.pipeline() as pipe:
        pipe.lpush("default", task_id).lpush(service.keys.notify_list("default"), 1).execute()
    eventually(lambda: service.redis.client.llen("default") == 0)


@pytest.mark.slow
def test_a_second_message_of_a_running_finished_or_canceled_task_is_dropped(fresh: Service) -> None:
    fresh.start_web()
    canceled = fresh.submit("ledgered")
    fresh.http.post(f"/tasks/{canceled}/cancel")
    fresh.start_worker()
    finished = fresh.submit("ledgered")
    fresh.wait_for(finished)
    running = fresh.submit("ledgered", seconds=2)
    fresh.wait_for(running, "running")
    for task_id in (canceled, finished, running):
        _deliver_again(fresh, task_id)
    ends = [fresh.wait_for(task_id) for task_id in (canceled, finished, running)]
    time.sleep(0.5)
    assert [end["status"] for end in ends] == ["canceled", "succeeded", "succeeded"]
    assert [starts(fresh, task_id) for task_id in (canceled, finished, running)] == [0, 1, 1]
    assert ends[2]["deliveries"] == 1
    eventually(lambda: fresh.redis.client.hlen("unacked") == 0)


@pytest.mark.slow
def test_the_end_of_an_attempt_deletes_its_message_without_the_main_process(fresh: Service) -> None:
    worker = fresh.start().workers[0]
    task_id = fresh.submit("ledgered", seconds=1)
    fresh.wait_for(task_id, "running")
    worker.signal(signal.SIGSTOP)
    end = fresh.wait_for(task_id)
    assert end["status"] == "succeeded"
    assert not fresh.redis.client.exists("unacked", "unacked_index")
    worker.signal(signal.SIGCONT)
    assert fresh.wait_for(fresh.submit("ledgered"))["status"] == "succeeded"


@pytest.mark.slow
def test_an_attempt_that_lost_its_lease_does_not_overwrite_a_newer_result(fresh: Service) -> None:
    fresh.start(workers=2)
    task_id = fresh.submit("returns_pid", seconds=3)
    fresh.wait_for(task_id, "running")
    frozen, other = _owner_first(fresh, task_id)
    frozen.signal_group(signal.SIGSTOP)
    end = fresh.wait_for(task_id)
    first = fresh.result(task_id)
    frozen.signal_group(signal.SIGCONT)
    assert (end["status"], end["deliveries"]) == ("succeeded", 2)
    assert first in other.children()
    eventually(lambda: "task.superseded" in frozen.output() or "task.killed" in frozen.output())
    time.sleep(1)
    assert fresh.result(task_id) == first
    assert frozen.alive


def _owner_first(service: Service, task_id: str) -> list:  # type: ignore[type-arg]
    pid = next(
        int(line.split()[3]) for line in service.redis.client.lrange("test:ledger", 0, -1) if task_id.encode() in line
    )
    return sorted(service.workers, key=lambda worker: pid not in worker.children())
