"""Uploads by URL, through HTTP and a worker, from real foreign servers."""

import hashlib
import io
import time
from collections.abc import Iterator
from typing import Any

import pytest
from harness import Service
from http_servers import Exchange, serve
from PIL import Image
from sample_tasks import LEDGER


@pytest.fixture(scope="module")
def open_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A server that may connect to loopback addresses."""
    folder = tmp_path_factory.mktemp("open")
    settings = {"TASK_MODULES": "sample_tasks", "ALLOW_PRIVATE_ADDRESSES": "true", "MAX_UPLOAD_BYTES": "150000"}
    with Service(folder, **settings) as service:
        yield service.start()


def failure(service: Service, task_id: str) -> tuple[str, str]:
    """Type and detail of a task's error; check that its function was not called."""
    ended = service.wait_for(task_id)
    assert ended["status"] == "failed", ended
    ledger = [line.decode() for line in service.redis.client.lrange(LEDGER, 0, -1)]
    assert not any(line.startswith(task_id) for line in ledger)
    return ended["error"]["type"], ended["error"]["detail"]


def has_text(exchange: Exchange) -> None:
    """A text file."""
    exchange.reply(body=b"hello", Content_Type="text/plain; charset=utf-8")


def test_a_file_is_fetched_once_and_equals_an_uploaded_one(open_service: Service) -> None:
    paths = []

    def answer(exchange: Exchange) -> None:
        paths.append(exchange.path)
        has_text(exchange)

    with serve(answer) as url:
        result = open_service.result(open_service.submit("describe_file", file={"url": f"{url}/some/a%20b.txt?x=/c.d"}))
    assert result == {
        "same": True,
        "text": "hello",
        "filename": "a b.txt",
        "suffix": ".txt",
        "media_type": "text/plain",
        "size": 5,
        "sha256": hashlib.sha256(b"hello").hexdigest(),
        "others": [],
    }
    assert paths == ["/some/a%20b.txt?x=/c.d"]


@pytest.mark.parametrize(
    ("headers", "fields", "filename", "media_type"),
    [
        ({"Content_Type": "image/png"}, {}, "x", "image/png"),
        ({"Content_Disposition": 'attachment; filename="../../r.csv"'}, {}, "r.csv", "text/csv"),
        ({"Content_Disposition": "attachment; filename*=UTF-8''%e2%82%ac.txt"}, {}, "€.txt", "text/plain"),
        ({"Content_Type": "binary/octet-stream"}, {"filename": "a.png"}, "a.png", "image/png"),
        ({"Content_Type": "text/plain"}, {"media_type": "text/csv"}, "x", "text/csv"),
    ],
)
def test_name_and_type_come_from_the_client_or_the_remote_server(
    open_service: Service, headers: dict[str, str], fields: dict[str, str], filename: str, media_type: str
) -> None:
    with serve(lambda exchange: exchange.reply(body=b"x", **headers)) as url:
        result = open_service.result(open_service.submit("describe_file", file={"url": f"{url}/x", **fields}))
    assert (result["filename"], result["media_type"]) == (filename, media_type)


def test_lists_forms_and_queries_accept_urls(open_service: Service) -> None:
    http = open_service.http
    with serve(has_text) as url:
        one, two = f"{url}/one.txt", f"{url}/two.txt"
        data = {"data": "aGVsbG8=", "filename": "data.txt"}
        responses = [
            http.post("/tasks/describe_file", json={"file": {"url": one}, "others": [{"url": two}, data]}),
            http.post("/tasks/describe_file", params={"file": one, "others": [two]}),
            http.post("/tasks/describe_file", files={"file": (None, one), "others": ("data.txt", b"hello")}),
            http.post("/tasks/describe_file", files={"file": ("data.txt", b"hello"), "others": (None, two)}),
        ]
        assert [answer.status_code for answer in responses] == [202] * 4, [answer.text for answer in responses]
        results = [open_service.result(answer.json()["task_id"]) for answer in responses]
    assert [(each["filename"], each["others"]) for each in results] == [
        ("one.txt", ["two.txt", "data.txt"]),
        ("one.txt", ["two.txt"]),
        ("one.txt", ["data.txt"]),
        ("data.txt", ["two.txt"]),
    ]


def test_an_included_task_accepts_a_url(open_service: Service) -> None:
    picture = io.BytesIO()
    Image.new("RGB", (64, 32), "red").save(picture, "PNG")
    with serve(lambda exchange: exchange.reply(body=picture.getvalue(), Content_Type="image/png")) as url:
        task_id = open_service.submit("thumbnail", image={"url": f"{url}/red.png"}, width=16)
        assert open_service.result(task_id)["width"] == 16


