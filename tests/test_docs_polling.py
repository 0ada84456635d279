"""docs/polling.md is correct: its `curl` lines, its polling loops and its webhook example work."""

import json
import os
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from documents import blocks, section, shell
from harness import Service, eventually
from http_servers import serve
from test_docs import folder

__all__ = ["folder"]

PAGE = "docs/polling.md"


def counted(service: Service) -> int:
    """Return the number of polls that the server has answered."""
    assert service.web
    return service.web.output().count("method=GET path=/tasks/")


def test_the_documented_curl_commands_work(service: Service, folder: Path) -> None:
    titles = ("Polling", "Long polling", "Many tasks in one request", "Events")
    (poll,), (wait,), (many,), (listen,) = (blocks(PAGE, title) for title in titles)

    head, *_ = shell(poll, folder, service.port)
    assert head.split()[1] in ("200", "304")
    assert '"result":0.25' in shell(wait, folder, service.port)[-1]
    assert '"result":0.125' in shell(many, folder, service.port)[-1]
    events = [line.removeprefix("event: ") for line in shell(listen, folder, service.port) if line[:6] == "event:"]
    assert events[-1] == "done"
    assert set(events) == {"status", "progress", "done"}


def test_the_documented_python_loop_works(service: Service) -> None:
    (loop,) = blocks(PAGE, "Polling", "python")
    assert len(loop.splitlines()) == 10
    namespace: dict[str, Any] = {"httpx": httpx, "time": time}
    exec(loop, namespace)

    task_id, before = service.submit("long_running_task", seconds=2.5, steps=50), counted(service)
    assert namespace["wait_for"](f"{service.url}/tasks/{task_id}")["status"] == "succeeded"
    assert counted(service) - before <= 6

    with pytest.raises(httpx.HTTPStatusError, match="404"):
        namespace["wait_for"](f"{service.url}/tasks/{task_id[:-1]}")


def test_the_documented_javascript_loop_works(service: Service) -> None:
    node = shutil.which("node")
    if node is None:
        assert not os.environ.get("CI"), "CI has node"
        pytest.skip("there is no node here")
    (loop,) = blocks(PAGE, "Polling", "js")
    assert len(loop.splitlines()) == 10

    def run(url: str) -> subprocess.CompletedProcess[str]:
        text = f"{loop}\nwaitFor({json.dumps(url)}).then((status) => console.log(JSON.stringify(status)));"
        return subprocess.run([node, "-e", text], capture_output=True, text=True, timeout=60, check=False)

    task_id, before = service.submit("long_running_task", seconds=2.5, steps=50), counted(service)
    done = run(f"{service.url}/tasks/{task_id}")
    assert json.loads(done.stdout)["status"] == "succeeded", done.stderr
    assert counted(service) - before <= 6

    refused = run(f"{service.url}/tasks/{task_id[:-1]}")
    assert refused.returncode != 0 and "unknown-task" in refused.stderr


@pytest.mark.slow
def test_the_documented_webhook_verification_works(tmp_path: Path, folder: Path) -> None:
    (call,) = blocks(PAGE, "Webhooks")
    (verify,) = blocks(PAGE, "Webhooks", "python")
    got: list[dict[str, Any]] = []
    with (
        Service(tmp_path, ALLOW_PRIVATE_ADDRESSES="true") as service,
        serve(lambda exchange: (got.append(vars(exchange)), exchange.reply(204))[1]) as receiver,
    ):
        service.start()
        _, secret = shell(call.replace("https://hooks.example.org", receiver), folder, service.port)
        eventually(lambda: got)
    namespace = {"body": got[0]["body"], "headers": dict(got[0]["headers"])}
    exec(verify.replace("whsec_…", json.loads(secret)["secret"]), namespace)
    assert namespace["status"]["status"] == "succeeded"


def test_the_documented_retry_delays_are_those_of_the_code() -> None:
    os.environ.setdefault("REDIS_URL", "redis://127.0.0.1:6399/0")  # nothing connects to it here
    from server.celery_app.worker.maintenance.webhook_sender import WAITS

    units = {"s": 1, "min": 60, "h": 3600}
    text = " ".join(section(PAGE, "Webhooks").split()).partition("retried after ")[2].partition(", across")[0]
    documented = [each.split() for each in text.replace(" and ", ", ").split(", ")]
    assert [int(number) * units[unit] for number, unit in documented] == list(WAITS)
