"""Redis answers "not now": the web server answers 503, workers wait, running tasks end once, and no task is lost."""

import time

import pytest
import redis
from harness import Service
from ledger import starts
from outages import OUTAGES
from proxy import Proxy

from server.store.connection import NOT_READY, UNREACHABLE, Parser
from server.store.errors import StoreUnavailable

slow = pytest.mark.slow


def _refused(service: Service) -> None:
    began = time.monotonic()
    answer = service.http.post("/tasks/ledgered", json={})
    assert time.monotonic() - began < 5
    assert (answer.status_code, answer.headers["Content-Type"]) == (503, "application/problem+json"), answer.text
    assert int(answer.headers["Retry-After"]) > 0


#: Seconds of one outage, how often it happens, and seconds of the longer one of the tasks that run.
SHORT = (4, 1, 5)
LONG = ((4, 1, 20), (30, 1, 20), (4, 3, 20))
CODES = [*OUTAGES, "TRYAGAIN"]


@slow
@pytest.mark.parametrize(
    ("code", "seconds", "times", "max_seconds"),
    [(code, *SHORT) for code in CODES] + [pytest.param(code, *each, marks=slow) for code in CODES for each in LONG],
)
def test_tasks_survive_temporary_redis_errors(
    fresh: Service, code: str, seconds: float, times: int, max_seconds: float
) -> None:
    outage = OUTAGES[code] if code in OUTAGES else Proxy(fresh).refusing
    fresh.start(workers=1)
    running = [fresh.submit("returns_pid", seconds=3), fresh.submit("returns_pid", seconds=max_seconds)]
    for task_id in running:
        fresh.wait_for(task_id, "running")
    waiting = [fresh.submit("returns_pid") for _ in range(3)]
    for _ in range(times):
        with outage(fresh):
            _refused(fresh)
            time.sleep(seconds)
            _refused(fresh)
        time.sleep(1)
    later = fresh.submit_until_accepted("returns_pid")
    for task_id in (*running, *waiting, later):
        end = fresh.wait_for(task_id, seconds=60)
        assert (end["status"], end["deliveries"], starts(fresh, task_id)) == ("succeeded", 1, 1), end
    assert fresh.workers[0].alive
    assert " CRITICAL " not in fresh.workers[0].output()


@pytest.mark.parametrize("code", NOT_READY)
def test_each_temporary_error_inside_a_script_is_an_outage(code: str) -> None:
    old = f"ERR Error running script (call to f_0a1b): @user_script:3: -{code} No.  script: f_0a1b, on @user_script:3."
    for reply in (f"{code} No.", f"{code} No. script: f_0a1b, on @user_script:3.", old):
        error = Parser.parse_error(reply)
        assert isinstance(error, UNREACHABLE) and isinstance(error, StoreUnavailable)


def test_redis_py_uses_the_parser_that_we_extend() -> None:
    assert issubclass(Parser, redis.connection.DefaultParser)
    assert redis.connection.DefaultParser.parse_error is not Parser.parse_error
