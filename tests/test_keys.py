"""Authorization: keys, owners, roles, loopback, and pages of other origins, through real HTTP."""

import contextlib
import hashlib
import json
import re
import shlex
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from harness import PROCFILE, ROOT, Process, Service, eventually, free_port
from reaper import popen
from waiting_clients import calling, waited_for

from server.store.api_keys import CACHE_SECONDS, Caller, Role, fingerprint
from server.web.request_limits import ALLOWED, PERIOD


class KeyedServer:
    """A server with keys, and a client for each."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.keys = {}
        for name, owner, role in (
            ("alice", "alice", "submit"),
            ("bob", "bob", "submit"),
            ("reader", "alice", "read"),
            ("admin", "root@example.org", "admin"),
        ):
            self.keys[name] = manage(service, "create", "--owner", owner, "--role", role).stdout.strip()
        service.start()
        self.clients = {
            name: httpx.Client(base_url=service.url, headers={"Authorization": f"Bearer {key}"}, timeout=30)
            for name, key in self.keys.items()
        }

    def __getattr__(self, name: str) -> httpx.Client:
        return self.clients[name]


def manage(service: Service, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run the command that manages keys."""
    return subprocess.run(
        [sys.executable, "-m", "server.cli", "keys", *arguments],
        env=service.env,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def keyed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KeyedServer]:
    """One server with keys for all tests of this module."""
    with Service(tmp_path_factory.mktemp("keyed"), TASK_MODULES="sample_tasks,client_tasks") as service:
        keyed = KeyedServer(service)
        yield keyed
        for client in keyed.clients.values():
            client.close()


@pytest.fixture(scope="module")
def task(keyed: KeyedServer) -> str:
    """A task of alice's with a file, which has ended."""
    task_id: str = keyed.alice.post("/tasks/save_file", json={"name": "a.txt"}).json()["task_id"]
    eventually(lambda: keyed.alice.get(f"/tasks/{task_id}").json()["done"])
    return task_id


def test_a_key_is_required(keyed: KeyedServer, task: str) -> None:
    for path in ("/catalog", "/catalog/divide", f"/tasks/{task}", f"/tasks/{task}/result", "/metrics", "/tasks"):
        answer = keyed.service.http.get(path)
        assert answer.status_code == 401, path
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    assert keyed.service.http.post("/tasks/divide", json={"x": 1, "y": 1}).status_code == 401


def test_each_operation_except_public_ones_requires_a_key(keyed: KeyedServer) -> None:
    client = keyed.service.http
    document = client.get("/openapi.json").json()
    for path, operations in document["paths"].items():
        for method in operations.keys() & {"get", "post", "put", "patch", "delete"}:
            answer = client.request(method, re.sub(r"{\w+}", "x", path))
            is_public = operations[method].get("security") == []
            assert (answer.status_code != 401) == is_public, f"{method} {path}: {answer.status_code}"


@pytest.mark.parametrize("path", ["/health/live", "/health/ready", "/openapi.json", "/docs", "/problems/not-found"])
def test_public_routes_require_no_key(keyed: KeyedServer, path: str) -> None:
    eventually(lambda: keyed.service.http.get(path).status_code == 200)


@pytest.mark.parametrize("wrong", ["", "Bearer", "Bearer cck_wrong", "bearer  {} x", "Basic {}", "{}", "Bearer {}x"])
def test_a_wrong_key_is_refused_like_no_key(keyed: KeyedServer, wrong: str) -> None:
    header = wrong.format(keyed.keys["alice"])

    answer = keyed.service.http.get("/catalog", headers={"Authorization": header})

    assert answer.status_code == 401
    assert keyed.keys["alice"] not in answer.text


