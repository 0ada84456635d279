"""A hundred slow, silent or broken clients of each sort, while other clients are served; through Gunicorn."""

import contextlib
import os
import signal
import socket
import ssl
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
import trustme
from harness import ROOT, Process, Service, eventually
from waiting_clients import Caller

MANY = 100
HEAD = b"POST /tasks/echo_file HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: text/plain\r\n"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A server with two threads, so that a client that occupies threads would block it."""
    settings = {"TASK_MODULES": "sample_tasks,client_tasks", "WEB_THREADS": "2"}
    with Service(tmp_path_factory.mktemp("served"), **settings) as service:
        yield service.start()


def connect(service: Service, *, narrow: bool = False) -> socket.socket:
    client = socket.socket()
    client.settimeout(30)
    if narrow:  # buffers little unread data
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.connect(("127.0.0.1", service.port))
    return client


@contextlib.contextmanager
def many(service: Service, text: bytes, *, narrow: bool = False) -> Iterator[list[socket.socket]]:
    """A hundred clients that have sent a part of a request and now do nothing."""
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(connect(service, narrow=narrow)) for _ in range(MANY)]
        for each in clients:
            each.sendall(text)
        yield clients


def others_are_served(service: Service) -> None:
    """Check that another client's requests are answered, long before the deadlines of the slow ones."""
    with httpx.Client(base_url=service.url, timeout=5) as client:
        assert client.get("/health/live").status_code == 200
        submitted = client.post("/tasks/divide", json={"x": 1, "y": 2})
        assert submitted.status_code == 202
        assert client.get(submitted.json()["links"]["status"]).status_code == 200


def read_all(client: socket.socket) -> bytes:
    """Read everything until the server closes the connection."""
    return b"".join(iter(lambda: client.recv(65536), b""))


def exchange(service: Service, text: bytes) -> bytes:
    """Send these bytes and return everything that the server sends until it closes the connection."""
    with connect(service) as client:
        client.sendall(text)
        return read_all(client)


@pytest.fixture(scope="module")
def output(served: Service) -> str:
    """The address of an 8 MB file of a task."""
    submitted = served.http.post(
        "/tasks/echo_file", content=b"x" * 8 * 2**20, headers={"Content-Type": "text/plain"}
    ).json()
    href: str = served.result(submitted["task_id"])["href"]
    return href


# -- each sort of slow client


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"GET /health/live HTTP/1.1\r\nHost: 127.0.0.1\r\n",
        HEAD + b"Content-Length: 100\r\n\r\nhalf",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n4\r\nhalf",
        HEAD + b"Content-Length: 1000000\r\n\r\nhalf",
        HEAD + b"Content-Length: 1000000\r\nExpect: 100-continue\r\n\r\n",
    ],
    ids=["silent", "half a head", "half a body", "half a chunked body", "half an upload", "an upload not begun"],
)
def test_clients_that_stop_sending_do_not_block_others(served: Service, text: bytes) -> None:
    with many(served, text):
        for _ in range(3):
            others_are_served(served)


def test_unread_downloads_do_not_block_others(served: Service, output: str) -> None:
    with many(served, f"GET {output} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode(), narrow=True):
        for _ in range(3):
            others_are_served(served)


def test_clients_that_keep_a_closed_connection_open_do_not_block_others(served: Service) -> None:
    text = b"GET /health/live HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
    with many(served, text) as clients:
        others_are_served(served)
        for client in clients:
            assert b"\r\nConnection: close\r\n" in read_all(client)


# -- their deadlines


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "status"),
    [
        (b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n", b"408"),
        (HEAD + b"Content-Length: 1000000\r\n\r\nhalf", b"400"),
    ],
    ids=["a head", "an upload"],
)
def test_an_unfinished_request_is_answered_after_ten_seconds(served: Service, text: bytes, status: bytes) -> None:
    with connect(served) as client:
        client.sendall(text)
        began = time.monotonic()
        answer = read_all(client)
        assert 9 < time.monotonic() - began < 40
    assert answer.startswith(b"HTTP/1.1 " + status)
    assert b"application/problem+json" in answer and b"\r\nConnection: close\r\n" in answer


@pytest.mark.slow
def test_slow_bytes_do_not_extend_the_deadline_of_a_head(served: Service) -> None:
    with connect(served) as client:
        began = time.monotonic()
        client.settimeout(0.5)
        answer = b""
        while not answer:
            assert time.monotonic() - began < 40
            client.sendall(b"GET /health/live HTTP/1.1\r\nA: " if answer == b"" and began else b"a")
            with contextlib.suppress(TimeoutError):
                answer = client.recv(65536)
    assert answer.startswith(b"HTTP/1.1 408 ")


