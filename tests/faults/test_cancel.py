"""A cancel survives every restart, and a task that ignores it is stopped without its worker."""

import subprocess
import time

import pytest
from harness import ROOT, Service
from ledger import starts


@pytest.mark.slow
def test_a_task_canceled_while_queued_never_runs_despite_restarts(fresh: Service) -> None:
    fresh.start_web()
    canceled = fresh.submit("ledgered")
    assert fresh.http.post(f"/tasks/{canceled}/cancel").json()["status"] == "canceled"
    later = fresh.submit("ledgered")
    fresh.redis.process.kill()
    fresh.redis.start()
    assert fresh.web is not None
    fresh.web.kill()
    fresh.start_web()
    fresh.start_worker()
    fresh.wait_for(later)
    fresh.workers[0].kill()
    fresh.start_worker()
    time.sleep(1)
    assert fresh.status(canceled)["status"] == "canceled"
    assert starts(fresh, canceled) == 0


def test_a_running_task_stops_at_its_next_report(fresh: Service) -> None:
    fresh.start()
    task_id = fresh.submit("reports", seconds=60)
    fresh.wait_for(task_id, "running")
    assert fresh.http.post(f"/tasks/{task_id}/cancel").json()["status"] in ("canceling", "canceled")
    assert fresh.wait_for(task_id)["status"] == "canceled"
    assert "worker_lost" not in fresh.workers[0].output()


@pytest.mark.slow
def test_a_task_that_never_reports_is_killed_after_the_grace_and_its_worker_survives(fresh: Service) -> None:
    fresh.env["CANCEL_GRACE_SECONDS"] = "1"
    fresh.start()
    unresponsive, other = fresh.submit("ledgered", seconds=60), fresh.submit("ledgered", seconds=4)
    for task_id in (unresponsive, other):
        fresh.wait_for(task_id, "running")
    fresh.http.post(f"/tasks/{unresponsive}/cancel")
    assert fresh.wait_for(unresponsive)["status"] == "canceled"
    assert fresh.wait_for(other)["status"] == "succeeded"
    assert fresh.workers[0].alive
    assert (starts(fresh, unresponsive), starts(fresh, other)) == (1, 1)
    assert fresh.wait_for(fresh.submit("ledgered"))["status"] == "succeeded"


@pytest.mark.slow
def test_celerys_revoke_and_terminate_cancel_a_task(fresh: Service) -> None:
    fresh.env |= {"CANCEL_GRACE_SECONDS": "1", "WORKER_CONCURRENCY": "1"}
    fresh.start()
    unresponsive = fresh.submit("ledgered", seconds=60)
    fresh.wait_for(unresponsive, "running")
    queued = fresh.submit("ledgered")
    _control(fresh, "revoke", queued)
    _control(fresh, "terminate", "TERM", unresponsive)
    assert fresh.wait_for(unresponsive)["status"] == "canceled"
    assert fresh.wait_for(queued)["status"] == "canceled"
    assert fresh.wait_for(fresh.submit("ledgered"))["status"] == "succeeded"
    assert (starts(fresh, unresponsive), starts(fresh, queued)) == (1, 0)
    assert fresh.redis.client.hlen(fresh.keys.unfinished) == 0


def _control(service: Service, *arguments: str) -> None:
    command = ["celery", "-A", "wsgi", "control", *arguments]
    subprocess.run(command, cwd=ROOT, env=service.env, capture_output=True, timeout=60, check=False)


def _scripts_called(service: Service) -> int:
    stats = service.redis.client.info("commandstats")
    return sum(stats[name]["calls"] for name in ("cmdstat_eval", "cmdstat_evalsha") if name in stats)


@pytest.mark.slow
def test_a_new_task_does_not_wait_behind_20_000_canceled_ones(fresh: Service) -> None:
    fresh.env["MAX_WAITING_PER_OWNER"] = "30000"
    fresh.start_web()
    items = [{"task": "nothing", "input": {}}] * 1_000
    for _ in range(20):
        assert fresh.http.post("/batches", json={"items": items}).status_code == 202
    fresh.cancel_unfinished()
    assert fresh.redis.client.llen("default") == 0, "what Celery's tools read"
    new = fresh.submit("ledgered")
    before = _scripts_called(fresh)
    fresh.start_worker(WORKER_CONCURRENCY="1")
    assert fresh.wait_for(new)["status"] == "succeeded"
    assert _scripts_called(fresh) - before < 1_000  # one for each canceled task would be 20,000
    assert fresh.redis.client.llen("default") == 0


@pytest.mark.slow
def test_a_cancel_reaches_a_task_whose_worker_was_killed(fresh: Service) -> None:
    fresh.start()
    task_id = fresh.submit("ledgered", seconds=60)
    fresh.wait_for(task_id, "running")
    fresh.workers[0].kill()
    fresh.http.post(f"/tasks/{task_id}/cancel")
    fresh.start_worker()
    assert fresh.wait_for(task_id)["status"] == "canceled"
    assert starts(fresh, task_id) == 1
