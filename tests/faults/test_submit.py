"""A submit is stored completely or refused, whatever Redis does; a refused one never runs."""

import random
import signal
import subprocess
import sys
import threading
import time

import httpx
import pytest
from harness import Service, eventually
from ledger import attempts

from server.store import ids


def _stored(service: Service) -> list[bytes]:
    """The existing keys of tasks and messages."""
    keys = service.keys
    patterns = [keys.task("*"), keys.index("*", "*", "*"), keys.queued("*"), "default*"]
    patterns += [keys.unfinished, keys.due, keys.unpublished]
    return [key for pattern in patterns for key in service.redis.client.keys(pattern)]


def _refused(service: Service, **upload: object) -> float:
    """Submit, and expect the documented refusal; the seconds that it took."""
    began = time.monotonic()
    task = "echo_file" if upload else "ledgered"
    answer = service.http.post(f"/tasks/{task}", **(upload or {"json": {}}))  # type: ignore[arg-type]
    assert answer.status_code == 503, answer.text
    assert int(answer.headers["Retry-After"]) > 0
    assert answer.headers["Content-Type"] == "application/problem+json"
    return time.monotonic() - began


def test_a_submit_during_an_outage_is_503_and_stores_nothing(fresh: Service) -> None:
    fresh.start_web()
    fresh.redis.process.kill()
    assert max(_refused(fresh) for _ in range(5)) < 5
    fresh.redis.start()
    assert _stored(fresh) == []
    fresh.submit("ledgered")


@pytest.mark.slow
def test_a_submit_while_redis_hangs_is_503_and_is_not_stored_later(fresh: Service) -> None:
    fresh.start_web()
    fresh.submit("ledgered")
    fresh.redis.client.flushall()
    fresh.redis.process.signal(signal.SIGSTOP)
    upload = {"file": ("a.txt", b"x" * 600_000, "text/plain")}
    assert max(_refused(fresh), _refused(fresh, files=upload), _refused(fresh)) < 5
    fresh.redis.process.signal(signal.SIGCONT)
    time.sleep(0.5)
    assert _stored(fresh) == []
    fresh.submit("ledgered")


@pytest.mark.slow
@pytest.mark.parametrize("rounds", [5, pytest.param(150, marks=pytest.mark.slow)])
def test_every_202_runs_and_no_503_that_reached_redis_late_does(fresh: Service, rounds: int) -> None:
    """Redis hangs again and again, mostly for less than the timeout; tasks that it stored before may still run."""
    fresh.start(workers=1)
    stops = []
    accepted: list[str] = []
    refused: list[int] = []

    def submit_all(stop: threading.Event) -> None:
        with httpx.Client(base_url=fresh.url, timeout=30) as http:
            while not stop.is_set():
                answer = http.post("/tasks/ledgered", json={})
                assert answer.status_code in (202, 503), answer.text
                accepted.append(answer.json()["task_id"]) if answer.status_code == 202 else refused.append(1)

    stop = threading.Event()
    threads = [threading.Thread(target=submit_all, args=[stop]) for _ in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(rounds):
        stops.append(time.time())
        fresh.redis.process.signal(signal.SIGSTOP)
        time.sleep(random.uniform(0.2, 1.3))
        fresh.redis.process.signal(signal.SIGCONT)
        time.sleep(0.1)
    stop.set()
    for thread in threads:
        thread.join()
    for task_id in accepted:
        fresh.wait_for(task_id, "succeeded", seconds=60)
    ran = attempts(fresh)
    assert set(accepted) <= set(ran)
    for task_id in set(ran) - set(accepted):
        submitted_at = ids.milliseconds(task_id) / 1000
        assert any(submitted_at - 0.01 < stop < submitted_at + 0.1 for stop in stops), (
            "stored after its client was refused"
        )


@pytest.mark.slow
def test_every_202_of_killed_web_processes_runs(fresh: Service) -> None:
    fresh.env["WEB_CONCURRENCY"] = "2"
    fresh.start(workers=1)
    accepted: list[str] = []
    lock = threading.Lock()

    def submit_all(stop: threading.Event) -> None:
        while not stop.is_set():
            try:
                answer = httpx.post(f"{fresh.url}/tasks/ledgered", json={}, timeout=10)
            except httpx.TransportError:
                continue  # the web process under it was killed: no promise was made
            assert answer.status_code in (202, 503)
            if answer.status_code == 202:
                with lock:
                    accepted.append(answer.json()["task_id"])

    stop = threading.Event()
    threads = [threading.Thread(target=submit_all, args=[stop]) for _ in range(3)]
    for thread in threads:
        thread.start()
    assert fresh.web is not None
    for _ in range(6):
        time.sleep(0.4)
        fresh.web.kill_one_child()
    stop.set()
    for thread in threads:
        thread.join()
    assert accepted
    eventually(lambda: fresh.http.get("/health/live").status_code == 200)
    for task_id in accepted:
        assert fresh.wait_for(task_id, seconds=60)["status"] == "succeeded"
    eventually(lambda: fresh.redis.client.hlen(fresh.keys.unfinished) == 0)


STOCK_SUBMIT = """
import sys
from celery import Celery
app = Celery(broker=sys.argv[1], backend=sys.argv[1])
@app.task
def task():
    pass
task.delay()
print("published", flush=True)
sys.stdin.readline()
try:
    task.delay()
except Exception as error:
    print(type(error).__name__)
"""


def test_a_stock_celery_submit_hangs_where_ours_is_refused(fresh: Service) -> None:
    command = [sys.executable, "-c", STOCK_SUBMIT, fresh.redis.url]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as stock:
        assert stock.stdin is not None and stock.stdout is not None
        assert stock.stdout.readline() == "published\n"
        fresh.redis.process.signal(signal.SIGSTOP)
        stock.stdin.write("\n")
        stock.stdin.flush()
        with pytest.raises(subprocess.TimeoutExpired):
            stock.wait(4)
        stock.kill()
        fresh.redis.process.signal(signal.SIGCONT)
