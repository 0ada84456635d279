"""The form of every error (RFC 9457): one table, one test."""

import json
import re
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from harness import ROOT, Service

from server import tasks
from server.sdk.errors import TaskError, describe
from server.services.failures import report
from server.services.status import failure_object
from server.settings import Settings
from server.store import Store
from server.web.app import create_app
from server.web.errors import Problem, of_gunicorn, problem_types

tasks.load(Settings(redis_url="redis://unused"))
PROBLEMS = problem_types()

UNKNOWN = "018f0000-0000-7000-8000-000000000000"
RAW = {"Content-Type": "text/plain"}

#: method, path, headers, body, status, type
ERRORS: list[tuple[str, str, dict[str, str], Any, int, str]] = [
    ("POST", "/tasks/divide", {"Content-Type": "application/json"}, "{", 400, "malformed-body"),
    ("POST", "/tasks/divide?wiat=1", {"Content-Type": "application/json"}, "{}", 400, "bad-request"),
    ("GET", "/catalog", {"Authorization": "Bearer nonsense"}, None, 401, "unauthenticated"),
    ("GET", "/catalog", {"Authorization": "Basic YTpi"}, None, 401, "unauthenticated"),
    ("GET", "/catalog", {"Host": "evil.example"}, None, 401, "unauthenticated"),
    ("POST", "/tasks/divide", {"Origin": "https://evil.example"}, "{}", 403, "forbidden"),
    ("POST", "/tasks/divide", {"Origin": "null"}, "{}", 403, "forbidden"),
    ("POST", "/tasks/divide", {"Origin": "http://[::1"}, "{}", 403, "forbidden"),
    ("GET", "/nowhere", {}, None, 404, "not-found"),
    ("GET", f"/tasks/{UNKNOWN}", {}, None, 404, "unknown-task"),
    ("GET", f"/tasks/{UNKNOWN}/result", {}, None, 404, "unknown-task"),
    ("GET", f"/tasks/{UNKNOWN}/files/a", {}, None, 404, "unknown-task"),
    ("POST", f"/tasks/{UNKNOWN}/cancel", {}, None, 404, "unknown-task"),
    ("POST", "/tasks/no-such-kind", {}, None, 404, "unknown-task-type"),
    ("GET", "/catalog/no-such-kind", {}, None, 404, "unknown-task-type"),
    ("GET", "/problems/Nothing!", {}, None, 404, "not-found"),
    ("DELETE", "/catalog", {}, None, 405, "method-not-allowed"),
    ("BREW", "/catalog", {}, None, 405, "method-not-allowed"),
    ("POST", "/tasks/echo_file", RAW, b"x" * (20 * 2**20 + 1), 413, "too-large"),
    ("POST", "/tasks/echo_file", {"Content-Type": "image/png"}, b"x", 415, "unsupported-media-type"),
    ("POST", "/tasks/divide", {"Content-Type": "application/json"}, '{"x":1}', 422, "invalid-input"),
]


def check_shape(answer: httpx.Response, status: int, name: str) -> dict[str, Any]:
    """Check the form of an error."""
    body: dict[str, Any] = answer.json()
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.headers["Cache-Control"] == "no-store"
    assert body["type"] == f"/problems/{name}"
    assert body["status"] == status
    assert body["title"] == PROBLEMS[name].title
    assert body["detail"]
    assert body["request_id"] == answer.headers["X-Request-ID"]
    for each in body.get("errors", ()):
        assert each.keys() == {"loc", "msg"}
        assert isinstance(each["loc"], list)
    for secret in ("Traceback", str(ROOT), ".py", "redis", "127.0.0.1", "secret"):
        assert secret not in answer.text
    return body


@pytest.mark.parametrize(
    ("method", "path", "headers", "content", "status", "name"),
    ERRORS,
    ids=[f"{row[0]} {row[1]} {row[5]} {' '.join(row[2].values())}" for row in ERRORS],
)
def test_every_error_has_the_same_shape(
    service: Service, method: str, path: str, headers: dict[str, str], content: Any, status: int, name: str
) -> None:
    check_shape(service.http.request(method, path, headers=headers, content=content), status, name)