def test_wrong_keys_are_rate_limited_and_right_ones_from_the_same_address_are_served(fresh: Service) -> None:
    key = manage(fresh, "create", "--owner", "alice", "--role", "submit").stdout.split()[-1]
    fresh.start_web()

    wrong = [fresh.http.get("/tasks", headers={"Authorization": f"Bearer cck_{number}"}) for number in range(60)]
    page = fresh.http.post("/ui/sign-in", data={"key": "cck_61"}, headers={"Origin": fresh.url})
    right = fresh.http.get("/tasks", headers={"Authorization": f"Bearer {key}"})

    assert [answer.status_code for answer in wrong] == [401] * ALLOWED + [429] * (60 - ALLOWED)
    assert 0 < int(wrong[-1].headers["Retry-After"]) <= PERIOD
    assert "r=0" in wrong[-1].headers["RateLimit"]
    assert page.status_code == 429
    assert "Too many wrong keys" in page.text
    assert right.status_code == 200


def test_the_word_bearer_is_case_insensitive(keyed: KeyedServer) -> None:
    header = f"bEARER {keyed.keys['alice']}"

    assert keyed.service.http.get("/catalog", headers={"Authorization": header}).status_code == 200


def test_another_owners_task_does_not_exist(keyed: KeyedServer, task: str) -> None:
    unknown = "018f0000-0000-7000-8000-000000000000"
    for method, suffix in (("GET", ""), ("GET", "/result"), ("GET", "/files/a.txt"), ("POST", "/cancel")):
        theirs = keyed.bob.request(method, f"/tasks/{task}{suffix}")
        nobodys = keyed.bob.request(method, f"/tasks/{unknown}{suffix}")
        assert theirs.status_code == nobodys.status_code == 404
        assert {k: v for k, v in theirs.json().items() if k != "request_id"} == {
            k: v for k, v in nobodys.json().items() if k != "request_id"
        }
        assert keyed.admin.request(method, f"/tasks/{task}{suffix}").status_code == 200
    assert keyed.alice.get(f"/tasks/{task}").json()["status"] == "succeeded"


def test_a_read_key_reads_and_changes_nothing(keyed: KeyedServer, task: str) -> None:
    for path in (f"/tasks/{task}", f"/tasks/{task}/result", f"/tasks/{task}/files/a.txt", "/catalog"):
        assert keyed.reader.get(path).status_code == 200
    for path in ("/tasks/divide", f"/tasks/{task}/cancel"):
        answer = keyed.reader.post(path, json={"x": 1, "y": 1})
        assert (answer.status_code, answer.json()["type"]) == (403, "/problems/forbidden")


def test_only_an_admin_lists_the_tasks_of_another_owner(keyed: KeyedServer, task: str) -> None:
    of_bob = keyed.bob.post("/tasks/save_file", json={"name": "b.txt"}).json()["task_id"]

    def listed(client: httpx.Client, owner: str) -> set[str]:
        return {each["task_id"] for each in client.get("/tasks", params={"owner": owner}).json()["tasks"]}

    assert task in listed(keyed.admin, "alice") and of_bob not in listed(keyed.admin, "alice")
    assert {task, of_bob} <= listed(keyed.admin, "alice,bob")
    assert listed(keyed.admin, "nobody") == set()
    assert listed(keyed.alice, "bob") == set()
    assert keyed.alice.post("/bulk/retry?owner=bob&status=succeeded").json()["retried"] == 0


def test_metrics_are_for_admins(keyed: KeyedServer) -> None:
    assert keyed.alice.get("/metrics").status_code == 403
    assert keyed.admin.get("/metrics").status_code == 200


def test_the_command_refuses_what_the_route_refuses(keyed: KeyedServer) -> None:
    before = [key["id"] for key in keyed.admin.get("/keys").json()["keys"]]
    for option, value in (
        ("--expires-in", "9" * 23),
        ("--expires-in", "0"),
        ("--rate-limit", "0"),
        ("--weight", "101"),
        ("--note", "n" * 201),
        ("--note", "two\nlines"),
        ("--note", "not UTF-8: \udcff"),
    ):
        refused = manage(keyed.service, "create", "--owner", "alice", f"{option}={value}")
        assert (refused.returncode, refused.stdout) == (1, "")
        assert refused.stderr.startswith(f"keys: {option} must be ")
    assert [key["id"] for key in keyed.admin.get("/keys").json()["keys"]] == before


