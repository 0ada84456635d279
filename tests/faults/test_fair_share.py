"""Owners take turns through HTTP, with kills of workers and of Redis and with Celery's purge in between."""

import subprocess
from typing import Any

import pytest
from harness import ROOT, Service, eventually

from server.store.api_keys import Role


class Owners:
    """Keys of some owners, and their submits."""

    def __init__(self, service: Service, **weights: int) -> None:
        self.service = service
        root = service.store.api_keys.create("root", Role.ADMIN)
        service.http.headers["Authorization"] = f"Bearer {root}"
        self.keys = {
            owner: service.store.api_keys.create(owner, Role.SUBMIT, weight=weight) for owner, weight in weights.items()
        }
        self.owner_of: dict[str, str] = {}

    def submit(self, owner: str, count: int, seconds: float = 0.0) -> list[str]:
        """Submit tasks of one owner in a batch; their ids."""
        items = [{"task": "ledgered", "input": {"seconds": seconds}}] * count
        headers = {"Authorization": f"Bearer {self.keys[owner]}"}
        answer = self.service.http.post("/batches", json={"items": items}, headers=headers)
        assert answer.status_code == 202
        ids = [item["task_id"] for item in answer.json()["items"]]
        self.owner_of |= dict.fromkeys(ids, owner)
        return ids

    def started(self) -> str:
        """The first letters of the owners of the started tasks, in the order of their first starts."""
        lines = [line.decode().split() for line in self.service.redis.client.lrange("test:ledger", 0, -1)]
        return "".join(
            self.owner_of[each][0] for each in dict.fromkeys(line[0] for line in lines if line[1] == "start")
        )

    def all_succeed(self) -> None:
        """Wait for all tasks."""
        for task_id in self.owner_of:
            assert self.service.wait_for(task_id, seconds=60)["status"] == "succeeded"


def test_the_sixty_first_task_in_the_queue_starts_second(fresh: Service) -> None:
    owners = Owners(fresh, alice=1, bob=1)
    fresh.start_web()
    alice, [bob] = owners.submit("alice", 60), owners.submit("bob", 1)

    def position(task_id: str) -> tuple[int, int]:
        answer = fresh.http.get(f"/tasks/{task_id}")
        return answer.json()["queue"]["position"], int(answer.headers["Retry-After"])

    assert position(bob)[0] == 2
    assert position(alice[-1])[0] == 61
    assert position(bob)[1] < position(alice[-1])[1]
    assert fresh.redis.client.llen("default") == 61
    fresh.start_worker("--concurrency=1")
    owners.all_succeed()
    assert owners.started() == "ab" + 59 * "a"
    assert fresh.redis.client.llen("default") == 0


@pytest.mark.slow
def test_owners_take_turns_despite_kills(fresh: Service) -> None:
    owners = Owners(fresh, alice=1, bob=1, carol=1)
    fresh.start_web()
    for owner, count in (("alice", 90), ("bob", 30), ("carol", 30)):
        owners.submit(owner, count, seconds=0.05)
    for number in range(4):
        worker = fresh.start_worker("--concurrency=2")
        goal = 12 * number + 5
        eventually(lambda goal=goal: len(owners.started()) > goal)
        worker.kill()
        if number == 2:
            fresh.redis.process.kill()
            fresh.redis.start()
    fresh.start_worker("--concurrency=2")
    owners.all_succeed()

    first = owners.started()[:75]

    assert [18 <= first.count(owner) <= 32 for owner in "abc"] == [True] * 3, first
    assert fresh.http.get("/queues/default").json()["waiting"] == 0


def test_a_heavier_key_gets_more_turns(fresh: Service) -> None:
    owners = Owners(fresh, alice=1)
    fresh.start_web()
    key = fresh.http.post("/keys", json={"owner": "bob", "weight": 3}).json()
    owners.keys["bob"] = key["key"]
    for owner in ("alice", "bob"):
        owners.submit(owner, 40)
    fresh.start_worker("--concurrency=1")
    owners.all_succeed()

    assert key["weight"] == 3
    assert 28 <= owners.started()[:40].count("b") <= 32


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [0.0, 0.1])
def test_celerys_purge_loses_no_task_and_the_queue_length_is_restored(seconds: float, fresh: Service) -> None:
    owners = Owners(fresh, alice=1, bob=1)
    fresh.start_web()
    owners.submit("alice", 40, seconds)
    worker = fresh.start_worker("--concurrency=1")
    owners.submit("bob", 40, seconds)
    command = ["celery", "-A", "wsgi", "purge", "-f"]
    done = subprocess.run(command, cwd=ROOT, env=fresh.env, capture_output=True, timeout=60, check=False)
    assert done.returncode == 0
    if seconds:

        def lengths() -> Any:
            waiting = fresh.http.get("/queues/default").json()["waiting"]
            return waiting - 3 <= fresh.redis.client.llen("default")  # on a slow machine no task waits any more

        eventually(lengths)
        worker.kill()
        fresh.start_worker()
    owners.all_succeed()
    eventually(lambda: fresh.redis.client.llen("default") == 0)