def test_errors_have_the_headers_that_http_requires(service: Service) -> None:
    assert service.http.delete("/catalog").headers["Allow"] == "GET, HEAD, OPTIONS"
    refused = service.http.get("/catalog", headers={"Authorization": "Bearer x"})
    assert refused.headers["WWW-Authenticate"].startswith("Bearer")


def test_an_ended_task_without_a_result_is_409(service: Service) -> None:
    failed = service.submit("divide", x=1, y=0)
    service.wait_for(failed)

    body = check_shape(service.http.get(f"/tasks/{failed}/result"), 409, "task-failed")

    assert body["error"]["type"] == "/problems/division-by-zero"
    assert body["task_id"] == failed


def test_a_head_has_no_body_but_the_same_headers(service: Service) -> None:
    answer = service.http.head("/nowhere")

    assert (answer.status_code, answer.content) == (404, b"")
    assert answer.headers["Content-Type"] == "application/problem+json"


def test_problem_types_are_slugs_with_sentences() -> None:
    for name, problem_type in PROBLEMS.items():
        assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name)
        assert 400 <= problem_type.status < 600
        assert problem_type.title[0].isupper()
        assert not problem_type.title.endswith(".")
        assert problem_type.advice.endswith(".")
        body = Problem(name).body("/jobs")
        assert body == {
            "type": f"/jobs/problems/{name}",
            "title": problem_type.title,
            "status": problem_type.status,
            "detail": problem_type.advice,
        }


def test_every_problem_type_is_raised_somewhere() -> None:
    code = "".join(path.read_text() for path in (ROOT / "server").rglob("*.py"))

    # Once where it is registered, and once more where it is raised, or is the type of an exception.
    assert [name for name in PROBLEMS if code.count(f'"{name}"') < 2] == []


def test_every_problem_has_its_page(service: Service) -> None:
    for name in (*PROBLEMS, "division-by-zero"):
        page = service.http.get(f"/problems/{name}", headers={"Accept": "text/html"})
        assert page.status_code == 200, name
        assert page.headers["Content-Type"].startswith("text/html")


def test_errors_of_gunicorn_have_the_same_shape() -> None:
    head, _, body = of_gunicorn("", 414).partition(b"\r\n\r\n")

    assert b"application/problem+json" in head
    assert json.loads(body).keys() == {"type", "title", "status", "detail"}
    assert f"Content-Length: {len(body)}".encode() in head


class LibraryError(ValueError):
    """An exception of another library."""


@pytest.mark.parametrize(
    ("error", "detail"),
    [
        (TaskError("no-cheese", "There is none."), "There is none."),
        (ValueError("5 is too many"), "ValueError: 5 is too many"),
        (ValueError("see 1/2 and a/b at 12:30"), "ValueError: see 1/2 and a/b at 12:30"),
        (KeyError("cheese"), "KeyError: 'cheese'"),
        (ValueError("/srv/x.txt, ~/x/y and 'file:///etc/passwd'"), "ValueError: …, … and '…"),
        (ValueError("redis.internal:6379"), "ValueError: …"),
        (ValueError("10.0.0.1"), "ValueError: …"),
        (ValueError("redis://user:password@host/0"), "ValueError: …"),
        (ValueError("x" * 2_000), "ValueError: " + "x" * 500),
        (LibraryError("anything"), "LibraryError; see the worker's log for this task id"),
        (OSError("/etc/passwd"), "OSError; see the worker's log for this task id"),
        (RuntimeError("secret"), "RuntimeError; see the worker's log for this task id"),
        (UnicodeDecodeError("utf-8", b"secret", 0, 1, "x"), "UnicodeDecodeError; see the worker's log"),
    ],
)
def test_an_exception_is_described_without_paths_addresses_and_foreign_messages(error: Exception, detail: str) -> None:
    problem = describe(error)

    assert problem.keys() == {"type", "title", "detail"}
    assert problem["detail"].startswith(detail)