def test_an_id_that_expired_is_410_for_its_owner_and_404_for_others(keyed: KeyedServer) -> None:
    answer = keyed.alice.post("/tasks/divide?ttl=1", json={"x": 1, "y": 1})
    path = f"/tasks/{answer.json()['task_id']}"

    eventually(lambda: keyed.alice.get(path).status_code == 410)

    assert keyed.reader.get(path).status_code == 410
    assert keyed.admin.get(path).status_code == 410
    assert keyed.bob.get(path).status_code == 404


class Carol:
    """A user whose key is revoked."""

    def __init__(self, keyed: KeyedServer) -> None:
        self._service = keyed.service
        self.key = manage(keyed.service, "create", "--owner", "carol").stdout.strip()
        self.header = {"Authorization": f"Bearer {self.key}"}
        self._is_answered(200)

    def post(self, path: str, **body: Any) -> Any:
        return self._service.http.post(path, json=body, headers=self.header).json()

    def is_revoked(self) -> None:
        """Return once the server has noticed."""
        assert manage(self._service, "revoke", self.key[:10]).returncode == 0
        self._is_answered(401)

    def _is_answered(self, status: int) -> None:
        get = self._service.http.get
        eventually(lambda: get("/catalog", headers=self.header).status_code == status, seconds=CACHE_SECONDS + 8)


@pytest.fixture
def carol(keyed: KeyedServer) -> Carol:
    """With a key of her own for each test."""
    return Carol(keyed)


def test_a_revoked_key_is_soon_refused(keyed: KeyedServer, carol: Carol) -> None:
    carol.is_revoked()

    assert manage(keyed.service, "revoke", carol.key[:10]).returncode == 1


def test_a_stream_ends_when_its_key_is_revoked(keyed: KeyedServer, carol: Carol) -> None:
    task_id = carol.post("/tasks/reports", seconds=60)["task_id"]
    with calling(keyed.service, f"/tasks/{task_id}/events", Connection="close", **carol.header) as [listener]:
        eventually(lambda: waited_for(keyed.service, task_id))

        carol.is_revoked()

        assert b"event: done" not in listener.rest()
    keyed.admin.post(f"/tasks/{task_id}/cancel")


def test_a_long_poll_is_401_when_its_key_is_revoked(keyed: KeyedServer, carol: Carol) -> None:
    task_id = carol.post("/tasks/ledgered?delay=60")["task_id"]
    with calling(keyed.service, f"/tasks/{task_id}?wait=25", **carol.header) as [waiter]:
        eventually(lambda: waited_for(keyed.service, task_id))

        carol.is_revoked()
        keyed.admin.post(f"/tasks/{task_id}/cancel")

        assert waiter.answer()[0] == 401


def test_a_waiting_submit_whose_key_is_revoked_still_gets_its_response(keyed: KeyedServer, carol: Carol) -> None:
    with calling(keyed.service, "/tasks/ledgered?delay=60&tag=of-carol&wait=25", method="POST", **carol.header) as [
        waiter
    ]:
        (task,) = eventually(lambda: keyed.admin.get("/tasks?tag=of-carol").json()["tasks"])
        eventually(lambda: waited_for(keyed.service, task["task_id"]))

        carol.is_revoked()
        keyed.admin.post(f"/tasks/{task['task_id']}/cancel")

        status, _, ticket = waiter.answer()
    assert (status, ticket["task_id"], ticket["status"]) == (202, task["task_id"], "scheduled")


def test_keys_are_shown_once_and_stored_as_hashes(keyed: KeyedServer) -> None:
    listed = manage(keyed.service, "list").stdout
    stored: Any = keyed.service.redis.client.hgetall(keyed.service.keys.api_keys)

    assert "alice  submit" in listed
    for key in keyed.keys.values():
        assert key not in listed
        assert key not in str(stored)
        entry = json.loads(stored[hashlib.sha256(key.encode()).hexdigest().encode()])
        assert entry.keys() == {"owner", "role", "shown", "created"}
        assert key.startswith(entry["shown"])
        assert len(entry["shown"]) == 10


def test_no_key_is_in_a_log(keyed: KeyedServer) -> None:
    keyed.alice.post("/tasks/divide", json={"x": 1})
    keyed.service.http.get("/catalog", headers={"Authorization": f"Token {keyed.keys['alice']}"})
    assert keyed.service.web
    logs = keyed.service.web.output() + "".join(worker.output() for worker in keyed.service.workers)

    assert not [name for name, key in keyed.keys.items() if key in logs]


