"""Web and workers of different releases at the same time: unknown tasks wait for the right one."""

import signal
import time
from collections import Counter

import pytest
from harness import Service, eventually
from ledger import starts
from releases import NEW, OLD, load_releases, write_release


@pytest.mark.slow
def test_a_task_of_a_type_that_one_worker_lacks_waits_for_a_worker_that_has_it(fresh: Service) -> None:
    fresh.start_web()
    old = fresh.start_worker(TASK_MODULES="")
    task_id = fresh.submit("ledgered")
    assert fresh.wait_for(task_id, "scheduled")["not_before"]
    time.sleep(3)
    assert "Traceback" not in old.output()
    assert 1 <= old.output().count("task.unregistered_type") <= 2
    fresh.start_worker()
    assert fresh.wait_for(task_id)["status"] == "succeeded"
    assert starts(fresh, task_id) == 1
    eventually(lambda: fresh.redis.client.hlen("unacked") == 0)


def test_a_task_of_a_type_that_no_worker_has_can_be_canceled(fresh: Service) -> None:
    fresh.start_web()
    fresh.start_worker(TASK_MODULES="")
    task_id = fresh.submit("ledgered")
    fresh.wait_for(task_id, "scheduled")
    assert fresh.http.post(f"/tasks/{task_id}/cancel").json()["status"] == "canceled"


@pytest.mark.slow
def test_a_task_of_a_type_that_no_worker_has_for_long_fails_with_a_message(fresh: Service) -> None:
    fresh.env["UNKNOWN_TYPE_SECONDS"] = "1"
    fresh.start_web()
    fresh.start_worker(TASK_MODULES="")
    end = fresh.wait_for(fresh.submit("ledgered"), "failed", seconds=30)
    assert end["error"]["type"] == "/problems/unknown-task-type"
    assert "'ledgered'" in end["error"]["detail"]


@pytest.mark.slow
def test_a_task_type_that_another_worker_has_is_not_unknown(fresh: Service) -> None:
    fresh.env["UNKNOWN_TYPE_SECONDS"] = "0"
    fresh.start(workers=1)
    fresh.start_worker(TASK_MODULES="")
    tasks = [fresh.submit("ledgered", seconds=0.1) for _ in range(12)]
    assert {fresh.wait_for(each, seconds=60)["status"] for each in tasks} == {"succeeded"}


@pytest.mark.slow
def test_a_task_whose_queue_was_renamed_runs_on_a_worker_of_the_new_release(fresh: Service) -> None:
    load_releases(fresh)
    write_release(fresh, '@task(queue="before")\ndef moved() -> str:\n    return "ran"\n')
    fresh.start_web()
    old = fresh.start_worker()
    assert fresh.result(fresh.submit("moved")) == "ran"
    old.kill()
    waiting, delayed = fresh.submit("moved"), fresh.http.post("/tasks/moved?delay=2").json()["task_id"]
    write_release(fresh, '@task(queue="after")\ndef moved() -> str:\n    return "ran"\n')
    fresh.start_worker()
    assert [fresh.result(each) for each in (waiting, delayed)] == ["ran", "ran"]


@pytest.mark.slow
def test_a_queue_that_has_tasks_and_no_worker_is_shown_and_logged(fresh: Service) -> None:
    load_releases(fresh)
    write_release(fresh, '@task(queue="gpu")\ndef renders() -> None:\n    pass\n')
    fresh.start_web()
    worker = fresh.start_worker("-Q", "default")
    fresh.submit("renders")
    warning = "Queue gpu has 1 waiting tasks and no worker."
    eventually(lambda: warning in fresh.http.get("/health/ready").json()["warnings"])
    workers = {each["name"]: each["workers"] for each in fresh.http.get("/queues").json()["queues"]}
    assert (workers["gpu"], workers["default"]) == (0, 1)
    eventually(lambda: "queue.without_worker" in worker.output(), seconds=60)


def _submit_all(service: Service, task_types: tuple[str, ...]) -> dict[str, str]:
    """Submit tasks of each type that wait, run, are delayed, and are to be retried; their types by id."""
    submitted = {service.submit(task_type): task_type for task_type in task_types for _ in range(8)}
    submitted |= {service.submit("stays", seconds=4): "stays" for _ in range(2)}
    submitted |= {service.submit("moved", fails=True): "moved" for _ in range(4)}
    for task_type in task_types:
        submitted[service.http.post(f"/tasks/{task_type}?delay=3").json()["task_id"]] = task_type
    return submitted


@pytest.mark.slow
def test_a_rolling_deploy_with_other_types_queues_and_settings_loses_nothing(fresh: Service) -> None:
    load_releases(fresh)
    write_release(fresh, OLD)
    web, first, second = fresh.start_web(), fresh.start_worker(), fresh.start_worker()
    accepted = _submit_all(fresh, ("stays", "moved", "gone"))

    write_release(fresh, NEW)
    fresh.env |= {
        "LEASE_SECONDS": "5",
        "SOFT_SHUTDOWN_SECONDS": "1",
        "WORKER_CONCURRENCY": "3",
        "UNKNOWN_TYPE_SECONDS": "3",
    }
    fresh.start_worker()
    first.signal(signal.SIGTERM)
    accepted |= _submit_all(fresh, ("stays", "moved", "gone"))  # the web is still the old one
    web.signal(signal.SIGTERM)
    web.wait()
    fresh.start_web()
    accepted |= _submit_all(fresh, ("stays", "moved", "added"))
    second.signal(signal.SIGTERM)
    assert (first.wait(), second.wait()) == (0, 0)

    ends = {task_id: fresh.wait_for(task_id, seconds=90) for task_id in accepted}
    lost = [end for task_id, end in ends.items() if accepted[task_id] != "gone" and end["status"] != "succeeded"]
    assert lost == []
    gone = Counter((end["error"] or {}).get("type") for task_id, end in ends.items() if accepted[task_id] == "gone")
    assert set(gone) <= {None, "/problems/unknown-task-type"}
    assert gone["/problems/unknown-task-type"] >= 1, "those that were delayed"
