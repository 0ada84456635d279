"""The recipes for autoscalers, run against a server as the autoscaler's own library would."""

import json
import shlex
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import httpx
import pytest
import yaml
from harness import PROCFILE, ROOT, Process, Service, eventually

from server.store.api_keys import Role

RECIPES = ROOT / "examples" / "autoscaling"


@pytest.fixture(scope="module")
def keyed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A server with keys and without a worker, in which three tasks have waited for more than a second."""
    with Service(tmp_path_factory.mktemp("behind"), TASK_MODULES="sample_tasks") as keyed:
        keyed.env["ADMIN"] = keyed.store.api_keys.create("root", Role.ADMIN)
        keyed.env["METRICS"] = keyed.store.api_keys.create("autoscaler", Role.METRICS)
        keyed.start_web()
        for _ in range(3):
            answer = keyed.http.post("/tasks/divide", json={"x": 1, "y": 2}, headers=bearer(keyed, "ADMIN"))
            assert answer.status_code == 202
        eventually(lambda: keyed.store.counters.latency("default") > 2)  # another process's clock may differ a little
        yield keyed


def bearer(keyed: Service, name: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {keyed.env[name]}"}


def test_a_queue_reports_what_an_autoscaler_needs(keyed: Service) -> None:
    queue = keyed.http.get("/queues/default", headers=bearer(keyed, "METRICS")).json()

    assert queue.pop("latency_seconds") > 1
    assert queue == {"name": "default", "waiting": 3, "running": 0, "slots": 0, "workers": 0, "paused": False}
    worker = keyed.start_worker(LEASE_SECONDS="5")
    try:

        def served() -> Any:
            queue = keyed.http.get("/queues/default", headers=bearer(keyed, "METRICS")).json()
            return (queue["slots"], queue["workers"], queue["waiting"], queue["latency_seconds"]) == (2, 1, 0, 0)

        eventually(served)
    finally:
        worker.kill()


def test_a_queue_that_no_task_type_uses_is_not_found(keyed: Service) -> None:
    answer = keyed.http.get("/queues/nope", headers=bearer(keyed, "METRICS"))

    assert (answer.status_code, answer.json()["type"]) == (404, "/problems/unknown-queue")


def test_a_metrics_key_reads_only_counters(keyed: Service) -> None:
    as_admin = keyed.http.get("/tasks", headers=bearer(keyed, "ADMIN")).json()["tasks"]

    with httpx.Client(base_url=keyed.url, headers=bearer(keyed, "METRICS"), timeout=30) as client:
        for path in ("/queues", "/queues/default", "/metrics", "/health/live"):
            assert client.get(path).status_code == 200, path
        for path in ("/tasks", "/catalog", "/workers", "/schedules", "/failures", f"/tasks/{as_admin[0]['task_id']}"):
            assert client.get(path).status_code == 403, path
        assert client.post("/tasks/divide", json={"x": 1, "y": 2}).status_code == 403


def test_keda_reads_the_counters_as_the_documentation_configures_it(keyed: Service) -> None:
    documents = list(yaml.safe_load_all((RECIPES / "keda.yaml").read_text()))
    over_http, over_redis = documents[-1]["spec"]["triggers"]
    path = httpx.URL(over_http["metadata"]["url"]).path
    for _ in range(2):  # waits in the queue regardless of earlier tests
        keyed.http.post("/tasks/divide", json={"x": 1, "y": 2}, headers=bearer(keyed, "ADMIN"))

    answer = keyed.http.get(path, headers=bearer(keyed, "METRICS")).json()

    assert isinstance(answer[over_http["metadata"]["valueLocation"]], float)
    assert keyed.redis.client.llen(over_redis["metadata"]["listName"]) == answer["waiting"] >= 2


@pytest.mark.slow
def test_judoscales_adapter_for_celery_reports_how_long_tasks_wait(keyed: Service) -> None:
    reports: list[dict[str, Any]] = []

    class Api(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            reports.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

    server = HTTPServer(("127.0.0.1", 0), Api)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    keyed.http.put("/queues/default/pause", headers=bearer(keyed, "ADMIN"))
    waiting = [
        keyed.http.post("/tasks/divide", json={"x": 1, "y": 2}, headers=bearer(keyed, "ADMIN")) for _ in range(2)
    ]
    env = keyed.env | {"JUDOSCALE_URL": f"http://127.0.0.1:{server.server_port}", "DYNO": "worker.1"}
    command = PROCFILE["worker"].replace("wsgi", "examples.autoscaling.with_judoscale")
    process = Process(shlex.split(command), keyed.folder / "judoscale.log", env)
    try:
        eventually(lambda: reports, seconds=60)
        now = time.time()
        keyed.http.delete("/queues/default/pause", headers=bearer(keyed, "ADMIN"))
        eventually(lambda: keyed.store.queues.waiting(["default"])["default"] == 0)
    finally:
        process.kill()
        server.shutdown()
        server.server_close()

    assert "judoscale-celery" in reports[0]["adapters"]
    measured = {(measurement, queue): value for _, value, measurement, queue in reports[0]["metrics"]}
    submitted = datetime.fromisoformat(waiting[0].json()["submitted_at"]).timestamp()
    assert measured["qd", "default"] >= len(waiting)
    assert 0 < measured["qt", "default"] / 1000 <= now - submitted + 60
    assert "WARNING - [judoscale]" not in process.output()


@pytest.mark.slow
def test_hirefire_gets_the_latency_of_the_queue(keyed: Service) -> None:
    script = """
import json
from examples.autoscaling.with_hirefire import application
client = application.test_client()
found = client.get("/hirefire", headers={"HireFire-Token": "secret"})
print(json.dumps([found.json, client.get("/hirefire").status_code, client.get("/health/live").status_code]))
"""
    ran = subprocess.run(
        [sys.executable, "-c", script],
        env=keyed.env | {"HIREFIRE_TOKEN": "secret"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )

    workers, without_token, live = json.loads(ran.stdout.splitlines()[-1])
    assert [worker["name"] for worker in workers] == ["worker"]
    assert isinstance(workers[0]["value"], int)
    assert (without_token, live) == (404, 200)
