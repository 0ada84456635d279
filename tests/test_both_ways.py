"""The same requests by the loop, by Flask behind it, and by Flask behind Gunicorn's own threads: the same answers."""

import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from harness import Process, Service, eventually, free_port
from test_problems import ERRORS

#: A field that says nothing, and with which the loop leaves a request to Flask.
TO_FLASK = {"Cookie": "nothing=to-say"}

#: Fields of one server or one moment.
_OWN = {"date", "server", "connection", "x-request-id", "keep-alive"}

#: Statuses of tasks that do not change while they are compared.
KINDS = ("scheduled", "succeeded", "failed", "canceled", "with a file", "large")

CONDITIONS: dict[str, dict[str, str]] = {
    "no condition": {},
    "its own tag": {"If-None-Match": "OWN"},
    "another tag": {"If-None-Match": '"0123456789abcdef01234567"'},
    "a list of tags": {"If-None-Match": '"a", OWN'},
    "a weak tag": {"If-None-Match": "W/OWN"},
    "any tag": {"If-None-Match": "*"},
    "a type": {"Accept": "image/png"},
    "any type": {"Accept": "*/*"},
    "a request id": {"X-Request-ID": "of.the-client_1"},
    "a wrong request id": {"X-Request-ID": "has spaces"},
}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A server of our worker."""
    settings = {"TASK_MODULES": "sample_tasks,client_tasks", "PYTHONHASHSEED": "0"}  # the order of sets is in answers
    with Service(tmp_path_factory.mktemp("served"), **settings) as made:
        yield made.start()


@pytest.fixture(scope="module")
def stock(served: Service) -> Iterator[str]:
    """The same application on the same Redis, behind the threads that come with Gunicorn; its address."""
    port = free_port()
    command = ["gunicorn", "-c", "/dev/null", "-k", "gthread", "--threads", "2", "-b", f"127.0.0.1:{port}", "wsgi"]
    process = Process(command, served.folder / "stock.log", served.env | {"PORT": str(port)})
    url = f"http://127.0.0.1:{port}"

    def live() -> bool:
        try:
            return httpx.get(f"{url}/health/live").status_code == 200
        except httpx.TransportError:
            return False

    eventually(live, seconds=60)
    yield url
    process.kill()


@pytest.fixture(scope="module")
def tasks(served: Service) -> dict[str, str]:
    """Tasks that stay as they are, by what they are."""
    made = {
        "scheduled": served.http.post("/tasks/divide?delay=600", json={"x": 1, "y": 2}).json()["task_id"],
        "succeeded": served.submit("divide", x=1, y=2),
        "failed": served.submit("divide", x=1, y=0),
        "canceled": served.http.post("/tasks/divide?delay=600", json={"x": 1, "y": 2}).json()["task_id"],
        "with a file": served.submit("echo_file", file={"data": "aGVsbG8="}),
        "large": served.submit("lists", numbers=[], words=["x" * 5000]),
    }
    served.http.post(f"/tasks/{made['canceled']}/cancel")
    for kind, task_id in made.items():
        if kind != "scheduled":
            served.wait_for(task_id)
    return made


def told(answer: httpx.Response) -> tuple[int, dict[str, str], str]:
    """Status, fields and body, but for what belongs to one request."""
    fields = {name: value for name, value in answer.headers.items() if name not in _OWN}
    return answer.status_code, fields, re.sub(r'"request_id":"[^"]*"', '"request_id":""', answer.text)


@pytest.mark.parametrize("condition", CONDITIONS)
@pytest.mark.parametrize("suffix", ["", "/result"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_poll_is_answered_alike_by_the_loop_and_by_flask(
    served: Service, stock: str, tasks: dict[str, str], kind: str, suffix: str, condition: str
) -> None:
    path = f"/tasks/{tasks[kind]}{suffix}"
    with httpx.Client(base_url=served.url, headers={"Accept": "*/*"}, timeout=30) as client:
        etag = client.get(path).headers.get("ETag", '"none"')
        headers = {name: value.replace("OWN", etag) for name, value in CONDITIONS[condition].items()}
        for _ in range(3):  # from the third on, the loop knows the task
            client.get(path)
        by_loop, by_flask = client.get(path, headers=headers), client.get(path, headers=headers | TO_FLASK)
    by_stock = httpx.get(stock + path, headers=headers)

    assert told(by_loop) == told(by_flask) == told(by_stock)
    if condition == "a request id":
        assert by_loop.headers["X-Request-ID"] == by_flask.headers["X-Request-ID"] == "of.the-client_1"


@pytest.mark.parametrize(
    ("method", "path", "headers", "content"),
    [
        *[row[:4] for row in ERRORS],
        ("GET", "/health/live", {}, None),
        ("HEAD", "/health/live", {}, None),
        ("OPTIONS", "/catalog", {}, None),
        ("GET", "/catalog", {}, None),
        ("HEAD", "/catalog", {}, None),
        ("GET", "/catalog/divide", {"Accept-Encoding": "gzip"}, None),
        ("GET", "/openapi.json", {}, None),
        ("GET", "/problems/not-found", {"Accept": "text/html"}, None),
        ("GET", "/tasks?limit=3", {}, None),
        ("GET", "/queues", {}, None),
        ("GET", "/tasks/divide%2F..", {}, None),
        ("GET", "/%C3%A4?b=%20c", {}, None),
        ("GET", "//double//slash", {}, None),
    ],
    ids=lambda value: str(value)[:40],
)
def test_whatever_the_server_before_it_flask_answers_alike(
    served: Service, stock: str, method: str, path: str, headers: dict[str, str], content: Any
) -> None:
    ours, theirs = (httpx.request(method, url + path, headers=headers, content=content) for url in (served.url, stock))

    assert told(ours) == told(theirs)


def test_a_file_is_sent_alike_whole_and_in_part(served: Service, stock: str, tasks: dict[str, str]) -> None:
    href = served.result(tasks["with a file"])["href"]
    for method, headers in (
        ("GET", {}),
        ("HEAD", {}),
        ("GET", {"Range": "bytes=1-2"}),
        ("GET", {"Range": "bytes=9-"}),
        ("GET", {"Range": "bytes=-2"}),
    ):
        ours, theirs = (httpx.request(method, url + href, headers=headers) for url in (served.url, stock))
        assert told(ours) == told(theirs)
