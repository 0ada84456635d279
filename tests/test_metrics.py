"""Health and metrics through real HTTP: what is told, and that each web process tells the same."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from signal import SIGTERM
from typing import Any

import httpx
import pytest
from harness import Service, eventually
from prometheus_client.parser import text_string_to_metric_families


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A server with two web processes."""
    folder = tmp_path_factory.mktemp("two")
    with Service(folder, TASK_MODULES="sample_tasks", WEB_CONCURRENCY="2") as made:
        yield made.start()


def figures(answer: httpx.Response) -> dict[str, float]:
    """Each sample by its name and labels."""
    assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    return {
        f"{sample.name}{sorted(sample.labels.items())}": sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def test_both_web_processes_count_the_same(two: Service) -> None:
    for number in range(10):  # each on a connection of its own, so that both processes take some
        with httpx.Client(base_url=two.url) as client:
            answer = client.post("/tasks/divide", json={"x": 1, "y": 0 if number < 3 else 1})
            two.wait_for(answer.json()["task_id"])

    def of_many() -> list[dict[str, float]]:
        return [figures(httpx.get(f"{two.url}/metrics")) for _ in range(10)]

    def told(found: dict[str, float]) -> list[float]:
        return [
            found["coatcheck_tasks_submitted_total[('task', 'divide')]"],
            found["coatcheck_tasks_ended_total[('status', 'succeeded'), ('task', 'divide')]"],
            found["coatcheck_tasks_ended_total[('status', 'failed'), ('task', 'divide')]"],
            found["coatcheck_tasks_running[]"],
            found["coatcheck_workers[]"],
        ]

    eventually(lambda: told(of_many()[0])[-1] == 1)
    assert [told(each) for each in of_many()] == [[10, 7, 3, 0, 1]] * 10
    assert two.web
    served = {line.partition("pid: ")[2] for line in two.web.output().splitlines() if "Booting worker" in line}
    assert len(served) == 2


def test_what_waits_and_what_runs_is_told(two: Service) -> None:
    held = [two.submit("reports", seconds=30) for _ in range(4)]
    for each in held[:2]:
        two.wait_for(each, "running")

    found = figures(two.http.get("/metrics"))

    assert found["coatcheck_queue_waiting[('queue', 'default')]"] == 2
    assert found["coatcheck_tasks_running[]"] == 2
    assert 0 <= found["coatcheck_queue_latency_seconds[('queue', 'default')]"] < 30
    for each in reversed(held):
        two.http.post(f"/tasks/{each}/cancel")
        two.wait_for(each)


def test_a_server_is_ready_when_a_worker_is_there(fresh: Service) -> None:
    fresh.start_web()
    without = fresh.http.get("/health/ready")
    assert (without.status_code, without.json()["detail"]) == (503, "No worker is running.")
    assert int(without.headers["Retry-After"]) >= 1

    worker = fresh.start_worker()
    eventually(lambda: fresh.http.get("/health/ready").status_code == 200)
    assert fresh.http.get("/health/ready").json() == {"status": "ready", "workers": 1, "warnings": []}

    worker.signal(SIGTERM)
    eventually(lambda: fresh.http.get("/health/ready").status_code == 503, seconds=30)

    fresh.redis.process.kill()
    gone: Any = fresh.http.get("/health/ready")
    assert (gone.status_code, gone.json()["detail"]) == (503, "The store cannot be reached.")
    assert fresh.http.get("/health/live").json() == {"status": "live"}


def test_a_web_process_opens_no_more_connections_than_the_readme_says(fresh: Service) -> None:
    fresh.start_web()
    with ThreadPoolExecutor(30) as clients:
        answers = list(clients.map(lambda _: fresh.http.get("/catalog/divide").status_code, range(300)))
        answers += clients.map(lambda _: fresh.http.get("/metrics").status_code, range(100))

    assert set(answers) == {200}
    assert len(fresh.redis.client.client_list()) - 1 <= 2 + 10
