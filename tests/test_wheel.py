"""The wheel: its dependencies, and a server that is installed from it and runs from another folder."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from signal import Signals

import httpx
import pytest
from harness import ROOT, Process, Redis, eventually, free_port
from packaging.requirements import Requirement
from test_legacy import asynchronous, ended

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

TASK = """
from server import task

@task()
def double(x: int) -> int:
    \"\"\"Double a number.\"\"\"
    return 2 * x
"""


def pins() -> dict[str, Requirement]:
    """The requirements that are tested, by name."""
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    # Optional even in a clone, and tested where it is installed.
    optional = ("pyvips", "opentelemetry", "sentry")
    lines += [line for line in (ROOT / "requirements-dev.txt").read_text().splitlines() if line.startswith(optional)]
    return {
        requirement.name: requirement
        for line in lines
        if line and line[0] != "#" and (requirement := Requirement(line))
    }


def test_the_wheel_requires_the_packages_that_are_tested() -> None:
    extras = {name: items for name, items in PROJECT["optional-dependencies"].items() if name != "all"}
    required = [Requirement(text) for items in (PROJECT["dependencies"], *extras.values()) for text in items]

    assert {each.name for each in required} == set(pins())
    for each in required:
        (pin,) = pins()[each.name].specifier
        assert each.specifier.contains(pin.version), f"{each} excludes {pin}"
        assert each.extras == pins()[each.name].extras
    all_but_fast = ",".join(name for name in extras if name != "images-fast")
    assert PROJECT["optional-dependencies"]["all"] == [f"coatcheck[{all_but_fast}]"]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `bin` folder of an environment with the wheel, without its extras for tasks."""
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "wheel", "--no-deps", "-w", str(folder), str(ROOT)], check=True)
    (wheel,) = folder.glob("coatcheck-*.whl")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder / "venv")], check=True)
    constraints = folder / "constraints.txt"
    constraints.write_text(re.sub(r"\[.*?\]", "", (ROOT / "requirements.txt").read_text()))
    into = ["--python", str(folder / "venv" / "bin" / "python"), "install", "-c", str(constraints)]
    subprocess.run([*pip, *into, f"{wheel}[run]"], check=True)
    return folder / "venv" / "bin"


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """A folder of another project, with modules of the same names as ours."""
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "mine.py").write_text(TASK)
    for name in ("wsgi", "celeryconfig"):
        (folder / f"{name}.py").write_text("raise RuntimeError('not this one')\n")
    return folder


@pytest.fixture
def env(installed: Path) -> dict[str, str]:
    """The environment of a shell in which the wheel's environment is active."""
    kept = {name: os.environ[name] for name in ("HOME", "LANG") if name in os.environ}
    return kept | {"PATH": f"{installed}:{os.defpath}", "HOST": "127.0.0.1", "TASK_MODULES": "mine"}


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[Redis]:
    server = Redis(tmp_path)
    yield server
    server.client.close()
    server.process.kill()


@pytest.mark.slow
def test_web_and_worker_run_from_another_folder(
    installed: Path, elsewhere: Path, env: dict[str, str], redis: Redis
) -> None:
    env |= {"REDIS_URL": redis.url, "PORT": str(free_port())}
    create = [str(installed / "coatcheck"), "keys", "create", "--owner", "alice", "--role", "admin"]
    key = subprocess.run(create, cwd=elsewhere, env=env, capture_output=True, text=True, check=True).stdout.strip()
    web = Process([str(installed / "coatcheck"), "web"], elsewhere / "web.log", env, elsewhere)
    worker = Process([str(installed / "coatcheck"), "worker", "-c", "1"], elsewhere / "worker.log", env, elsewhere)
    url = f"http://127.0.0.1:{env['PORT']}"
    try:
        with httpx.Client(base_url=url, headers={"Authorization": f"Bearer {key}"}, timeout=30) as http:
            eventually(lambda: _status(f"{url}/health/ready") == 200, seconds=60, every=0.2)

            assert http.post("/tasks/double?wait=20", json={"x": 21}).json()["result"] == 42
            names = [entry["name"] for entry in http.get("/catalog").json()["tasks"]]
            assert "divide" in names
            assert "thumbnail" not in names, "the extra `images` is not installed"
            page = http.get("/")
            assert page.status_code == 200
            for path in re.findall(r'(?:src|href)="(/static/[^"]+)"', page.text):
                assert http.get(path).status_code == 200, path
    finally:
        web.kill()
        worker.kill()


def _status(url: str) -> int:
    try:
        return httpx.get(url).status_code
    except httpx.TransportError:
        return 0


@pytest.mark.slow
def test_run_starts_everything_from_another_folder(installed: Path, elsewhere: Path, env: dict[str, str]) -> None:
    env |= {"PORT": str(free_port())}
    runner = Process([str(installed / "coatcheck"), "run"], elsewhere / "run.log", env, elsewhere)
    try:
        eventually(lambda: "is ready at" in runner.output() or not runner.alive, seconds=60, every=0.2)
        assert runner.alive, runner.output()

        answer = httpx.post(f"http://127.0.0.1:{env['PORT']}/tasks/double?wait=20", json={"x": 4}, timeout=30)

        assert answer.json()["result"] == 8
        runner.signal(Signals.SIGTERM)
        assert runner.wait(60) == 0
    finally:
        runner.kill()


@pytest.mark.slow
def test_the_error_names_a_missing_extra(installed: Path, tmp_path: Path, env: dict[str, str]) -> None:
    listing = [str(installed / "coatcheck"), "keys", "list"]
    more = {"REDIS_URL": "redis://127.0.0.1:1", "BLOB_URL": "s3://bucket"}

    done = subprocess.run(listing, cwd=tmp_path, env=env | more, capture_output=True, text=True, check=False)

    assert done.returncode == 1
    assert "pip install 'coatcheck[s3]'" in done.stderr


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("patch"), reason="needs the command patch")
def test_the_asynchronous_shop_runs_from_another_folder_with_the_wheel(installed: Path, tmp_path: Path) -> None:
    redis = Redis(tmp_path)
    shop = asynchronous(tmp_path, redis, python=str(installed / "python"), path="")
    try:
        letter = shop.http.post("/letters", files={"letter": b"two words two"})
        assert ended(shop, letter)["result"] == {"two": 2, "words": 1}
    finally:
        shop.close()
        redis.client.close()
        redis.process.kill()