@pytest.mark.parametrize(
    "arguments", [["create"], ["create", "--owner", "a b"], ["create", "--owner", "a", "--role", "x"], []]
)
def test_a_wrong_command_is_reported(keyed: KeyedServer, arguments: list[str]) -> None:
    done = manage(keyed.service, *arguments)

    assert done.returncode != 0
    assert done.stderr
    assert "Traceback" not in done.stderr


def test_make_key_creates_a_key_and_prints_it_once(keyed: KeyedServer) -> None:
    # `make test` is a make, too, and a nested make prints its directory.
    make = ["make", "--no-print-directory", "-o", ".venv/.installed", "key"]
    done = subprocess.run(
        [*make, "OWNER=dave", "ROLE=read"],
        cwd=ROOT,
        env=keyed.service.env,
        capture_output=True,
        text=True,
        check=True,
    )
    missing = subprocess.run(make, cwd=ROOT, env=keyed.service.env, capture_output=True, text=True, check=False)

    assert done.stdout.startswith("cck_")
    assert done.stdout.count("\n") == 1
    assert "not shown again" in done.stderr
    assert missing.returncode != 0
    assert "OWNER=" in missing.stderr


def test_a_key_is_matched_by_its_whole_text(keyed: KeyedServer) -> None:
    keys = keyed.service.store.api_keys

    assert keys.find(keyed.keys["bob"]) == Caller("bob", Role.SUBMIT, fingerprint(keyed.keys["bob"]))
    assert keys.find(keyed.keys["bob"][:-1]) is None


# -- without keys


def test_without_keys_only_loopback_names_are_served(service: Service) -> None:
    for name in ("localhost", "127.0.0.1", "LOCALHOST", "[::1]"):
        for host in (name, f"{name}:{service.port}", f"{name}:1"):
            assert service.http.get("/catalog/divide", headers={"Host": host}).status_code == 200, host
    for host in (
        "evil.example",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "10.0.0.1",
        "[::2]",
        "[::1",
        "a b",
    ):
        answer = service.http.get("/catalog/divide", headers={"Host": host})
        assert answer.status_code == 401, host


@contextlib.contextmanager
def serving(service: Service, folder: Path, **env: str) -> Iterator[tuple[str, Path]]:
    """Another web server on the same Redis: its address and its log."""
    port, log = free_port(), folder / "web.log"
    web = Process(shlex.split(PROCFILE["web"]), log, service.env | env | {"PORT": str(port)})
    try:
        eventually(lambda: reachable(port))
        yield f"http://127.0.0.1:{port}", log
    finally:
        web.kill()


def test_without_keys_other_addresses_get_an_error_that_names_the_setting(service: Service, tmp_path: Path) -> None:
    with serving(service, tmp_path, HOST="0.0.0.0") as (url, log):
        assert httpx.get(f"{url}/health/live").status_code == 200
        for path in ("/", "/tasks", "/health/ready", "/docs", "/openapi.json", "/problems/unavailable", "/nowhere"):
            answer = httpx.get(f"{url}{path}")
            assert answer.status_code == 503, path
            assert "ADMIN_KEY" in answer.text
        assert httpx.post(f"{url}/tasks/divide", json={"x": 1, "y": 2}).status_code == 503
        assert "coatcheck keys create" in log.read_text()


def test_admin_key_works_from_the_first_start(service: Service, tmp_path: Path) -> None:
    key = "correct horse battery staple"
    with serving(service, tmp_path, HOST="0.0.0.0", ADMIN_KEY=key) as (url, log):
        assert httpx.get(f"{url}/tasks").status_code == 401
        right = {"Authorization": f"Bearer {key}"}
        assert httpx.get(f"{url}/queues", headers=right).status_code == 200
        assert httpx.post(f"{url}/tasks/divide", json={"x": 1, "y": 2}, headers=right).status_code == 202
        assert httpx.get(f"{url}/queues", headers={"Authorization": f"Bearer {key}r"}).status_code == 401
        assert key not in log.read_text()


