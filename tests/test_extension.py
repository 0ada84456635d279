"""The Flask extension: the server below a prefix of another application, whose login decides the owner."""

import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from documents import blocks
from flask import Flask
from harness import ROOT, Process, Redis, eventually, free_port

from server import Coatcheck
from server.settings import SettingsError


class Shop:
    """The processes of the application: its own server, and a worker by `flask coatcheck worker`."""

    def __init__(self, folder: Path) -> None:
        self.redis = Redis(folder)
        self.url = f"http://127.0.0.1:{free_port()}"
        self.env = {name: value for name, value in os.environ.items() if name != "REDIS_URL"}
        self.env |= {
            "SHOP_REDIS": self.redis.url,
            "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}",
            "PYTHONUNBUFFERED": "1",
            "FLASK_APP": "host_app",
        }
        port = self.url.rpartition(":")[2]
        self.web = Process(self.flask("run", "--port", port), folder / "web.log", self.env, folder)
        self.worker = Process(self.flask("coatcheck", "worker", "-c", "1"), folder / "worker.log", self.env, folder)
        eventually(lambda: "Running on" in self.web.output(), seconds=60)
        eventually(lambda: " ready." in self.worker.output(), seconds=60)

    def flask(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "flask", *arguments]

    @contextmanager
    def client(self, user: str = "") -> Iterator[httpx.Client]:
        """Open a client with the session of a user."""
        with httpx.Client(base_url=self.url, timeout=30) as client:
            if user:
                client.post(f"/login/{user}")
            yield client

    def close(self) -> None:
        self.redis.client.close()
        for process in (self.web, self.worker, self.redis.process):
            process.kill()


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    shop = Shop(tmp_path_factory.mktemp("shop"))
    yield shop
    shop.close()


def result(client: httpx.Client, address: str) -> object:
    def ended() -> httpx.Response | None:
        answer = client.get(address)
        return answer if answer.status_code != 202 else None

    return eventually(ended).json()["result"]


def test_a_signed_in_user_submits_and_follows_every_address(shop: Shop) -> None:
    with shop.client("alice") as alice:
        accepted = alice.post("/jobs/tasks/divide", json={"x": 1, "y": 2})

        assert accepted.status_code == 202, accepted.text
        assert accepted.headers["Location"].startswith(f"{shop.url}/jobs/tasks/")
        assert accepted.json()["links"]["result"].startswith("/jobs/tasks/")
        assert result(alice, accepted.headers["Location"]) == 0.5


def test_a_task_submitted_by_a_view_belongs_only_to_its_user(shop: Shop) -> None:
    with shop.client("alice") as alice, shop.client("bob") as bob, shop.client("root") as root:
        task_id = alice.post("/halves/7").json()["id"]

        assert result(alice, f"/jobs/tasks/{task_id}/result") == 3.5
        assert bob.get(f"/jobs/tasks/{task_id}").status_code == 404
        assert root.get(f"/jobs/tasks/{task_id}").status_code == 200
        assert [task["task_id"] for task in bob.get("/jobs/tasks").json()["tasks"]] == []


def test_without_a_login_only_public_routes_answer(shop: Shop) -> None:
    with shop.client() as anyone:
        refused = anyone.post("/jobs/tasks/divide", json={"x": 1, "y": 2})

        assert refused.status_code == 401
        assert refused.headers["Content-Type"] == "application/problem+json"
        assert anyone.get("/jobs/health/live").status_code == 200
        assert anyone.get("/jobs").status_code in (308, 200)
        assert anyone.get("/tasks").status_code == 404  # the host's own


