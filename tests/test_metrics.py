"""Health and metrics through real HTTP; each web process reports the same."""

import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from signal import SIGTERM
from typing import Any

import httpx
import pytest
from harness import ROOT, Service, eventually
from monitoring_files import DASHBOARD, alerting_rules
from PIL import Image
from prometheus_client.parser import text_string_to_metric_families
from promql_parser import Expr, MatrixSelector, VectorSelector, parse, walk

METRICS_PAGE = ROOT / "docs" / "metrics.md"


@pytest.fixture(scope="module")
def two_processes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A server with two web processes."""
    folder = tmp_path_factory.mktemp("two")
    with Service(folder, TASK_MODULES="sample_tasks", WEB_CONCURRENCY="2", ALLOW_PRIVATE_ADDRESSES="true") as service:
        yield service.start()


def samples(answer: httpx.Response) -> dict[str, float]:
    """Each sample by its name and labels."""
    assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    return {
        f"{sample.name}{sorted(sample.labels.items())}": sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


@pytest.mark.slow
def test_both_web_processes_report_the_same_counts(two_processes: Service) -> None:
    for number in range(10):  # each on a new connection, so that both processes get some
        with httpx.Client(base_url=two_processes.url) as client:
            answer = client.post("/tasks/divide", json={"x": 1, "y": 0 if number < 3 else 1})
            two_processes.wait_for(answer.json()["task_id"])

    def of_many() -> list[dict[str, float]]:
        return [samples(httpx.get(f"{two_processes.url}/metrics")) for _ in range(10)]

    def counts(metrics: dict[str, float]) -> list[float]:
        return [
            metrics["coatcheck_tasks_submitted_total[('task', 'divide')]"],
            metrics["coatcheck_tasks_ended_total[('status', 'succeeded'), ('task', 'divide')]"],
            metrics["coatcheck_tasks_ended_total[('status', 'failed'), ('task', 'divide')]"],
            metrics["coatcheck_tasks_running[]"],
            metrics["coatcheck_workers[]"],
        ]

    eventually(lambda: counts(of_many()[0])[-1] == 1)
    assert [counts(each) for each in of_many()] == [[10, 7, 3, 0, 1]] * 10
    assert two_processes.web
    served = {
        line.partition("pid: ")[2] for line in two_processes.web.output().splitlines() if "Booting worker" in line
    }
    assert len(served) == 2


def test_waiting_and_running_tasks_are_exported(two_processes: Service) -> None:
    task_ids = [two_processes.submit("reports", seconds=30) for _ in range(4)]
    for each in task_ids[:2]:
        two_processes.wait_for(each, "running")

    metrics = samples(two_processes.http.get("/metrics"))

    assert metrics["coatcheck_queue_waiting[('queue', 'default')]"] == 2
    assert metrics["coatcheck_tasks_running[]"] == 2
    assert 0 <= metrics["coatcheck_queue_latency_seconds[('queue', 'default')]"] < 30
    for each in reversed(task_ids):
        two_processes.http.post(f"/tasks/{each}/cancel")
        two_processes.wait_for(each)


@pytest.mark.slow
def test_a_server_is_ready_when_a_worker_is_up(fresh: Service) -> None:
    fresh.start_web()
    without = fresh.http.get("/health/ready")
    assert (without.status_code, without.json()["detail"]) == (503, "No worker is running.")
    assert int(without.headers["Retry-After"]) >= 1

    worker = fresh.start_worker()
    eventually(lambda: fresh.http.get("/health/ready").status_code == 200)
    assert fresh.http.get("/health/ready").json() == {"status": "ready", "workers": 1, "warnings": []}
    assert fresh.http.get("/health/ready?queue=default").json()["workers"] == 1
    unread = fresh.http.get("/health/ready?queue=reports")
    assert (unread.status_code, unread.json()["detail"]) == (503, "No worker reads the queue reports.")

    worker.signal(SIGTERM)
    eventually(lambda: fresh.http.get("/health/ready").status_code == 503)

    fresh.redis.process.kill()
    gone: Any = fresh.http.get("/health/ready")
    assert (gone.status_code, gone.json()["detail"]) == (503, "The store cannot be reached.")
    assert fresh.http.get("/health/live").json() == {"status": "live"}


@pytest.mark.slow
def test_a_web_process_opens_at_most_the_documented_connections(fresh: Service) -> None:
    fresh.start_web()
    with ThreadPoolExecutor(30) as clients:
        status_codes = list(clients.map(lambda _: fresh.http.get("/catalog/divide").status_code, range(300)))
        status_codes += clients.map(lambda _: fresh.http.get("/metrics").status_code, range(100))

    assert set(status_codes) == {200}
    assert len(fresh.redis.client.client_list()) - 1 <= 2 + 10


def test_wait_and_run_times_are_histograms(two_processes: Service) -> None:
    before = samples(two_processes.http.get("/metrics"))
    name = "coatcheck_task_run_seconds_{}[{}('task', 'reports')]".format
    two_processes.wait_for(two_processes.submit("reports", seconds=0.6))

    metrics = samples(two_processes.http.get("/metrics"))

    for metric in ("run", "wait"):
        counted = f"coatcheck_task_{metric}_seconds_count[('task', 'reports')]"
        assert metrics[counted] == before[counted] + 1
    within = {bound: name("bucket", f"('le', '{bound}'), ") for bound in ("0.5", "2.5", "+Inf")}
    assert [metrics[each] - before[each] for each in within.values()] == [0, 1, 1]
    assert 0.5 < metrics[name("sum", "")] - before[name("sum", "")] < 2.5


@pytest.mark.slow
def test_requests_are_counted_by_route_over_all_web_processes(two_processes: Service) -> None:
    task_id = two_processes.submit("divide", x=1, y=2)
    two_processes.wait_for(task_id)

    def counted(method: str, route: str, status: str) -> float:
        name = f"coatcheck_http_requests_total[('method', '{method}'), ('route', '{route}'), ('status', '{status}')]"
        return samples(two_processes.http.get("/metrics")).get(name, 0)

    calls = [
        ("GET", f"/tasks/{task_id}", {}, "/tasks/{task_id}", "2xx"),  # the loop answers, without Flask
        ("GET", f"/tasks/{task_id}", {"Accept": "application/json"}, "/tasks/{task_id}", "2xx"),  # Flask does
        ("GET", f"/tasks/{task_id}/result", {}, "/tasks/{task_id}/result", "2xx"),
        ("GET", "/health/live", {}, "/health/live", "2xx"),
        ("POST", "/tasks/divide", {}, "/tasks/{name}", "2xx"),
        ("POST", "/tasks/divide", {"Prefer": "wait=1"}, "/tasks/{name}", "2xx"),
        ("POST", "/tasks/nope", {}, "/tasks/{name}", "4xx"),
        ("GET", "/tasks/nope", {}, "/tasks/{task_id}", "4xx"),
        ("GET", "/wp-login.php", {}, "*", "4xx"),
    ]
    expected = {(method if route != "*" else "*", route, status): 0.0 for method, _, _, route, status in calls}
    time.sleep(6)  # until both processes have added the requests of earlier tests
    before = {each: counted(*each) for each in expected}
    for method, path, headers, route, status in calls:
        body = {"json": {"x": 1, "y": 2}} if method == "POST" else {}
        for _ in range(6):  # each on a new connection, so that both processes get some
            answer = httpx.request(method, two_processes.url + path, headers=headers, **body)
            assert f"{answer.status_code // 100}xx" == status, answer.text
        expected[method if route != "*" else "*", route, status] += 6

    eventually(lambda: {each: counted(*each) - before[each] for each in expected} == expected)


def test_maintenance_and_the_use_of_redis_are_exported(two_processes: Service) -> None:
    def read_metrics() -> dict[str, float]:
        return samples(two_processes.http.get("/metrics"))

    eventually(lambda: read_metrics().get("coatcheck_maintenance_runs_total[('service', 'pruner')]", 0) > 3)
    metrics = read_metrics()
    for service in ("leader", "heartbeat", "scheduler", "rescuer", "pruner", "webhook_sender", "blob_cleanup"):
        assert metrics[f"coatcheck_maintenance_seconds_total[('service', '{service}')]"] > 0
        last = metrics[f"coatcheck_maintenance_last_run_timestamp_seconds[('service', '{service}')]"]
        assert 0 <= time.time() - last < 60
    used = two_processes.redis.client.info("memory")["used_memory"]
    assert 0.5 < metrics["coatcheck_redis_memory_bytes[]"] / used < 2
    assert 2 <= metrics["coatcheck_redis_connections[]"] < metrics["coatcheck_redis_connections_limit[]"]


def test_files_and_webhooks_are_counted(two_processes: Service, tmp_path: Path) -> None:
    before = samples(two_processes.http.get("/metrics"))
    picture = tmp_path / "cat.png"
    Image.effect_noise((200, 200), 50).save(picture)
    answer = two_processes.http.post(
        "/tasks/thumbnail?webhook=https://127.0.0.1:1/hook",
        content=picture.read_bytes(),
        headers={"Content-Type": "image/png"},
    )
    two_processes.wait_for(answer.json()["task_id"])

    def increase() -> dict[str, float]:
        now = samples(two_processes.http.get("/metrics"))
        return {name: value - before[name] for name, value in now.items() if name in before}

    assert increase()["coatcheck_webhooks_pending[]"] == 1
    size = picture.stat().st_size
    assert increase()["coatcheck_stored_bytes[]"] >= size
    assert increase()["coatcheck_blob_bytes[]"] >= size
    eventually(lambda: increase()["coatcheck_webhook_attempts_total[('outcome', 'retried')]"] == 1)


def test_the_docs_list_every_metric_with_its_labels(two_processes: Service) -> None:
    two_processes.wait_for(two_processes.submit("divide", x=1, y=2))
    eventually(lambda: "coatcheck_maintenance_runs_total{" in two_processes.http.get("/metrics").text)

    exported = families(two_processes)
    documented = {
        name: set(re.findall(r"`(\w+)`", labels))
        for name, labels in re.findall(r"^\| `(\w+)` \| ([^|]*)\|", METRICS_PAGE.read_text(), re.MULTILINE)
    }

    assert documented == exported


def families(service: Service) -> dict[str, set[str]]:
    """Each metric's name, and its labels."""
    text = service.http.get("/metrics").text
    return {
        f"{family.name}_total" if family.type == "counter" else family.name: {
            label for sample in family.samples for label in sample.labels if label != "le"
        }
        for family in text_string_to_metric_families(text)
    }