def test_with_a_key_any_address_is_served(keyed: KeyedServer, tmp_path: Path) -> None:
    with serving(keyed.service, tmp_path, HOST="0.0.0.0") as (url, _):
        assert httpx.get(f"{url}/catalog").status_code == 401
        header = {"Authorization": f"Bearer {keyed.keys['alice']}", "Host": "tasks.example"}
        assert httpx.get(f"{url}/catalog", headers=header).status_code == 200


def reachable(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.skipif(not socket.has_ipv6 or not Path("/proc/net/if_inet6").exists(), reason="there is no IPv6 here")
def test_loopback_may_be_ipv6(service: Service, tmp_path: Path) -> None:
    port = free_port()
    with (tmp_path / "log").open("w") as log:
        env = service.env | {"HOST": "::1", "PORT": str(port)}
        web = popen(shlex.split(PROCFILE["web"]), env=env, cwd=ROOT, stdout=log, stderr=log)
    try:

        def is_ready() -> bool:
            try:
                return httpx.get(f"http://[::1]:{port}/catalog/divide").status_code == 200
            except httpx.TransportError:
                return False

        eventually(is_ready)
    finally:
        web.terminate()
        web.wait(30)


# -- pages of other origins


def test_a_page_of_another_origin_is_refused(service: Service) -> None:
    for origin in (
        "https://evil.example",
        "null",
        "http://localhost.evil.example",
        f"http://localhost:{service.port + 1}",
        "",
    ):
        answer = service.http.post("/tasks/divide", json={"x": 1, "y": 1}, headers={"Origin": origin})
        assert answer.status_code == 403, origin
        read = service.http.get("/catalog/divide", headers={"Origin": origin})
        assert not [name for name in read.headers if name.lower().startswith("access-control-")]
    preflight = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
    answer = service.http.options("/tasks/divide", headers=preflight)
    assert not [name for name in answer.headers if name.lower().startswith("access-control-")]


def test_a_page_of_the_same_origin_is_allowed(service: Service) -> None:
    answer = service.http.post("/tasks/divide", json={"x": 1, "y": 1}, headers={"Origin": service.url})

    assert answer.status_code == 202


def test_a_page_of_a_configured_origin_is_allowed(tmp_path: Path) -> None:
    friend, preflight = "https://app.example", {"Access-Control-Request-Method": "POST"}
    with Service(tmp_path, CORS_ORIGINS=f"{friend}, https://other.example") as service:
        service.start_web()
        allowed = service.http.options("/tasks/divide", headers={"Origin": friend, **preflight})
        assert allowed.status_code == 204
        assert allowed.headers["Access-Control-Allow-Origin"] == friend
        assert "Authorization" in allowed.headers["Access-Control-Allow-Headers"]
        assert "POST" in allowed.headers["Access-Control-Allow-Methods"]
        for answer in (
            service.http.post("/tasks/divide", json={"x": 1, "y": 1}, headers={"Origin": friend}),
            service.http.post("/tasks/divide", json={}, headers={"Origin": friend}),
            service.http.get("/nowhere", headers={"Origin": friend}),
        ):
            assert answer.headers["Access-Control-Allow-Origin"] == friend
            assert "Location" in answer.headers["Access-Control-Expose-Headers"]
            assert "Origin" in answer.headers["Vary"]
        refused = service.http.options("/tasks/divide", headers={"Origin": "https://evil.example", **preflight})
        assert "Access-Control-Allow-Origin" not in refused.headers
        assert "Origin" in refused.headers["Vary"]


@pytest.mark.slow
def test_an_emptied_redis_does_not_open_the_api(fresh: Service) -> None:
    manage(fresh, "create", "--owner", "alice", "--role", "submit")
    fresh.start_web()
    assert fresh.http.post("/tasks/divide", json={"x": 1, "y": 1}).status_code == 401
    fresh.redis.client.flushall()
    time.sleep(CACHE_SECONDS + 0.2)  # each process reads the keys again
    for _ in range(20):
        assert httpx.post(f"{fresh.url}/tasks/divide", json={"x": 1, "y": 1}).status_code == 401
