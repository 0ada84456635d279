"""Plain Celery under the same faults: it shows that these tests fail without our classes.

`test_fetch.py` and `test_submit.py` have the tests of the fetch and the submit.
"""

from collections.abc import Iterator
from signal import SIGTERM

import pytest
from celery import Celery
from harness import Process, Redis, Service, eventually
from ledger import LEDGER, overlapping, starts

pytestmark = pytest.mark.slow

WORKER = ["celery", "-A", "benchmarks.stock.app:celery", "worker", "-c", "2", "--loglevel", "INFO"]


@pytest.fixture
def stock(fresh: Service) -> Iterator[Celery]:
    """A client of plain Celery."""
    with Celery(broker=fresh.redis.url, backend=fresh.redis.url, set_as_current=False) as app:
        yield app


def _start(service: Service) -> Process:
    worker = Process(WORKER, service.folder / f"stock-{len(service.workers)}.log", service.env)
    service.workers.append(worker)
    eventually(lambda: " ready." in worker.output())
    return worker


def _grows_to(redis: Redis, lines: int, seconds: float) -> bool:
    return bool(eventually(lambda: redis.client.llen(LEDGER) >= lines, seconds=seconds))


def test_a_task_that_kills_its_child_is_rerun_forever(fresh: Service, stock: Celery) -> None:
    _start(fresh)
    stock.send_task("benchmarks.stock.app.kills_child")
    assert _grows_to(fresh.redis, 5, seconds=60)


def test_a_task_runs_twice_at_the_same_time_after_a_lost_connection(fresh: Service, stock: Celery) -> None:
    _start(fresh)
    task_id = stock.send_task("benchmarks.stock.app.beating", kwargs={"seconds": 10}).id
    assert _grows_to(fresh.redis, 1, seconds=20)
    fresh.redis.client.client_kill_filter(_type="normal", skipme=True)
    eventually(lambda: overlapping(fresh) == [task_id])


def test_a_canceled_task_runs_after_a_restart(fresh: Service, stock: Celery) -> None:
    worker = _start(fresh)
    task_id = stock.send_task("benchmarks.stock.app.beating", kwargs={"seconds": 0}, countdown=8).id
    eventually(lambda: task_id.encode() in b"".join(fresh.redis.client.hvals("unacked")))
    stock.control.revoke(task_id)
    eventually(lambda: "revoked" in worker.output())
    worker.signal(SIGTERM)
    worker.wait(30)
    _start(fresh)
    assert eventually(lambda: starts(fresh, task_id), seconds=60) == 1