@pytest.mark.slow
def test_an_unread_download_is_aborted_and_a_slowly_read_one_is_not(served: Service, output: str) -> None:
    request = f"GET {output} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()
    with connect(served, narrow=True) as slow, connect(served, narrow=True) as silent:
        began = time.monotonic()
        for client in (slow, silent):
            client.sendall(request)
        received = b""
        while time.monotonic() - began < 22:
            received += slow.recv(32_768)
            time.sleep(0.1)
        received += read_rest(slow, 8 * 2**20)
        assert len(received.partition(b"\r\n\r\n")[2]) == 8 * 2**20
        with contextlib.suppress(ConnectionResetError):
            assert len(read_all(silent)) < 8 * 2**20


def read_rest(client: socket.socket, total: int) -> bytes:
    """Return about how many bytes of a body are missing: read until nothing arrives for a second."""
    client.settimeout(1)
    content = b""
    with contextlib.suppress(TimeoutError):
        while len(content) < total + 4096 and (piece := client.recv(2**20)):
            content += piece
    return content


@pytest.mark.slow
def test_a_stalled_upload_frees_its_thread_for_a_waiting_upload(served: Service) -> None:
    with many(served, HEAD + b"Content-Length: 1000000\r\n\r\n" + b"x" * 70_000):
        began = time.monotonic()
        answer = httpx.post(
            f"{served.url}/tasks/echo_file", content=b"x" * 200_000, headers={"Content-Type": "text/plain"}, timeout=120
        )
        assert answer.status_code == 202
        assert time.monotonic() - began < MANY  # of ten seconds each, two at a time, it would be 500


# -- many connections


@pytest.mark.slow
def test_the_oldest_idle_connection_is_closed_when_there_are_too_many(tmp_path: Path) -> None:
    with Service(tmp_path) as service:
        limits = ["prlimit", f"--nofile={100 + 20}"]
        service.web = Process([*limits, "gunicorn", "wsgi"], tmp_path / "web.log", service.env)
        eventually(service._live, seconds=60)
        with contextlib.ExitStack() as stack:
            clients = [stack.enter_context(connect(service)) for _ in range(60)]
            eventually(lambda: httpx.get(f"{service.url}/health/live").status_code == 200)
            assert clients[0].recv(1) == b""
            clients[-1].sendall(b"GET /health/live HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            assert clients[-1].recv(65536).startswith(b"HTTP/1.1 200 ")


def test_a_thousand_idle_connections_are_kept_and_still_served(served: Service) -> None:
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(contextlib.closing(Caller(served, "/health/live"))) for _ in range(1000)]
        for client in clients:
            assert client.answer()[0] == 200
        others_are_served(served)
        for client in clients:
            client.send("/health/live")
        assert all(client.answer()[0] == 200 for client in clients)


# -- the connection


def test_pipelined_requests_are_answered_in_order(served: Service) -> None:
    one = b"GET /problems/%b HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: application/json\r\n%b\r\n"
    names = [b"nowhere-%d" % number for number in range(50)]
    last = one % (b"last", b"Connection: close\r\n")
    answer = exchange(served, b"".join(one % (name, b"X-Request-ID: %b\r\n" % name) for name in names) + last)
    ids = [line.partition(b": ")[2] for line in answer.split(b"\r\n") if line.startswith(b"X-Request-ID: nowhere")]
    assert ids == names


def test_pipelined_requests_are_answered_after_their_client_has_ended_its_half(served: Service) -> None:
    one = b"GET /catalog/divide HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    with connect(served) as client:
        client.sendall(one * 3 + HEAD + b"Content-Length: 300000\r\n\r\nthe body breaks off")
        client.shutdown(socket.SHUT_WR)
        answer = read_all(client)
    assert answer.count(b"HTTP/1.1 200 ") == 3
    assert answer.count(b"HTTP/1.1 400 ") == answer.count(b"Connection: close") == 1


def test_a_chunked_upload_with_trailers_is_followed_by_the_next_request(served: Service) -> None:
    chunk = b"186a0\r\n" + b"x" * 100_000 + b"\r\n"
    body = chunk * 3 + b"0\r\nDigest: none\r\n\r\n"
    following = b"GET /health/live HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
    answer = exchange(served, HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + body + following)
    assert answer.startswith(b"HTTP/1.1 202 ") and b'\r\n\r\n{"status":"live"}' in answer


def test_a_refused_request_gets_no_100_continue(served: Service) -> None:
    text = (
        b"POST /tasks/nothing-like-it HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n"
    )
    answer = exchange(served, text)
    assert answer.startswith(b"HTTP/1.1 404 ") and b"100 Continue" not in answer


def test_an_accepted_request_gets_100_continue(served: Service) -> None:
    with connect(served) as client:
        client.sendall(HEAD + b"Content-Length: 5\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n")
        assert client.recv(25) == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.sendall(b"hello")
        assert read_all(client).startswith(b"HTTP/1.1 202 ")


