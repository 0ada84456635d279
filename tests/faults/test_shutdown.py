"""SIGTERM, once or repeatedly, to one process or all: short tasks end, others return to the queue immediately."""

import threading
import time
from signal import SIGTERM

import httpx
import pytest
from harness import Service, eventually
from ledger import overlapping, starts


@pytest.mark.slow
@pytest.mark.parametrize(
    "how",
    [
        pytest.param("once", marks=pytest.mark.slow),
        "again and again",
        pytest.param("to the whole group", marks=pytest.mark.slow),
    ],
)
def test_a_stopping_worker_finishes_short_tasks_and_returns_the_rest(fresh: Service, how: str) -> None:
    fresh.start(workers=1)
    short, long = fresh.submit("ledgered", seconds=1), fresh.submit("beating", seconds=6)
    eventually(lambda: starts(fresh, short) and starts(fresh, long))
    leaving = fresh.workers[0]
    began = time.monotonic()
    for _ in range(5 if how == "again and again" else 1):
        leaving.signal_group(SIGTERM) if how == "to the whole group" else leaving.signal(SIGTERM)
        time.sleep(0.1)
    assert leaving.wait(25) == 0
    assert time.monotonic() - began < 12  # 2 of soft shutdown, and what the machine needs
    fresh.start_worker()
    assert fresh.wait_for(short)["deliveries"] == 1
    end = fresh.wait_for(long)
    assert (end["status"], end["deliveries"]) == ("succeeded", 2)
    assert int(fresh.redis.client.hget(fresh.keys.task(long), "c") or 0) == 0
    assert (starts(fresh, short), starts(fresh, long)) == (1, 2)
    assert overlapping(fresh) == []


@pytest.mark.slow
def test_an_idle_worker_exits_immediately(fresh: Service) -> None:
    worker = fresh.start_worker()
    worker.signal(SIGTERM)
    began = time.monotonic()
    assert worker.wait(20) == 0
    assert time.monotonic() - began < 10
    assert fresh.redis.client.zcard(fresh.keys.workers) == 0
    assert not fresh.redis.client.exists(fresh.keys.leader)  # another worker may be elected immediately


@pytest.mark.slow
def test_a_worker_stopped_during_an_outage_exits_in_time(fresh: Service) -> None:
    fresh.start(workers=1)
    task_id = fresh.submit("beating", seconds=5)
    fresh.wait_for(task_id, "running")
    fresh.redis.process.kill()
    fresh.workers[0].signal(SIGTERM)
    fresh.workers[0].wait(20)
    fresh.redis.start()
    fresh.start_worker()
    assert fresh.wait_for(task_id)["status"] == "succeeded"
    assert overlapping(fresh) == []


@pytest.mark.slow
@pytest.mark.parametrize("rounds", [1, pytest.param(5, marks=pytest.mark.slow)])
def test_a_rolling_restart_under_load_answers_only_2xx_and_503(fresh: Service, rounds: int) -> None:
    fresh.start(workers=1)
    accepted: list[str] = []
    odd: list[str] = []
    stop = threading.Event()

    def submit_all() -> None:
        while not stop.is_set():
            try:
                answer = httpx.post(f"{fresh.url}/tasks/ledgered", json={"seconds": 0.01}, timeout=20)
            except httpx.ConnectError:
                time.sleep(0.05)  # nobody listens: a router asks the next instance
            except httpx.TransportError as error:
                odd.append(repr(error))
            else:
                accepted.append(answer.json()["task_id"]) if answer.status_code == 202 else None
                if answer.status_code not in (202, 503):
                    odd.append(answer.text)

    threads = [threading.Thread(target=submit_all) for _ in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(rounds):
        time.sleep(0.5)
        web, worker = fresh.web, fresh.workers[-1]
        assert web is not None
        web.signal_group(SIGTERM)
        worker.signal_group(SIGTERM)
        web.wait(25)
        fresh.start_web()
        fresh.start_worker()
    stop.set()
    for thread in threads:
        thread.join()
    assert odd == []
    assert len(accepted) > 20
    for task_id in accepted:
        assert fresh.wait_for(task_id)["status"] == "succeeded"
    eventually(lambda: fresh.redis.client.hlen("unacked") == 0)