class Mute(Exception):
    def __str__(self) -> str:
        raise KeyError("message")


@pytest.mark.parametrize(
    ("error", "detail"),
    [
        (ValueError("caf\udce9.txt"), "ValueError: caf\\udce9.txt"),  # the name of a file that is not UTF-8
        (TaskError("bad-name", "caf\udce9.txt"), "caf\\udce9.txt"),
        (TaskError("bad-row", 5), "5"),  # type: ignore[arg-type]
        (TaskError("bad-row", ValueError("no comma")), "no comma"),  # type: ignore[arg-type]
        (TaskError("bad-row", "x" * 10_000), "x" * 4_000),
        (Mute(), "Mute; see the worker's log for this task id"),
    ],
)
def test_every_exception_can_be_stored_and_shown(error: Exception, detail: str) -> None:
    problem = json.loads(json.dumps(describe(error)))

    assert failure_object(problem, "").detail == problem["detail"] == detail
    assert json.loads(failure_object(problem, "").as_json())["detail"] == detail
    assert json.loads(report(error, "worker"))["exception"].endswith(type(error).__name__)


def test_a_long_message_is_described_quickly() -> None:
    began = time.monotonic()

    assert describe(ValueError("x" * 100_000))["detail"] == "ValueError: " + "x" * 500
    assert time.monotonic() - began < 1


def test_the_type_of_a_task_error_is_a_slug() -> None:
    for wrong in ("Too Much", "", "a--b", "../x", "a_b"):
        with pytest.raises(ValueError, match="slug"):
            TaskError(wrong, "x")


def test_without_redis_every_route_that_needs_it_answers_503_quickly(tmp_path: Path) -> None:
    with Service(tmp_path, TASK_MODULES="sample_tasks") as service:
        service.start_web()
        task_id = service.submit("divide", x=1, y=1)
        service.redis.process.kill()
        for method, path in (
            ("POST", "/tasks/divide"),
            ("GET", f"/tasks/{task_id}"),
            ("GET", f"/tasks/{task_id}/result"),
            ("POST", f"/tasks/{task_id}/cancel"),
            ("GET", "/health/ready"),
            ("GET", "/metrics"),
        ):
            answer = service.http.request(method, path, json={"x": 1, "y": 1} if path.endswith("divide") else None)
            check_shape(answer, 503, "unavailable")
            assert int(answer.headers["Retry-After"]) >= 1
        assert service.http.get("/health/live").status_code == 200
        service.redis.start()
        assert service.http.get(f"/tasks/{task_id}").status_code == 200


def test_an_os_error_of_our_own_code_is_an_internal_error_with_a_traceback(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    app = create_app(Store(Settings(redis_url=service.redis.url, host="127.0.0.1")))

    def broken() -> str:
        raise FileNotFoundError("/etc/secret")

    app.add_url_rule("/broken", view_func=broken)
    answer = app.test_client().get("/broken", headers={"Host": "127.0.0.1"})
    assert (answer.status_code, answer.get_json()["type"]) == (500, "/problems/internal-error")
    assert "secret" not in answer.text
    assert [record.exc_info for record in caplog.records if record.exc_info]


def test_a_full_redis_is_the_problem_storage_full(tmp_path: Path) -> None:
    with Service(tmp_path, TASK_MODULES="sample_tasks,client_tasks") as service:
        service.start_web()
        client: Any = service.redis.client
        client.config_set("maxmemory", 1)
        for body in ({"content": b"x" * 2**20, "headers": RAW}, {"json": {"file": {"data": "aGk="}}}):
            answer = service.http.post("/tasks/echo_file", **body)  # type: ignore[arg-type]
            check_shape(answer, 503, "storage-full")
            assert "Retry-After" in answer.headers
        client.config_set("maxmemory", 0)
        assert not [*client.scan_iter(service.keys.blob("data:*")), *client.scan_iter(service.keys.task("*"))]
