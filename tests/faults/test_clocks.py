"""Redis's clock is the only one: web and worker processes that are two minutes off are on time over HTTP, too."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import pytest
from clocks import shifted
from harness import Service, eventually
from test_webhooks import Receiver

SKEW = 120

#: Seconds by which a loaded machine may be late.
LATE = 8.0


@pytest.fixture(scope="module", params=[SKEW, -SKEW], ids=["worker-ahead", "worker-behind"])
def skewed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A server whose worker is two minutes off, and its web process as much in the other direction."""
    folder = tmp_path_factory.mktemp("skewed")
    with Service(folder, TASK_MODULES="sample_tasks", ALLOW_PRIVATE_ADDRESSES="true") as service:
        env = service.env
        service.env = shifted(folder, -request.param, env)
        service.start_web()
        service.env = shifted(folder, request.param, env)
        service.start_worker()
        service.env = env
        yield service


def submit(service: Service, task: str, options: dict[str, Any], **parameters: Any) -> dict[str, Any]:
    """Submit with options; the status object, and `Retry-After`."""
    answer = service.http.post(f"/tasks/{task}", params=options, json=parameters)
    assert answer.status_code == 202, answer.text
    return {**answer.json(), "retry_after": int(answer.headers["Retry-After"])}


def at(status: dict[str, Any], name: str) -> float:
    """A time of a status object, in seconds since 1970."""
    return datetime.fromisoformat(status[name]).timestamp()


def test_the_processes_of_this_test_have_wrong_clocks(skewed: Service) -> None:
    web = parsedate_to_datetime(skewed.http.get("/health/live").headers["Date"])
    ready = next(line for line in skewed.workers[0].output().splitlines() if line.endswith(" ready."))
    worker = datetime.fromisoformat(ready.split()[0])
    now = datetime.now(UTC)

    assert abs(abs((web - now).total_seconds()) - SKEW) < 5
    assert abs((worker - web).total_seconds()) >= 2 * SKEW - 5
    assert eventually(lambda: len(skewed.http.get("/workers").json()["workers"]) == 1)


def test_a_delayed_task_starts_on_time(skewed: Service) -> None:
    began = time.time()
    soon = datetime.now(UTC) + timedelta(seconds=4)
    delayed = submit(skewed, "divide", {"delay": 3, "cancel_after": 60}, x=1, y=2)
    dated = submit(skewed, "divide", {"not_before": soon.isoformat()}, x=1, y=2)

    assert delayed["retry_after"] <= 4
    for accepted, seconds in ((delayed, 3), (dated, 3.9)):
        ended = skewed.wait_for(accepted["task_id"])
        assert ended["status"] == "succeeded", "its `cancel_after` has not passed"
        assert began - 1 <= at(ended, "submitted_at") <= began + LATE
        assert seconds - 0.1 <= at(ended, "started_at") - began <= seconds + LATE


def test_cancel_after_counts_from_acceptance(skewed: Service) -> None:
    began = time.time()
    running = submit(skewed, "long_running_task", {"cancel_after": 3}, seconds=30, steps=300)
    waiting = submit(skewed, "divide", {"cancel_after": 3, "delay": 60}, x=1, y=2)

    for accepted in (running, waiting):
        ended = skewed.wait_for(accepted["task_id"])
        assert ended["status"] == "canceled"
        assert 2.9 <= at(ended, "finished_at") - began <= 3 + LATE


def test_a_record_is_kept_for_its_ttl(skewed: Service) -> None:
    task_id = submit(skewed, "divide", {"ttl": 5}, x=1, y=2)["task_id"]
    ended = skewed.wait_for(task_id)
    assert 4.9 <= at(ended, "expires_at") - at(ended, "finished_at") <= 5.1

    eventually(lambda: skewed.http.get(f"/tasks/{task_id}").status_code == 410)

    assert 4 <= time.time() - at(ended, "finished_at") <= 5 + LATE


def test_the_webhook_of_a_task_with_a_short_ttl_is_sent_with_the_right_time(skewed: Service) -> None:
    with Receiver().listening() as receiver:
        submit(skewed, "divide", {"ttl": 60, "webhook": receiver.url}, x=1, y=2)
        receiver.wait()

    headers, _ = receiver.got[0]
    assert abs(int(headers["webhook-timestamp"]) - time.time()) < LATE


def test_a_schedule_fires_on_time(skewed: Service) -> None:
    began = time.time()
    body = {"task": "divide", "input": {"x": 1, "y": 2}, "every": 3}
    assert skewed.http.put("/schedules/skewed", json=body).is_success
    shown = skewed.http.get("/schedules/skewed").json()
    following = [datetime.fromisoformat(each).timestamp() for each in shown["next"]]

    def fired() -> list[str]:
        runs = [run["task_id"] for run in skewed.http.get("/schedules/skewed").json()["runs"]]
        return runs if len(runs) >= 2 else []

    runs = eventually(fired)[::-1]
    assert skewed.http.delete("/schedules/skewed").is_success

    assert began <= following[0] <= began + 3 + LATE
    for number, task_id in enumerate(runs[:2], start=1):
        late = at(skewed.wait_for(task_id), "submitted_at") - (following[0] + 3 * (number - 1))
        assert -0.2 <= late <= LATE