def test_the_dashboard_and_the_alerts_use_existing_names_and_labels(two_processes: Service) -> None:
    two_processes.wait_for(two_processes.submit("divide", x=1, y=2))
    eventually(lambda: "coatcheck_maintenance_runs_total{" in two_processes.http.get("/metrics").text)
    exported: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(two_processes.http.get("/metrics").text):
        for sample in family.samples:
            exported.setdefault(sample.name, set()).update(sample.labels)

    rules = [rule["expr"] for rule in alerting_rules()]
    targets = [target for panel in DASHBOARD["panels"] for target in panel.get("targets", [])]
    used = [selector for text in rules + [target["expr"] for target in targets] for selector in selectors(text)]

    assert len(rules) >= 10
    assert len(targets) >= 30
    assert {str(selector.name) for selector in used} <= exported.keys()
    for selector in used:
        assert {matcher.name for matcher in selector.matchers.matchers} <= exported[str(selector.name)], selector
    for target in targets:
        named = {label for selector in selectors(target["expr"]) for label in exported[str(selector.name)]}
        assert set(re.findall(r"{{(\w+)}}", target["legendFormat"])) <= named, target


def selectors(expression: str) -> list[VectorSelector]:
    """Every metric in an expression, which must be valid PromQL."""
    vectors: list[VectorSelector] = []

    def visit(node: Expr) -> None:
        if isinstance(node, VectorSelector):
            vectors.append(node)
        elif isinstance(node, MatrixSelector):
            vectors.append(node.vector_selector)

    walk(parse(expression.replace("$__rate_interval", "5m")), visit)
    return vectors
