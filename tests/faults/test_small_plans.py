"""Web and worker with the documented settings stay below 512 MB of memory, the smallest plans."""

import contextlib
import io
import re
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from harness import ROOT, Service
from PIL import Image

from benchmarks.speed.proc import group, memory

PLAN = 512

pytestmark = pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="needs Linux's PSS")


def documented(plan: str) -> dict[str, str]:
    """The settings of a line in docs/deploying.md."""
    line = next(
        line for line in (ROOT / "docs/deploying.md").read_text().splitlines() if line.startswith(f"| {plan} |")
    )
    return dict(re.findall(r"([A-Z_]+)=(\d+)", line))


@contextmanager
def measured(service: Service) -> Iterator[dict[str, float]]:
    """The most that web and worker use within the block, in MB: each, and both at the same time."""
    peaks = dict.fromkeys(("web", "worker", "both"), 0.0)
    stop = threading.Event()

    def sample() -> None:
        assert service.web
        while not stop.wait(0.05):
            web, worker = (used(leader) for leader in (service.web.pid, service.workers[0].pid))
            for name, megabytes in (("web", web), ("worker", worker), ("both", web + worker)):
                peaks[name] = max(peaks[name], megabytes)

    watcher = threading.Thread(target=sample)
    watcher.start()
    yield peaks
    stop.set()
    watcher.join()


def used(leader: int) -> float:
    """The memory of a process group, without processes that have just ended."""
    total = 0.0
    for pid in group(leader):
        with contextlib.suppress(OSError, ValueError):
            total += memory(pid)
    return total


def post(service: Service, path: str, **request: Any) -> httpx.Response:
    """Submit, and repeat after a 503: a slow disk can block Redis for longer than a web process waits."""
    end = time.monotonic() + 60
    answer = service.http.post(path, **request)
    while answer.status_code == 503 and time.monotonic() < end:
        time.sleep(int(answer.headers["retry-after"]))
        answer = service.http.post(path, **request)
    return answer


def load(service: Service, picture: bytes) -> list[str]:
    """Upload large files, transform a large picture, run many small tasks and some that use all memory; their ids."""
    files = [("/tasks/echo_file", {"file": ("a.txt", b"x" * 10 * 2**20, "text/plain")})] * 16
    files += [("/tasks/thumbnail", {"image": ("a.jpg", picture, "image/jpeg")})] * 4
    with ThreadPoolExecutor(20) as clients:
        sent = [clients.submit(post, service, path, files=parts) for path, parts in files]
        sent += [clients.submit(post, service, "/tasks/divide?wait=5", json={"x": 1, "y": 2}) for _ in range(100)]
        responses = [each.result() for each in sent]
    refused = [answer.text for answer in responses if answer.status_code not in (200, 202)]
    assert not refused, refused
    return [answer.json()["task_id"] for answer in responses]


@pytest.mark.slow
@pytest.mark.parametrize("plan", ["512 MB for web and 512 MB for worker", "512 MB for both"])
def test_web_and_worker_stay_below_the_memory_of_a_plan(fresh: Service, plan: str) -> None:
    del fresh.env["WEB_CONCURRENCY"]
    fresh.env |= documented(plan)
    fresh.start()
    picture = io.BytesIO()  # made before the measurement, because Pillow keeps the sampling thread from running
    Image.effect_noise((5000, 4000), 40).convert("RGB").save(picture, "JPEG")
    with measured(fresh) as peaks:
        filling = [fresh.submit("fills_memory") for _ in range(3)]
        loading = load(fresh, picture.getvalue())
        ended = [fresh.wait_for(task_id, seconds=90) for task_id in loading]
        filling.append(fresh.submit("fills_memory"))
        filled = [fresh.wait_for(task_id, seconds=60) for task_id in filling]
        time.sleep(0.2)

    assert {each["status"] for each in ended} == {"succeeded"}
    assert {each["error"]["type"] for each in filled} == {"/problems/out-of-memory"}
    limit = int(documented(plan)["WORKER_MEMORY_LIMIT"]) / 2**20
    assert peaks["worker"] > limit, "a task has used all that it may"
    if plan.endswith("both"):
        assert peaks["both"] < PLAN
    else:
        assert max(peaks["web"], peaks["worker"]) < PLAN
