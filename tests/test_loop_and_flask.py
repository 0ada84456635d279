"""The same requests by the loop, by Flask behind it, and by Flask behind Gunicorn's own threads: the same answers."""

import re
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from harness import Process, Service, eventually, free_port
from test_problems import ERRORS

#: A field without meaning that makes the loop pass a request to Flask.
TO_FLASK = {"Cookie": "nothing=to-say"}

#: Fields of one server or one moment.
_PER_SERVER = {"date", "server", "connection", "x-request-id", "keep-alive"}

#: Statuses of tasks that do not change while they are compared.
CASES = ("scheduled", "succeeded", "failed", "canceled", "with a file", "large")

#: A proxy that serves the application below a prefix; its host is a loopback one, as no key exists.
FORWARDED = {"X-Forwarded-Prefix": "/jobs", "X-Forwarded-Host": "localhost:8443", "X-Forwarded-Proto": "https"}

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
    "a proxy's prefix": FORWARDED,
}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A server of our worker."""
    settings = {"TASK_MODULES": "sample_tasks,client_tasks", "TRUSTED_PROXIES": "127.0.0.1"}
    with Service(tmp_path_factory.mktemp("served"), **settings) as service:
        yield service.start()


@pytest.fixture(scope="module")
def stock(served: Service) -> Iterator[str]:
    """The same application on the same Redis, behind Gunicorn's own threads; its address."""
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
    """Tasks whose status does not change, by case."""
    task_ids = {
        "scheduled": served.http.post("/tasks/divide?delay=600", json={"x": 1, "y": 2}).json()["task_id"],
        "succeeded": served.submit("divide", x=1, y=2),
        "failed": served.submit("divide", x=1, y=0),
        "canceled": served.http.post("/tasks/divide?delay=600", json={"x": 1, "y": 2}).json()["task_id"],
        "with a file": served.submit("echo_file", file={"data": "aGVsbG8="}),
        "large": served.submit("lists", numbers=[], texts=["x" * 5000]),
    }
    served.http.post(f"/tasks/{task_ids['canceled']}/cancel")
    for case, task_id in task_ids.items():
        if case != "scheduled":
            served.wait_for(task_id)
    return task_ids


def comparable(answer: httpx.Response) -> tuple[int, dict[str, str], str]:
    """Status, fields and body without the parts that differ between requests."""
    base_url = str(answer.url.copy_with(raw_path=b"")).rstrip("/")  # the three servers have different ports
    fields = {name: value.replace(base_url, "OWN") for name, value in answer.headers.items() if name not in _PER_SERVER}
    return answer.status_code, fields, re.sub(r'"request_id":"[^"]*"', '"request_id":""', answer.text)


@pytest.mark.parametrize("condition", CONDITIONS)
@pytest.mark.parametrize("suffix", ["", "/result"])
@pytest.mark.parametrize("case", CASES)
def test_the_loop_and_flask_answer_a_poll_identically(
    served: Service, stock: str, tasks: dict[str, str], case: str, suffix: str, condition: str
) -> None:
    path = f"/tasks/{tasks[case]}{suffix}"
    with httpx.Client(base_url=served.url, headers={"Accept": "*/*"}, timeout=30) as client:
        etag = client.get(path).headers.get("ETag", '"none"')
        headers = {name: value.replace("OWN", etag) for name, value in CONDITIONS[condition].items()}
        for _ in range(3):  # from the third on, the loop knows the task
            client.get(path)
        by_loop, by_flask = client.get(path, headers=headers), client.get(path, headers=headers | TO_FLASK)
    by_stock = httpx.get(stock + path, headers=headers)

    assert comparable(by_loop) == comparable(by_flask) == comparable(by_stock)
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
def test_flask_answers_identically_behind_any_server(
    served: Service, stock: str, method: str, path: str, headers: dict[str, str], content: Any
) -> None:
    ours, theirs = (httpx.request(method, url + path, headers=headers, content=content) for url in (served.url, stock))

    assert comparable(ours) == comparable(theirs)


