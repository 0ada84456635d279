"""Celery's own tools against a running server: Flower, and `inspect`."""

import shlex
import subprocess
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from harness import ROOT, Process, Service, eventually, free_port


@pytest.fixture
def flower(service: Service) -> Iterator[httpx.Client]:
    port = free_port()
    command = shlex.split(f"celery -A wsgi flower --port={port} --address=127.0.0.1")
    env = {**service.env, "FLOWER_UNAUTHENTICATED_API": "true"}
    process = Process(command, service.folder / "flower.log", env)
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=20) as client:
        eventually(lambda: _is_ready(client))
        yield client
    process.kill()


def _is_ready(client: httpx.Client) -> bool:
    try:
        return client.get("/api/tasks").status_code == 200
    except httpx.TransportError:
        return False


def test_flower_lists_our_tasks_with_their_names_and_states(service: Service, flower: httpx.Client) -> None:
    def states() -> dict[str, Any] | None:
        # Flower gets events once it has enabled them on the workers, a few seconds after its start.
        service.submit("divide", x=1, y=2)
        service.submit("divide", x=1, y=0)
        listed = flower.get("/api/tasks").json()
        names = {task["state"]: task["name"] for task in listed.values()}
        return names if {"SUCCESS", "FAILURE"} <= set(names) else None

    assert set((eventually(states, seconds=40, every=1) or {}).values()) == {"divide"}


def test_flower_reads_results_from_our_records(service: Service, flower: httpx.Client) -> None:
    task_id = service.submit("divide", x=1, y=2)
    service.wait_for(task_id)
    answer = flower.get(f"/api/task/result/{task_id}").json()
    assert (answer["state"], answer["result"]) == ("SUCCESS", 0.5)


@pytest.mark.slow
def test_inspect_active_lists_running_tasks(service: Service) -> None:
    task_id = service.submit("reports", seconds=20)
    service.wait_for(task_id, "running")
    command = ["celery", "-A", "wsgi", "inspect", "active"]
    answer = subprocess.run(command, cwd=ROOT, env=service.env, capture_output=True, text=True, timeout=60, check=False)
    service.http.post(f"/tasks/{task_id}/cancel")
    assert task_id in answer.stdout


@pytest.mark.slow
@pytest.mark.parametrize("command", ["active", "conf", "registered", "report", "reserved", "scheduled", "stats"])
def test_a_worker_answers_every_inspection(service: Service, command: str) -> None:
    worker = service.workers[0]
    before = worker.output().count("Control command error")
    command_line = ["celery", "-A", "wsgi", "inspect", command, "--json"]
    answer = subprocess.run(
        command_line, cwd=ROOT, env=service.env, capture_output=True, text=True, timeout=60, check=False
    )
    assert answer.returncode == 0, answer.stderr
    assert worker.output().count("Control command error") == before
