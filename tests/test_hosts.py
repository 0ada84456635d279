"""The application under every WSGI server: submits, errors, and headers that a client must not set."""

import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from harness import Process, Service, eventually, free_port
from hosts import COMMANDS, command, missing

JSON = {"Content-Type": "application/json"}


@contextlib.contextmanager
def hosted(
    service: Service, host: str, module: str, folder: Path, path: str = "/health/live", **settings: str
) -> Iterator[str]:
    """The application of a module under a host, on the Redis of the shared server; its address."""
    if reason := missing(host):
        pytest.skip(reason)
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    env = service.env | {"PORT": str(port), "HOST": "127.0.0.1", **settings}
    process = Process(command(host, port, module, folder), folder / "host.log", env)

    def live() -> bool:
        assert process.alive, process.output()
        with contextlib.suppress(httpx.TransportError):
            return httpx.get(f"{url}{path}").status_code == 200
        return False

    try:
        eventually(live, seconds=60)
        yield url
    finally:
        process.kill()


@pytest.fixture(scope="module", params=COMMANDS)
def host(request: pytest.FixtureRequest, service: Service, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the application under each host."""
    with hosted(service, request.param, "server.cli.wsgi", tmp_path_factory.mktemp("host")) as url:
        yield url


def test_a_host_answers_posts_and_errors(service: Service, host: str) -> None:
    # uWSGI closes a connection after each response without announcing it, so none is reused.
    with httpx.Client(base_url=host, timeout=10, headers={"Connection": "close"}) as client:
        form = client.post("/tasks/echo_file", files={"file": ("a.txt", b"hello" * 200_000, "text/plain")})
        raw = client.post("/tasks/echo_file", content=b"hello" * 200_000, headers={"Content-Type": "text/plain"})
        submitted = client.post("/tasks/divide", json={"x": 1, "y": 2})
        assert [each.status_code for each in (form, raw, submitted)] == [202] * 3
        refused = [
            client.post("/tasks/divide", content="{", headers=JSON),
            client.post("/tasks/divide", json={"x": "one"}),
            client.post("/tasks/unknown", json={"x": 1}),
            client.post("/tasks/divide", content=b"x", headers={"Content-Type": "image/png"}),
            httpx.post(f"{host}/tasks/unknown", content=b"hello" * 9_000, headers={"Content-Type": "text/plain"}),
            client.put("/tasks/divide", json={}),
            client.post(f"/tasks/{submitted.json()['task_id']}/nothing", json={}),
        ]
        assert [each.status_code for each in refused] == [400, 422, 404, 415, 404, 405, 404]
        assert {each.headers["Content-Type"] for each in refused} == {"application/problem+json"}
        assert service.result(submitted.json()["task_id"]) == 0.5
        for sent in (form, raw):
            file = service.result(sent.json()["task_id"])
            assert client.get(file["href"]).content == b"hello" * 200_000


def test_a_header_named_script_name_is_ignored(service: Service, host: str) -> None:
    headers = {"SCRIPT_NAME": "/evil", "Script-Name": "/evil", "PATH_INFO": "/evil", "X-Forwarded-Prefix": "/evil"}
    headers |= {"X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "https"}
    answer = httpx.post(f"{host}/tasks/nothing", json={}, headers=headers)

    assert answer.status_code == 202
    assert "evil" not in answer.text + str(answer.headers)
    location = answer.headers["Location"]  # uWSGI itself trusts the scheme
    assert location.partition(":")[2] == f"{host}{answer.json()['links']['result']}".partition(":")[2]
    assert "evil" not in httpx.get(f"{host}/docs", headers=headers).text


@pytest.mark.parametrize(
    ("path", "fields", "status"),
    [
        ("/tasks/unknown", "Content-Type: application/json", "404"),
        ("/tasks/divide", "Content-Type: image/png", "415"),
        ("/tasks/divide?wait=x", "Content-Type: application/json", "422"),
        ("/tasks/divide", "Content-Type: application/json\r\nAuthorization: Bearer wrong", "401"),
        ("/tasks/divide", "Content-Type: application/json\r\nOrigin: https://elsewhere.example", "403"),
        ("/tasks/divide", "Content-Type: application/json\r\nContent-Encoding: gzip", "415"),
    ],
)
def test_no_100_continue_for_a_request_that_is_refused(service: Service, path: str, fields: str, status: str) -> None:
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 20\r\nExpect: 100-continue\r\n{fields}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", service.port), timeout=5) as client:
        client.sendall(head.encode())
        assert client.recv(12).decode() == f"HTTP/1.1 {status}"
