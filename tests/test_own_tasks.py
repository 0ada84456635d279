"""A user's own package over HTTP: typed functions, and existing Celery tasks."""

import time
from collections.abc import Iterator

import pytest
from harness import ROOT, Service


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with Service(tmp_path_factory.mktemp("shop"), TASK_MODULES="shop.jobs") as service:
        service.env["PYTHONPATH"] = str(ROOT / "examples")
        yield service.start()


def test_a_typed_function_of_the_shop_is_an_endpoint(shop: Service) -> None:
    lines = [{"article": "tea", "quantity": 2, "price": 4.5}, {"article": "cup", "quantity": 1, "price": 7.25}]
    result = shop.result(shop.submit("invoice", lines=lines))
    assert result["total"] == 16.25
    assert "16.25 EUR" in shop.http.get(result["file"]["href"]).text


def test_models_are_validated_before_the_task_is_queued(shop: Service) -> None:
    answer = shop.http.post("/tasks/invoice", json={"lines": [{"article": "tea", "quantity": 0, "price": 1}]})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["loc"] == ["lines", 0, "quantity"]


def test_a_tasks_own_errors_reach_the_client_as_messages(shop: Service) -> None:
    files = {"prices": ("p.csv", b"tea,4.5\ncup,dear\n", "text/csv")}
    task_id = shop.http.post("/tasks/import_prices", files=files).json()["task_id"]
    error = shop.wait_for(task_id)["error"]
    assert error["type"] == "/problems/bad-price-list"
    assert "dear" in error["detail"]


def test_one_line_makes_an_existing_celery_task_an_endpoint(shop: Service) -> None:
    assert shop.result(shop.submit("add", x=1, y=2)) == 3


def test_an_existing_celery_task_gets_a_schema_and_validation(shop: Service) -> None:
    entry = shop.http.get("/catalog/add").json()
    assert entry["summary"] == "Add two numbers."
    assert entry["input_schema"]["properties"]["x"]["type"] == "integer"
    assert shop.http.post("/tasks/add", json={"x": "one", "y": 2}).status_code == 422


def test_a_bound_celery_task_retries_as_before(shop: Service) -> None:
    task_id = shop.submit("sync_stock", warehouse="Kiel", fails=2)
    ended = shop.wait_for(task_id)
    assert (ended["status"], ended["retries"], ended["error"]) == ("succeeded", 2, None)
    assert shop.http.get(f"/tasks/{task_id}/result").json()["result"] == "Kiel: 3 calls"


def test_a_bound_celery_task_gives_up_as_before(shop: Service) -> None:
    ended = shop.wait_for(shop.submit("sync_stock", warehouse="Kiel", fails=9), seconds=30)
    assert (ended["status"], ended["retries"]) == ("failed", 3)
    assert "ConnectionError" in ended["error"]["detail"]


def test_a_task_that_keeps_a_core_busy_does_not_stop_the_api(shop: Service) -> None:
    busy = shop.submit("compute", n=5_000_000)
    shop.wait_for(busy, "running")
    began = time.monotonic()
    assert shop.result(shop.submit("add", x=2, y=2)) == 4
    assert time.monotonic() - began < 10
    assert shop.result(busy, seconds=60) == 838596693108


@pytest.mark.slow
def test_celerys_inspection_shows_our_tasks(shop: Service) -> None:
    import subprocess

    command = ["celery", "-A", "wsgi", "inspect", "registered"]
    answer = subprocess.run(command, cwd=ROOT, env=shop.env, capture_output=True, text=True, timeout=60, check=False)
    assert answer.returncode == 0, answer.stderr
    assert "* invoice" in answer.stdout
    assert "* add" in answer.stdout


@pytest.mark.slow
def test_a_worker_consumes_every_queue_that_a_task_type_names(fresh: Service) -> None:
    fresh.env["TASK_MODULES"] = "client_tasks"
    fresh.start()
    assert fresh.wait_for(fresh.submit("in_a_queue_of_its_own"))["status"] == "succeeded"
