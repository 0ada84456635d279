"""Queues and workers: the counts for an admin."""

from collections.abc import Iterator
from typing import Any

import pytest
from harness import Service, eventually
from jsonschema import Draft202012Validator


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A server for these tests only, with one worker that runs two tasks at a time."""
    with Service(tmp_path_factory.mktemp("busy"), TASK_MODULES="sample_tasks,client_tasks") as service:
        yield service.start()


def queue(service: Service, name: str = "default") -> dict[str, Any]:
    return next(each for each in service.http.get("/queues").json()["queues"] if each["name"] == name)


def fits(service: Service, schema: str, value: Any) -> bool:
    components = service.http.get("/openapi.json").json()["components"]
    whole = {"$ref": f"#/components/schemas/{schema}", "components": components}
    return bool(Draft202012Validator(whole).is_valid(value))


def test_a_queue_shows_its_waiting_and_running_tasks_and_its_latency(busy: Service) -> None:
    running = [busy.submit("reports", seconds=30) for _ in range(2)]
    for each in running:
        busy.wait_for(each, "running")
    waiting = [busy.submit("divide", x=1, y=2) for _ in range(3)]

    state = queue(busy)

    assert (state["waiting"], state["running"]) == (3, 2)
    assert 0 <= state["latency_seconds"] < 10
    assert busy.http.get("/queues").json()["owners"] == [{"owner": "local", "unfinished": 5}]
    for each in (*waiting, *running):
        busy.http.post(f"/tasks/{each}/cancel")
        busy.wait_for(each)
    assert (queue(busy)["waiting"], queue(busy)["latency_seconds"]) == (0, 0)
    eventually(lambda: queue(busy)["running"] == 0)


def test_a_queue_counts_ended_tasks_per_minute_and_per_quarter_of_an_hour(busy: Service) -> None:
    before = queue(busy)
    for y in (1, 2, 0):
        busy.wait_for(busy.submit("divide", x=1, y=y))
    after = queue(busy)
    for span, step, count in (("last_hour", 60, 60), ("last_day", 900, 96)):
        assert after[span]["step_seconds"] == step
        for status, more in (("succeeded", 2), ("failed", 1), ("canceled", 0)):
            assert len(after[span][status]) == count
            assert sum(after[span][status]) - sum(before[span][status]) == more
            assert sum(after[span][status][:-10]) == 0, "it ended in one of the last steps"


def test_only_a_task_type_that_ran_has_percentiles_of_run_time(busy: Service) -> None:
    busy.wait_for(busy.submit("ledgered", seconds=0.5))
    times = {each["task"]: each for each in busy.http.get("/queues").json()["tasks"]}
    assert times["flaky"] == {"task": "flaky", "runs": 0, "seconds": {"p50": None, "p90": None, "p99": None}}
    assert times["ledgered"]["runs"] == 1
    assert 0.4 < times["ledgered"]["seconds"]["p99"] < 15


def test_the_counters_of_an_hour_expire(busy: Service) -> None:
    busy.wait_for(busy.submit("divide", x=1, y=2))
    hours = list(busy.redis.client.scan_iter(busy.keys.hour("*")))
    assert hours
    assert all(0 < busy.redis.client.ttl(each) <= 90_000 for each in hours)


def test_each_queue_is_listed_with_its_own_counts(busy: Service) -> None:
    waiting = busy.http.post("/tasks/in_a_queue_of_its_own?delay=60").json()["task_id"]
    busy.http.post(f"/tasks/{waiting}/cancel")
    assert sum(queue(busy, "slow.1")["last_hour"]["canceled"]) == 1
    assert queue(busy, "slow.1")["waiting"] == 0


def test_a_worker_lists_its_running_tasks(busy: Service) -> None:
    task_id = busy.submit("reports", seconds=30)

    def worker() -> dict[str, Any] | None:
        workers = busy.http.get("/workers").json()["workers"]
        running = [each["task_id"] for each in workers[0]["running"]] if workers else []
        return workers[0] if running == [task_id] else None  # tasks of an earlier test may still be ending

    busy_worker = eventually(worker)
    assert busy_worker is not None
    assert busy_worker["concurrency"] == 2
    assert [(each["task_id"], each["task"], each["owner"]) for each in busy_worker["running"]] == [
        (task_id, "reports", "local")
    ]
    busy.http.post(f"/tasks/{task_id}/cancel")
    busy.wait_for(task_id)


def test_responses_match_their_schemas(busy: Service) -> None:
    for path, schema in (("/queues", "QueueOverview"), ("/workers", "WorkerList")):
        assert fits(busy, schema, busy.http.get(path).json())


@pytest.mark.slow
def test_only_an_admin_may_read_them(fresh: Service) -> None:
    from server.store.api_keys import Role

    keys = fresh.store.api_keys
    admin, submit = keys.create("root", Role.ADMIN), keys.create("alice", Role.SUBMIT)
    fresh.start_web()
    for path in ("/queues", "/workers"):
        assert fresh.http.get(path, headers={"Authorization": f"Bearer {admin}"}).status_code == 200
        assert fresh.http.get(path, headers={"Authorization": f"Bearer {submit}"}).status_code == 403
        assert fresh.http.get(path).status_code == 401
