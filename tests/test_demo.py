"""`make demo`: its history equals that of a real server, and its shop submits new tasks."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from harness import ROOT, Service

WEEK = str(7 * 86_400)


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    monkeypatch.syspath_prepend(str(ROOT))
    with Service(tmp_path, TASK_MODULES="examples.demo.tasks", RESULT_TTL_SECONDS=WEEK) as service:
        monkeypatch.setenv("REDIS_URL", service.redis.url)
        monkeypatch.setenv("RESULT_TTL_SECONDS", WEEK)
        yield service


@pytest.mark.slow
def test_two_days_of_history_are_listed_and_counted(shop: Service) -> None:
    from examples.demo.history import PastStore, write_history
    from server.settings import load

    write_history(PastStore(load()), 100, lambda task: "default")
    shop.start()
    tasks = shop.http.get("/tasks?limit=500").json()["tasks"]
    assert len(tasks) == 120
    ages = [datetime.now(UTC) - datetime.fromisoformat(each["submitted_at"]) for each in tasks]
    assert timedelta(hours=30) < max(ages) < timedelta(days=2, minutes=1)
    assert {each["task"] for each in tasks} >= {"update_stock", "charge_invoice", "geocode"}
    assert all(each["done"] for each in tasks)
    (queue,) = (each for each in shop.http.get("/queues").json()["queues"] if each["name"] == "default")
    assert queue["waiting"] == 0
    assert 0 < sum(queue["last_hour"]["succeeded"]) < sum(queue["last_day"]["succeeded"]) < 120
    assert shop.http.get("/ui/tasks").status_code == shop.http.get("/ui/overview").status_code == 200


@pytest.mark.slow
def test_a_visitor_finds_pictures_tables_failures_and_schedules(shop: Service) -> None:
    from examples.demo.live import Shop

    shop.start()
    Shop(shop.url).open()
    tasks = {each["task"]: each for each in shop.http.get("/tasks").json()["tasks"]}
    assert shop.wait_for(tasks["resize"]["task_id"])["status"] == "succeeded"
    assert shop.wait_for(tasks["csv_stats"]["task_id"])["status"] == "succeeded"
    assert shop.wait_for(tasks["charge_invoice"]["task_id"])["status"] == "failed"
    assert len(shop.http.get("/schedules").json()["schedules"]) == 4


@pytest.mark.slow
def test_a_past_failure_is_grouped_with_those_of_the_running_shop(shop: Service) -> None:
    from examples.demo.history import PastStore, write_history
    from server.settings import load

    write_history(PastStore(load()), 300, lambda task: "default")
    shop.start()
    shop.wait_for(shop.submit("sync_customer", customer=9))
    groups = [each for each in shop.http.get("/failures").json()["failures"] if each["task"] == "sync_customer"]
    assert [each["exception"] for each in groups] == ["examples.demo.tasks.CrmTimeout"]
    assert groups[0]["count"] > 1
