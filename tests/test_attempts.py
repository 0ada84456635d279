"""The earlier attempts in a task's status: the start, the end and the reason of each."""

from signal import SIGTERM
from typing import Any

import pytest
from harness import Service, eventually


def endings(status: dict[str, Any]) -> list[str]:
    return [run["ending"] for run in status["earlier_attempts"]]


def test_a_failed_attempt_has_its_reason_and_duration(service: Service) -> None:
    ended = service.wait_for(service.submit("flaky", failures=2))
    assert endings(ended) == ["failed", "failed"]
    assert all("OSError" in run["detail"] and 0 <= run["seconds"] < 60 for run in ended["earlier_attempts"])
    starts = [*(run["started_at"] for run in ended["earlier_attempts"]), ended["started_at"]]
    assert starts == sorted(set(starts))


def test_a_task_that_waits_for_its_next_attempt_lists_the_previous_one(service: Service) -> None:
    waiting = service.wait_for(service.submit("gives_up_slowly"), "retrying")
    assert endings(waiting) == ["failed"]
    assert waiting["earlier_attempts"][0]["started_at"] == waiting["started_at"]


def test_a_task_with_one_attempt_has_no_earlier_attempts(service: Service) -> None:
    assert "earlier_attempts" not in service.wait_for(service.submit("divide", x=1, y=2))


def test_an_attempt_whose_process_died_differs_from_a_failed_one(service: Service) -> None:
    ended = service.wait_for(service.submit("kills_child"), seconds=30)
    assert (ended["status"], endings(ended)) == ("failed", ["crashed", "crashed"])


@pytest.mark.slow
def test_attempts_of_a_stopped_worker_and_of_an_unresponsive_worker(fresh: Service) -> None:
    fresh.start()
    task_id = fresh.submit("reports", seconds=120)
    fresh.wait_for(task_id, "running")
    fresh.workers[0].signal(SIGTERM)
    fresh.start_worker()
    eventually(lambda: fresh.status(task_id)["deliveries"] == 2)
    fresh.workers[1].kill()
    fresh.start_worker()
    eventually(lambda: fresh.status(task_id)["deliveries"] == 3)
    assert endings(fresh.status(task_id)) == ["handed_back", "lost"]
    fresh.http.post(f"/tasks/{task_id}/cancel")