def test_an_http_1_0_client_can_keep_its_connection(served: Service) -> None:
    text = b"GET /health/live HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
    with connect(served) as client:
        for _ in range(2):
            client.sendall(text)
            assert b"\r\nConnection: keep-alive\r\n" in client.recv(65536)


def test_a_client_that_disconnects_does_not_affect_others(served: Service, output: str) -> None:
    for text in (
        b"GET / HT",
        HEAD + b"Content-Length: 900000\r\n\r\nx",
        f"GET {output} HTTP/1.1\r\nHost: a\r\n\r\n".encode(),
    ):
        for _ in range(20):
            client = connect(served, narrow=True)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # a reset, not an end
            client.sendall(text)
            client.close()
    others_are_served(served)


# -- stopping


def test_a_client_that_resets_its_connection_is_not_an_error(served: Service) -> None:
    assert served.web
    for _ in range(MANY):
        with connect(served) as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.sendall(b"GET /health/live HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
            client.recv(1)  # the answer has begun to come, and the server is about to end its half

    assert served.http.get("/health/live").status_code == 200
    assert "connection.failed" not in served.web.output()


@pytest.mark.slow
def test_a_stop_aborts_no_request(tmp_path: Path) -> None:
    with Service(tmp_path, TASK_MODULES="sample_tasks,client_tasks") as service:
        service.start()
        with connect(service) as half, connect(service) as upload, connect(service) as idle:
            half.sendall(b"GET /health/live HTTP/1.1\r\nHost: a\r\n")
            upload.sendall(HEAD + b"Content-Length: 300000\r\n\r\n" + b"x" * 100_000)
            time.sleep(0.5)
            assert service.web is not None
            service.web.signal(signal.SIGTERM)
            time.sleep(0.5)
            idle.sendall(b"GET /health/live HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            half.sendall(b"\r\n")
            upload.sendall(b"x" * 200_000)
            for client, status in ((idle, b"200"), (half, b"200"), (upload, b"202")):
                answer = read_all(client)
                assert answer.startswith(b"HTTP/1.1 " + status) and b"\r\nConnection: close\r\n" in answer
        assert service.web.wait(10) == 0


def test_a_reload_aborts_no_request(served: Service) -> None:
    assert served.web is not None
    [before] = served.web.children()
    with connect(served) as upload:
        upload.sendall(HEAD + b"Content-Length: 300000\r\n\r\n" + b"x" * 100_000)
        time.sleep(0.3)
        served.web.signal(signal.SIGHUP)
        eventually(lambda: served.web.children() not in ([], [before]) and httpx.get(f"{served.url}/health/live"))
        upload.sendall(b"x" * 200_000)
        assert read_all(upload).startswith(b"HTTP/1.1 202 ")
    eventually(lambda: before not in served.web.children())


@pytest.mark.slow
def test_a_loop_that_hangs_is_replaced(tmp_path: Path) -> None:
    with Service(tmp_path, GUNICORN_CMD_ARGS="--timeout 2") as service:
        service.start_web()
        assert service.web is not None
        [before] = service.web.children()
        os.kill(before, signal.SIGSTOP)
        eventually(lambda: before not in service.web.children())
        service.http.close()
        service.http = httpx.Client(base_url=service.url, timeout=30)
        eventually(service._live)


# -- TLS


@pytest.mark.slow
def test_connections_may_be_encrypted(tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "own.pem"))
    with Service(tmp_path, TASK_MODULES="sample_tasks,client_tasks", SSL_CERT_FILE="") as service:
        service.url = f"https://localhost:{service.port}"
        service.http.close()
        context = ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))
        service.http = httpx.Client(base_url=service.url, timeout=30, verify=context)
        service.env["GUNICORN_CMD_ARGS"] = f"--certfile {tmp_path / 'own.pem'}"
        service.start()
        with contextlib.closing(socket.create_connection(("127.0.0.1", service.port))):  # sends nothing
            submitted = service.http.post(
                "/tasks/echo_file", content=b"x" * 3 * 2**20, headers={"Content-Type": "text/plain"}
            )
            assert submitted.status_code == 202
            result = service.result(submitted.json()["task_id"])
            assert len(service.http.get(result["href"]).content) == 3 * 2**20


# -- other servers


@pytest.mark.slow
def test_another_wsgi_server_can_serve_the_application(served: Service) -> None:
    script = """
import threading, urllib.request
from wsgiref.simple_server import make_server
import wsgi
server = make_server("127.0.0.1", 0, wsgi.application)
threading.Thread(target=server.serve_forever, daemon=True).start()
with urllib.request.urlopen(f"http://127.0.0.1:{server.server_port}/health/live") as answer:
    assert answer.read() == b'{"status":"live"}'
"""
    command: Callable[..., subprocess.CompletedProcess[str]] = subprocess.run
    done = command(
        [sys.executable, "-c", script], env=served.env, cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