@pytest.mark.slow
def test_an_api_key_works_in_addition_to_the_login(shop: Shop) -> None:
    command = shop.flask("coatcheck", "keys", "create", "--owner", "robot", "--role", "submit")
    created = subprocess.run(command, env=shop.env, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    key = {"Authorization": f"Bearer {created.stdout.strip()}"}

    with shop.client() as robot:
        assert robot.get("/jobs/tasks", headers=key).status_code == 200
        assert robot.get("/jobs/tasks", headers={"Authorization": "Bearer cck_wrong"}).status_code == 401


def test_a_page_of_another_site_cannot_use_the_login(shop: Shop) -> None:
    with shop.client("alice") as alice:
        for headers in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
            answer = alice.post("/jobs/tasks/divide", json={"x": 1, "y": 2}, headers=headers)
            assert answer.status_code == 403, headers


def test_a_form_with_a_file_and_its_output_pass_through_the_host(shop: Shop) -> None:
    with shop.client("alice") as alice:
        big = os.urandom(3_000_000)
        accepted = alice.post("/jobs/tasks/echo_file", files={"file": ("a.txt", big, "text/plain")})
        file = result(alice, f"/jobs/tasks/{accepted.json()['task_id']}/result")

        assert isinstance(file, dict)
        assert alice.get(file["href"]).content == big


def test_the_events_of_a_task_pass_through_the_host(shop: Shop) -> None:
    with shop.client("alice") as alice:
        task_id = alice.post("/jobs/tasks/stops_at_80").json()["task_id"]
        result(alice, f"/jobs/tasks/{task_id}/result")

        assert "event: done" in alice.get(f"/jobs/tasks/{task_id}/events").text


def test_a_wrong_setting_stops_the_application_with_a_message() -> None:
    app = Flask("wrong")
    app.config |= {"COATCHECK_REDIS_URL": "redis://localhost", "COATCHECK_LEASE_SECONDS": "soon"}

    with pytest.raises(SettingsError, match="LEASE_SECONDS"):
        Coatcheck(app, owner=lambda: None)
    with pytest.raises(ValueError, match="url_prefix"):
        Coatcheck(Flask("no_settings"), owner=lambda: None, url_prefix="jobs")


def test_a_setting_may_be_a_list_for_the_application_and_for_its_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.environ", {**os.environ})  # a command adds the settings to it
    monkeypatch.setattr("server.cli.embedded._clients", {})
    app = Flask(__name__)
    app.config["COATCHECK_REDIS_URL"] = "redis://127.0.0.1:6399/0"  # nothing listens there
    app.config["COATCHECK_CORS_ORIGINS"] = ["https://a.example", "https://b.example"]
    Coatcheck(app, owner=lambda: None)

    output = app.test_cli_runner().invoke(args=["coatcheck", "doctor"]).output

    assert os.environ["CORS_ORIGINS"] == "https://a.example,https://b.example"
    assert "CORS_ORIGINS" not in output


@pytest.mark.slow
def test_the_documented_application_answers(shop: Shop) -> None:
    (code,) = blocks("docs/embedding.md", "A Flask extension", "python")
    show = """
client = app.test_client()
print(client.get("/jobs/tasks").status_code)
with client.session_transaction() as cookie:
    cookie["user"] = "alice"
print(client.get("/jobs/tasks").status_code)
"""
    env = shop.env | {"REDIS_URL": shop.redis.url, "PYTHONPATH": f"{ROOT}:{ROOT / 'examples'}"}

    done = subprocess.run(
        [sys.executable, "-c", code + show], env=env, capture_output=True, text=True, timeout=60, check=False
    )

    assert done.stdout.split() == ["401", "200"], done.stderr


def test_the_application_runs_in_forked_and_threaded_gunicorn_processes(shop: Shop, tmp_path: Path) -> None:
    address = f"127.0.0.1:{free_port()}"
    options = ["--preload", "-w", "2", "-k", "gthread", "--threads", "4", "-b", address, "host_app:app"]
    web = Process([sys.executable, "-m", "gunicorn", *options], tmp_path / "gunicorn.log", shop.env, tmp_path)
    try:
        eventually(lambda: web.output().count("Booting worker") == 2, seconds=60)
        with httpx.Client(base_url=f"http://{address}", timeout=30) as alice, ThreadPoolExecutor(8) as threads:
            alice.post("/login/alice")
            responses = list(threads.map(lambda n: alice.post("/jobs/tasks/divide", json={"x": n, "y": 2}), range(40)))

            assert {answer.status_code for answer in responses} == {202}
            assert responses[0].headers["Location"].startswith(f"http://{address}/jobs/tasks/")
            assert result(alice, responses[39].headers["Location"]) == 19.5
    finally:
        web.kill()
