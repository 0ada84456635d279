"""celery-exporter itself against a running server: its counters move, and its gauges tell the truth.

Its dependencies contradict ours, so it runs in an environment of its own.
"""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from harness import Process, Service, eventually, free_port
from prometheus_client.parser import text_string_to_metric_families

pytestmark = pytest.mark.slow

#: It wants a redis-py that newer releases of Celery refuse.
PACKAGES = ("prometheus-exporter-celery==0.11.2", "celery[redis]==5.5.3")

Figure = Callable[..., float]


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment with celery-exporter."""
    folder = tmp_path_factory.mktemp("exporter")
    interpreter = folder / "bin" / "python"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "--python", str(interpreter)]
    subprocess.run([*pip, "install", *PACKAGES], check=True)
    return interpreter


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Service]:
    with Service(tmp_path, TASK_MODULES="signal_tasks", CELERY_EVENTS="true", CANCEL_GRACE_SECONDS="1") as service:
        yield service.start()


@pytest.fixture
def figure(python: Path, server: Service) -> Iterator[Figure]:
    """The sum of a metric of celery-exporter over the labels that are not given."""
    port = free_port()
    command = [str(python), "-c", "from src.cli import cli; cli()", "--broker-url", server.redis.url]
    options = ["--host", "127.0.0.1", "--port", str(port), "--queues", "default"]
    process = Process([*command, *options], server.folder / "exporter.log", server.env)

    def read(name: str, /, **labels: str) -> float:
        try:
            text = httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=60).text
        except httpx.TransportError:
            return 0.0
        samples = [each for family in text_string_to_metric_families(text) for each in family.samples]
        return sum(each.value for each in samples if each.name == name and labels.items() <= each.labels.items())

    eventually(lambda: read("celery_worker_up") == 1, seconds=120, every=0.5)
    yield read
    process.kill()


def test_the_exporters_metrics_follow_our_tasks(server: Service, figure: Figure) -> None:
    server.result(server.submit("divide", x=1, y=2))
    server.wait_for(server.submit("divide", x=1, y=0))
    server.result(server.submit("second_time_lucky"))
    busy = [server.submit("stops_on_cancel"), server.submit("ignores_cancel")]
    for task_id in busy:
        server.wait_for(task_id, "running")
    waiting = [server.submit("divide", x=1, y=2) for _ in range(3)]
    eventually(lambda: figure("celery_queue_length", queue_name="default") == 3, seconds=60, every=1)
    eventually(lambda: figure("celery_worker_tasks_active") == 2, seconds=60, every=1)
    for task_id in (*waiting, *busy):
        server.http.post(f"/tasks/{task_id}/cancel")

    expected = {
        ("sent", "divide"): 5,
        ("received", "divide"): 2,
        ("started", "divide"): 2,
        ("succeeded", "divide"): 1,
        ("failed", "divide"): 1,
        ("revoked", "divide"): 3,
        ("received", "second_time_lucky"): 2,
        ("retried", "second_time_lucky"): 1,
        ("succeeded", "second_time_lucky"): 1,
        ("revoked", "stops_on_cancel"): 1,
        ("revoked", "ignores_cancel"): 1,
    }

    def counters() -> dict[tuple[str, str], float]:
        return {(event, name): figure(f"celery_task_{event}_total", name=name) for event, name in expected}

    eventually(lambda: counters() == expected, seconds=60, every=1)
    assert figure("celery_task_failed_total", exception="TaskError") == 1
    assert figure("celery_task_runtime_count", name="divide") == 1
    eventually(lambda: figure("celery_queue_length", queue_name="default") == 0, seconds=60, every=1)
    eventually(lambda: figure("celery_active_worker_count", queue_name="default") == 1, seconds=60, every=1)
    eventually(lambda: figure("celery_active_process_count", queue_name="default") == 2, seconds=60, every=1)