def test_a_retried_task_fetches_again(open_service: Service) -> None:
    statuses = iter([503, 200])
    with serve(lambda exchange: exchange.reply(next(statuses), b"hello")) as url:
        first = open_service.submit("describe_file", file={"url": url})
        assert failure(open_service, first) == ("/problems/upload-unreachable", "upload: its server answered 503.")
        second = open_service.http.post(f"/tasks/{first}/retry").json()["task_id"]
        assert open_service.result(second)["text"] == "hello"


def never_answers(exchange: Exchange) -> None:
    """Accept the request and do not answer."""
    time.sleep(5)


def drips(exchange: Exchange) -> None:
    """Send one byte from time to time."""
    exchange.begin()
    for _ in range(50):
        exchange.wfile.write(b"x")
        time.sleep(0.1)


@pytest.mark.parametrize("slow", [never_answers, drips])
def test_a_server_that_is_too_slow_fails_the_task(open_service: Service, slow: Any) -> None:
    with serve(slow) as url:
        task_id = open_service.submit("describe_file", file={"url": f"{url}/a.txt"})
        expected = ("/problems/upload-unreachable", "a.txt: The server took too long.")
        assert failure(open_service, task_id) == expected


def test_a_file_that_is_too_large_fails_the_task(open_service: Service) -> None:
    def endless(exchange: Exchange) -> None:
        exchange.begin()
        while True:
            exchange.wfile.write(b"x" * 65536)

    with serve(endless) as url:
        task_id = open_service.submit("describe_file", file={"url": f"{url}/a.txt"})
        expected = ("/problems/too-large", "a.txt: a file may have 100000 bytes here.")
        assert failure(open_service, task_id) == expected


def test_all_files_together_have_the_limit_of_one_request(open_service: Service) -> None:
    with serve(lambda exchange: exchange.reply(body=bytes(60_000))) as url:
        two = {"file": {"url": f"{url}/a"}, "others": [{"url": f"{url}/b"}]}
        assert open_service.result(open_service.submit("describe_file", **two))["size"] == 60_000
        two["others"] *= 2  # type: ignore[operator]
        problem, detail = failure(open_service, open_service.submit("describe_file", **two))
    assert (problem, detail) == ("/problems/too-large", "b: a file may have 30000 bytes here.")


def test_a_redirect_is_followed_only_to_addresses_that_a_url_may_have(open_service: Service) -> None:
    targets = {"/meta": "http://169.254.169.254/latest/meta-data/", "/file": "file:///etc/passwd"}

    def answer(exchange: Exchange) -> None:
        if exchange.path == "/end":
            return has_text(exchange)
        return exchange.reply(302, Location=targets.get(exchange.path, "/end"))

    with serve(answer) as url:
        assert (
            open_service.result(open_service.submit("describe_file", file={"url": f"{url}/begin"}))["filename"] == "end"
        )
        for path in targets:
            task_id = open_service.submit("describe_file", file={"url": url + path})
            problem, detail = failure(open_service, task_id)
            assert problem == "/problems/upload-unreachable"
            assert "169.254" not in detail


def test_a_host_name_that_resolves_to_loopback_is_refused_by_default(service: Service) -> None:
    paths = []
    with serve(lambda exchange: paths.append(exchange.path)) as url:
        task_id = service.submit("describe_file", file={"url": url.replace("127.0.0.1", "localhost") + "/a.txt"})
        expected = ("/problems/upload-unreachable", "a.txt: The URL's host has no public address.")
        assert failure(service, task_id) == expected
    assert paths == []


@pytest.mark.parametrize(
    ("upload", "message"),
    [
        ({"url": "http://127.0.0.1/x"}, "no public address"),
        ({"url": "http://[::1]/x"}, "no public address"),
        ({"url": "http://169.254.169.254/x"}, "no public address"),
        ({"url": "ftp://example.com/x"}, "must begin with http"),
        ({"url": "file:///etc/passwd"}, "must begin with http"),
        ({"url": "https://user:pw@example.com/x"}, "user name"),
        ({"url": "https://example.com/x", "data": "aGVsbG8="}, "not permitted"),
        ({"url": 5}, "valid string"),
        ("https://example.com/x", "should be a file"),
    ],
)
def test_an_invalid_url_is_refused_before_the_task_is_queued(service: Service, upload: Any, message: str) -> None:
    answer = service.http.post("/tasks/describe_file", json={"file": upload})
    assert answer.status_code == 422
    [error] = answer.json()["errors"]
    assert error["loc"][0] == "file"
    assert message in error["msg"]


def test_a_form_field_that_is_not_a_url_is_refused(service: Service) -> None:
    for text, message in (("http://10.0.0.1/", "no public address"), ("hello", "should be a file")):
        answer = service.http.post("/tasks/describe_file", files={"file": (None, text)})
        assert answer.status_code == 422
        assert message in answer.json()["errors"][0]["msg"]
