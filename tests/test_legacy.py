"""`examples/legacy`: a synchronous shop whose slow requests time out, and the diff that makes it asynchronous."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from harness import ROOT, Process, Redis, eventually, free_port

LEGACY = ROOT / "examples" / "legacy"

#: Seconds after which the router in front of the shop gives up.
ROUTER = 2.0

pytestmark = pytest.mark.skipif(not shutil.which("patch"), reason="needs the command patch")


class Shop:
    """The shop in a folder of its own, served as its authors do."""

    def __init__(self, folder: Path, redis: Redis, python: str = sys.executable, path: str = str(ROOT)) -> None:
        self.folder = folder
        self.python = python
        self.env = os.environ | {
            "REDIS_URL": redis.url,
            "PYTHONPATH": path,
            "PYTHONUNBUFFERED": "1",
            "SECONDS_A_MONTH": "0.3",
        }
        port = free_port()
        self.processes: list[Process] = []
        self.run("flask", "--app", "shop", "run", "--port", str(port), expect="Running on")
        self.http = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=ROUTER)
        self.http.post("/login", data={"user": "alice"}).raise_for_status()

    def run(self, *arguments: str, expect: str) -> Process:
        log = self.folder / f"{len(self.processes)}.log"
        process = Process([self.python, "-m", *arguments], log, self.env, self.folder)
        self.processes.append(process)
        eventually(lambda: expect in process.output(), seconds=60)
        return process

    def close(self) -> None:
        self.http.close()
        for process in self.processes:
            process.kill()


def asynchronous(folder: Path, redis: Redis, python: str = sys.executable, path: str = str(ROOT)) -> Shop:
    """Apply the diff to a copy of the shop, and start it with a worker."""
    shutil.copy(LEGACY / "shop.py", folder)
    subprocess.run(["patch", "-p1", "-s", "-i", str(LEGACY / "asynchronous.diff")], cwd=folder, check=True)
    shop = Shop(folder, redis, python, path)
    shop.run("flask", "--app", "shop", "coatcheck", "worker", "-c", "1", expect=" ready.")
    return shop


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    server = Redis(tmp_path_factory.mktemp("redis"))
    yield server
    server.client.close()
    server.process.kill()


@pytest.fixture
def before(tmp_path: Path, redis: Redis) -> Iterator[Shop]:
    shutil.copy(LEGACY / "shop.py", tmp_path)
    shop = Shop(tmp_path, redis)
    yield shop
    shop.close()


@pytest.fixture
def after(tmp_path: Path, redis: Redis) -> Iterator[Shop]:
    shop = asynchronous(tmp_path, redis)
    yield shop
    shop.close()


def test_a_slow_request_of_the_synchronous_shop_times_out(before: Shop) -> None:
    assert before.http.post("/letters", files={"letter": b"two words two"}).json() == {"two": 2, "words": 1}
    with pytest.raises(httpx.ReadTimeout):
        before.http.post("/reports/2026")


def test_the_same_requests_answer_immediately_after_the_diff(after: Shop) -> None:
    began = time.monotonic()
    letter = after.http.post("/letters", files={"letter": b"two words two"})
    report = after.http.post("/reports/2026")
    assert time.monotonic() - began < ROUTER

    results = [ended(after, each)["result"] for each in (letter, report)]

    code = "import json, shop; shop.SECONDS_A_MONTH = 0; print(json.dumps(shop.yearly_report(2026)))"
    plain = subprocess.run([sys.executable, "-c", code], cwd=LEGACY, capture_output=True, text=True, check=True)
    assert results == [{"two": 2, "words": 1}, json.loads(plain.stdout)]


def test_a_report_shows_its_progress_only_to_its_user(after: Shop) -> None:
    report = after.http.post("/reports/2026")
    address = report.headers["Location"].removesuffix("/result")

    progress = eventually(lambda: after.http.get(address).json()["progress"])

    assert progress["total"] == 12
    assert httpx.get(f"{after.http.base_url}{address}").status_code == 401


def ended(shop: Shop, accepted: httpx.Response) -> dict[str, object]:
    assert accepted.status_code == 202

    def poll() -> httpx.Response | None:
        answer = shop.http.get(accepted.headers["Location"])
        return answer if answer.status_code == 200 else None

    task: dict[str, object] = eventually(poll).json()
    return task