@pytest.mark.parametrize(
    "fields", [{}, {"X-Request-ID": "mine"}, {"Content-Type": "application/json; charset=utf-8"}, FORWARDED]
)
@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("divide", '{"x": 1, "y": 2}'),
        ("nothing", "{}"),
        ("nothing", ""),
        ("divide", '{"x": 1}'),
        ("divide", '{"x": 1, "y": "2"}'),
        ("divide", '{"x": NaN, "y": 2}'),
        ("divide", "[1]"),
        ("divide", "{"),
        ("lists", '{"numbers": [1], "texts": ["\\ud800"]}'),
        ("echo_file", '{"file": {"data": "aGVsbG8="}}'),
    ],
)
def test_a_grouped_submit_and_flask_answer_identically(
    served: Service, stock: str, name: str, body: str, fields: dict[str, str]
) -> None:
    headers = {"Content-Type": "application/json"} | fields
    ways = [(served.url, {}), (served.url, TO_FLASK), (stock, {})]
    responses = [httpx.post(f"{url}/tasks/{name}", content=body.encode(), headers=headers | more) for url, more in ways]
    by_group, by_flask, by_stock = (_without_ids(comparable(answer)) for answer in responses)

    assert by_group == by_flask == by_stock
    if by_group[0] == 202:
        base = "https://localhost:8443/jobs" if fields is FORWARDED else "OWN"
        assert by_group[1]["location"] == f"{base}/tasks/ID/result"
    for answer in responses:
        if answer.status_code == 202:
            assert served.wait_for(answer.json()["task_id"])["status"] == "succeeded"


def _without_ids(response: tuple[int, dict[str, str], str]) -> tuple[int, dict[str, str], str]:
    """A response to a submit without the parts that always differ: ids, times, and the rest of a quota."""
    status, fields, body = response
    kept = {name: re.sub(r"[0-9a-f-]{36}", "ID", value) for name, value in fields.items()}
    for name in ("etag", "ratelimit", "retry-after", "content-length"):
        assert (name in kept) == (name in fields)
        kept[name] = ""
    body = re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}", "ID", body)
    return status, kept, re.sub(r'"\d{4}-[^"]*Z"|"position":\d+', "", body)


@pytest.mark.slow
def test_many_simultaneous_submits_are_all_stored_for_their_owners_and_run(tmp_path: Path) -> None:
    with Service(tmp_path, TASK_MODULES="sample_tasks") as service:
        service.start()
        url = f"{service.url}/tasks/divide"
        with ThreadPoolExecutor(32) as clients:
            responses = list(clients.map(lambda x: httpx.post(url, json={"x": x, "y": 1}), range(300)))
        assert {answer.status_code for answer in responses} == {202}
        ids = [answer.json()["task_id"] for answer in responses]
        assert len(set(ids)) == 300
        assert [service.result(task_id) for task_id in ids] == list(range(300))


def test_when_redis_hangs_open_requests_get_503_soon_and_the_loop_continues(tmp_path: Path) -> None:
    with Service(tmp_path, TASK_MODULES="sample_tasks") as service, ThreadPoolExecutor(64) as clients:
        service.start_web()
        task_id = service.submit("divide", x=1, y=2)
        service.redis.process.signal(signal.SIGSTOP)
        began = time.monotonic()

        def ask(number: int) -> tuple[int, float]:
            with httpx.Client(base_url=service.url, timeout=30) as client:
                started = time.monotonic()
                if number % 2:
                    status = client.post("/tasks/divide", json={"x": 1, "y": 2}).status_code
                else:
                    status = client.post(f"/tasks/{task_id}/cancel").status_code
                return status, time.monotonic() - started

        asking = [clients.submit(ask, number) for number in range(60)]
        while time.monotonic() - began < 1:
            assert service.http.get("/health/live", timeout=5).status_code == 200
        responses = [each.result() for each in asking]
        service.redis.process.signal(signal.SIGCONT)
        assert {status for status, _ in responses} == {503}
        assert max(seconds for _, seconds in responses) < 6  # 1.5, and the start of sixty clients on a busy machine
        eventually(lambda: service.http.post("/tasks/divide", json={"x": 1, "y": 2}).status_code == 202)


def test_a_file_is_sent_identically_whole_and_in_part(served: Service, stock: str, tasks: dict[str, str]) -> None:
    href = served.result(tasks["with a file"])["href"]
    for method, headers in (
        ("GET", {}),
        ("HEAD", {}),
        ("GET", {"Range": "bytes=1-2"}),
        ("GET", {"Range": "bytes=9-"}),
        ("GET", {"Range": "bytes=-2"}),
    ):
        ours, theirs = (httpx.request(method, url + href, headers=headers) for url in (served.url, stock))
        assert comparable(ours) == comparable(theirs)
