"""Web and workers of different releases at the same time: unknown tasks wait for the right one."""

import time

from harness import Service, eventually
from ledger import starts


def test_a_task_whose_kind_a_worker_does_not_know_waits_for_one_that_does(fresh: Service) -> None:
    fresh.start_web()
    old = fresh.start_worker(TASK_MODULES="")
    task_id = fresh.submit("ledgered")
    assert fresh.wait_for(task_id, "scheduled")["not_before"]
    time.sleep(3)
    assert "Traceback" not in old.output()
    assert 1 <= old.output().count("task.unregistered_type") <= 2
    fresh.start_worker()
    assert fresh.wait_for(task_id, seconds=40)["status"] == "succeeded"
    assert starts(fresh, task_id) == 1
    eventually(lambda: fresh.redis.client.hlen("unacked") == 0)


def test_a_task_whose_kind_no_worker_knows_any_more_can_be_canceled(fresh: Service) -> None:
    fresh.start_web()
    fresh.start_worker(TASK_MODULES="")
    task_id = fresh.submit("ledgered")
    fresh.wait_for(task_id, "scheduled")
    assert fresh.http.post(f"/tasks/{task_id}/cancel").json()["status"] == "canceled"
