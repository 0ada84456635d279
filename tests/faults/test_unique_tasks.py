"""A key of `unique` while processes die: never two tasks at a time, every accepted one ends, and the key is free."""

import contextlib
import threading
import time
from datetime import datetime
from itertools import pairwise

import httpx
import pytest
from harness import Service, eventually

KEYS = ("a", "b", "c")


@pytest.mark.slow
def test_unique_tasks_never_run_at_the_same_time_whatever_is_killed(fresh: Service) -> None:
    fresh.start(workers=2)
    accepted: dict[str, set[str]] = {key: set() for key in KEYS}
    stop = threading.Event()

    def client(key: str, way: str) -> None:
        query = {"unique": key, "on_conflict": way}
        while not stop.is_set():
            with contextlib.suppress(httpx.TransportError):
                answer = httpx.post(f"{fresh.url}/tasks/beating", params=query, json={"seconds": 0.3}, timeout=30)
                if answer.status_code == 202:
                    accepted[key].add(answer.json()["task_id"])
            time.sleep(0.02)

    clients = [threading.Thread(target=client, args=(key, way)) for key in KEYS for way in ("return", "replace")]
    for each in clients:
        each.start()
    for fault in range(4):
        time.sleep(1.5)
        _kill(fresh, fault)
    stop.set()
    for each in clients:
        each.join(60)
    for key in KEYS:
        ended = [fresh.wait_for(task_id, seconds=90) for task_id in accepted[key]]
        runs = sorted((each["started_at"], each["finished_at"]) for each in ended if each["started_at"])
        assert len(runs) > 1
        assert all(datetime.fromisoformat(now[1]) <= datetime.fromisoformat(then[0]) for now, then in pairwise(runs))
    eventually(lambda: not list(fresh.redis.client.scan_iter(fresh.keys.unique("*", "*", "*"))))


def _kill(service: Service, number: int) -> None:
    """Kill a child, a worker, the web process, and Redis, and start each again."""
    if number == 0:
        service.workers[0].kill_one_child()
    elif number == 1:
        service.workers.pop(0).kill()
        service.start_worker()
    elif number == 2:
        assert service.web is not None
        service.web.kill()
        service.start_web()
    else:
        service.redis.process.kill()
        service.redis.start()
