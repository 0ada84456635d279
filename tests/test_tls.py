"""`rediss://`: web and worker use TLS for Redis and refuse untrusted certificates."""

import contextlib
import os
import select
import shlex
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness import PROCFILE, Process, Service, eventually
from mail_server import make_certificate


class Front:
    """A TLS proxy in front of a Redis without TLS."""

    def __init__(self, certificate: Path, redis_port: int) -> None:
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificate)
        self._redis_port = redis_port
        self._door = socket.create_server(("127.0.0.1", 0))
        self.port = self._door.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):  # it is closed
            while True:
                client, _ = self._door.accept()
                threading.Thread(target=self._relay, args=(client,), daemon=True).start()

    def _relay(self, plain: socket.socket) -> None:
        with (
            contextlib.suppress(OSError),
            socket.create_connection(("127.0.0.1", self._redis_port)) as server,
            self._context.wrap_socket(plain, server_side=True) as client,
        ):
            others = {client: server, server: client}
            while True:
                for one in [client] if client.pending() else select.select([*others], [], [])[0]:
                    data = one.recv(2**16)
                    if not data:
                        return
                    others[one].sendall(data)

    def close(self) -> None:
        """Accept no more connections."""
        self._door.close()


@pytest.fixture
def behind_tls(tmp_path: Path) -> Iterator[Service]:
    """A server whose Redis is reachable by TLS only, with a self-made certificate. Nothing is started."""
    certificate = make_certificate(tmp_path)
    with (
        Service(tmp_path, TASK_MODULES="sample_tasks") as service,
        contextlib.closing(Front(certificate, service.redis.port)) as front,
    ):
        service.env["REDIS_URL"] = f"rediss://localhost:{front.port}/0"
        yield service


def works(service: Service) -> None:
    """Submit, wait, receive events and read: every way in which web and worker use Redis."""
    service.start()
    answer = service.http.post("/tasks/reports?wait=20", json={"seconds": 0.5})
    assert (answer.status_code, answer.json()["status"]) == (200, "succeeded")
    assert "event: done" in service.http.get(f"/tasks/{answer.json()['task_id']}/events").text
    data = os.urandom(2**20)
    answer = service.http.post("/tasks/echo_file?wait=20", files={"file": data})
    assert service.http.get(answer.json()["result"]["href"]).content == data
    answer = service.http.post("/tasks/describe_file?wait=20", files={"file": b"x" * 90_000})
    assert answer.json()["result"]["same"]


@pytest.mark.slow
def test_a_trusted_certificate_is_accepted(behind_tls: Service, tmp_path: Path) -> None:
    behind_tls.env["SSL_CERT_FILE"] = str(tmp_path / "certificate.pem")
    works(behind_tls)


@pytest.mark.slow
def test_any_certificate_is_accepted_with_the_setting(behind_tls: Service) -> None:
    behind_tls.env["REDIS_TLS_VERIFY"] = "false"
    works(behind_tls)


@pytest.mark.slow
@pytest.mark.parametrize("option", ["ssl_cert_reqs=none", "ssl_ca_certs={folder}/certificate.pem"])
def test_an_option_of_the_url_makes_a_certificate_accepted(behind_tls: Service, tmp_path: Path, option: str) -> None:
    behind_tls.env["REDIS_URL"] += f"?{option.format(folder=tmp_path)}"
    works(behind_tls)


@pytest.mark.slow
def test_an_untrusted_certificate_is_refused(behind_tls: Service, tmp_path: Path) -> None:
    web = behind_tls.start_web()
    refusal = behind_tls.http.post("/tasks/ledgered", json={})
    for answer in (refusal, behind_tls.http.get("/health/ready")):
        assert (answer.status_code, "certificate of Redis is not trusted" in answer.json()["detail"]) == (503, True)
        assert "REDIS_TLS_VERIFY" in answer.json()["detail"]
    assert "certificate verify failed" in web.output()
    worker = Process(shlex.split(PROCFILE["worker"]), tmp_path / "worker.log", behind_tls.env)
    behind_tls.workers.append(worker)
    eventually(lambda: "certificate verify failed" in worker.output())
    assert " ready." not in worker.output()
    assert behind_tls.redis.client.dbsize() == 0
