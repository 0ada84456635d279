"""The three forms of a body through real HTTP: their meaning, and the answers to invalid ones."""

import base64
import json
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from harness import Service

JSON = {"Content-Type": "application/json"}
FORM = {"Content-Type": "multipart/form-data; boundary=XX"}
URLENCODED = {"Content-Type": "application/x-www-form-urlencoded"}
TEXT = {"Content-Type": "text/plain"}

FILE = '--XX\nContent-Disposition: form-data; name="file"; filename="a.txt"\nContent-Type: text/plain\n\nhello\n'
END = "--XX--\n"

needs_curl = pytest.mark.skipif(not shutil.which("curl"), reason="there is no curl here")


def field(name: str, value: str) -> str:
    return f'--XX\nContent-Disposition: form-data; name="{name}"\n\n{value}\n'


def form(*parts: str) -> bytes:
    return "".join(parts).replace("\n", "\r\n").encode()


def kept(service: Service) -> list[Any]:
    """Counts that a refused request must not change: tasks, messages, files."""
    client: Any = service.redis.client
    submitted = {k: v for k, v in client.hgetall(service.keys.stats).items() if k.endswith(b":submitted")}
    blobs = sorted(client.scan_iter(service.keys.blob("data:*"))) + sorted(client.scan_iter(service.keys.blob("new:*")))
    return [submitted, blobs, int(client.get(service.keys.blob("bytes")) or 0)]


REFUSED: list[tuple[str, str, bytes | str, dict[str, str], int, str]] = [
    # id, path, body, headers, status, a part of the detail or of the errors
    ("JSON that ends", "typed", '{"text":', JSON, 400, "Invalid JSON"),
    ("not valid UTF-8", "typed", b'{"text":"\xff"}', JSON, 400, "Invalid JSON"),
    ("UTF-16", "typed", '{"text":"a"}'.encode("utf-16"), JSON, 400, "Invalid JSON"),
    ("half a surrogate pair", "typed", '{"text":"\\ud800"}', JSON, 400, "Invalid JSON"),
    ("deep nesting", "typed", '{"text":' + "[" * 100_000, JSON, 400, "recursion limit"),
    ("a number of 5,000 digits", "typed", '{"text":"a","number":' + "9" * 5_000 + "}", JSON, 400, "out of range"),
    ("a list", "typed", "[1]", JSON, 422, "Input should be an object"),
    ("null", "typed", "null", JSON, 422, "Input should be an object"),
    ("a wrong type", "typed", '{"text": 5}', JSON, 422, '"loc":["text"]'),
    ("a text for a number", "typed", '{"text":"a","number":"5"}', JSON, 422, '"loc":["number"]'),
    ("true for a number", "typed", '{"text":"a","number":true}', JSON, 422, '"loc":["number"]'),
    ("half an integer", "typed", '{"text":"a","number":1.5}', JSON, 422, '"loc":["number"]'),
    ("out of bounds", "typed", '{"text":"a","number":11}', JSON, 422, "less than or equal to 10"),
    ("no such member", "typed", '{"text":"a","colour":"green"}', JSON, 422, "'red' or 'blue'"),
    ("wrong inside", "typed", '{"text":"a","items":[{"name":"x","price":0}]}', JSON, 422, '["items",0,"price"]'),
    ("missing", "typed", "{}", JSON, 422, "Field required"),
    ("an empty body", "typed", "", JSON, 422, "Field required"),
    ("no body at all", "typed", "", {}, 422, "Field required"),
    ("extra", "typed", '{"text":"a","zzz":1}', JSON, 422, '"loc":["zzz"]'),
    ("in a branch", "send_email", '{"recipients":[{"email":"x"}]}', JSON, 422, '"loc":["recipients",0,"email"]'),
    ("no branch", "send_email", '{"recipients":[{"e":"x"}]}', JSON, 422, '"loc":["recipients",0,"email"]'),
    ("NaN", "divide", '{"x":NaN,"y":1}', JSON, 422, '"loc":["x"]'),
    ("a float's infinity", "divide", '{"x":1e999,"y":1}', JSON, 422, '"loc":["x"]'),
    ("an infinity inside", "loose", '{"anything":{"a":[1e999]}}', JSON, 422, "finite numbers"),
    ("NaN inside", "loose", '{"anything":{"a":[NaN]}}', JSON, 422, "finite numbers"),
    ("JSON and a query", "divide?x=1", '{"x":1,"y":1}', JSON, 400, "Unknown in the query: x"),
    ("an unknown query", "divide?wiat=5", '{"x":1,"y":1}', JSON, 400, "Unknown in the query: wiat"),
    ("a compressed body", "divide", '{"x":1,"y":1}', JSON | {"Content-Encoding": "gzip"}, 415, "gzip"),
    ("another type", "typed", "<a/>", {"Content-Type": "application/xml"}, 415, "application/json"),
    ("no type", "typed", '{"text":"a"}', {}, 415, "application/json"),
    ("curl -d without a type", "divide", '{"x":7,"y":2}', URLENCODED, 415, "Content-Type: application/json"),
    ("a query that is not valid UTF-8", "typed?text=%ff", "", {}, 400, "UTF-8"),
    ("a form that is not valid UTF-8", "typed", "text=%ff", URLENCODED, 400, "UTF-8"),
    ("a query given twice", "divide?x=1&x=2&y=3", "", {}, 422, "Given more than once"),
    ("a form's field twice", "divide", "x=1&x=2&y=3", URLENCODED, 422, "Given more than once"),
    # parameters that do not fit together
    ("a watermark of nothing", "watermark", '{"image":{"data":"aGk="}}', JSON, 422, "give a `mark` or a `text`"),
    (
        "a watermark of nothing in a form",
        "watermark",
        form(FILE.replace('"file"', '"image"').replace("text/plain", "image/png"), field("opacity", "1"), END),
        FORM,
        422,
        "give a `mark` or a `text`",
    ),
    (
        "a watermark of nothing in a list",
        "image_pipeline",
        '{"image":{"data":"aGk="},"operations":[{"op":"blur"},{"op":"watermark"}]}',
        JSON,
        422,
        "give a `mark` or a `text`",
    ),
    # uploads in JSON
    ("Base64 that is none", "echo_file", '{"file":{"data":"####"}}', JSON, 422, '["file","data"]'),
    ("Base64 cut short", "echo_file", '{"file":{"data":"a"}}', JSON, 422, '["file","data"]'),
    ("a number for Base64", "count_files", '{"files":[{"data":"aGk="},{"data":5}]}', JSON, 422, '["files",1,"data"]'),
    ("a text for a file", "echo_file", '{"file":"aGk="}', JSON, 422, '"loc":["file"]'),
    ("one file for a list", "count_files", '{"files":{"data":"aGk="}}', JSON, 422, '"loc":["files"]'),
    (
        "someone's blob",
        "echo_file",
        '{"file":{"key":"x/in-0","filename":"a","media_type":"a/b","size":1}}',
        JSON,
        422,
        "",
    ),
    ("a line break in a type", "echo_file", '{"file":{"data":"aGk=","media_type":"text/a\\r\\nb: c"}}', JSON, 415, ""),
    ("a type not taken", "echo_file", '{"file":{"data":"aGk=","filename":"a.png"}}', JSON, 415, "text/*"),
    # raw
    ("an empty file", "echo_file", "", TEXT, 400, "empty"),
    ("a raw type not taken", "echo_file", "x", {"Content-Type": "image/png"}, 415, "text/*"),
    ("a raw body and a wrong query", "echo_file?nme=a", "x", TEXT, 422, '"loc":["nme"]'),
    # forms
    ("no boundary", "echo_file", form(FILE, END), {"Content-Type": "multipart/form-data"}, 400, "boundary"),
    ("a wrong boundary", "echo_file", form(FILE, END).replace(b"XX", b"YY"), FORM, 400, "malformed"),
    ("a form cut short", "echo_file", form(FILE)[:-10], FORM, 400, "malformed"),
    ("a form without its end", "echo_file", form(FILE, field("name", "b")), FORM, 400, "malformed"),
    ("a form of nothing", "echo_file", b"", FORM, 400, "malformed"),
    ("a form without the file", "echo_file", form(END), FORM, 422, "Field required"),
    ("two files for one", "echo_file", form(FILE, FILE, END), FORM, 422, "Given more than once"),
    ("two fields for one", "echo_file", form(FILE, field("name", "a"), field("name", "b"), END), FORM, 422, "once"),
    (
        "a file for a field",
        "echo_file",
        form(FILE, FILE.replace('"file"', '"name"'), END),
        FORM,
        422,
        "accepts no file",
    ),
    (
        "a file for nothing",
        "echo_file",
        form(FILE, FILE.replace('"file"', '"zzz"'), END),
        FORM,
        422,
        "accepts no file",
    ),
    ("a field for nothing", "echo_file", form(FILE, field("zzz", "a"), END), FORM, 422, '"loc":["zzz"]'),
    ("a name for a file", "echo_file", form(field("file", "cat.jpg"), END), FORM, 422, "-F file=@"),
    ("a part without a name", "echo_file", form(FILE.replace('name="file"; ', ""), END), FORM, 400, "no name"),
    ("a part without a header", "echo_file", form("--XX\nContent-Type: text/plain\n\nb\n", END), FORM, 400, ""),
    (
        "a field that is not valid UTF-8",
        "echo_file",
        form(FILE, field("name", "é"), END).decode().encode("latin-1"),
        FORM,
        400,
        "",
    ),
    (
        "an empty file input",
        "echo_file",
        form(FILE.replace("a.txt", "").replace("hello", ""), END),
        FORM,
        422,
        "required",
    ),
    ("a field of 2 MB", "echo_file", form(FILE, field("name", "x" * 2**21), END), FORM, 413, "1048576 bytes"),
    ("250 fields", "echo_file", form(field("name", "x") * 250, FILE, END), FORM, 413, "200 parts"),
    ("nested JSON cut short", "typed", form(field("text", "a"), field("items", '[{"a"'), END), FORM, 422, "valid JSON"),
    (
        "nested JSON, deep",
        "typed",
        form(field("text", "a"), field("items", "[" * 100_000), END),
        FORM,
        422,
        "valid JSON",
    ),
    ("nested NaN", "typed", form(field("text", "a"), field("extra", '{"a":NaN}'), END), FORM, 422, "finite"),
    ("not a number", "typed", form(field("text", "a"), field("number", "0x5"), END), FORM, 422, '"loc":["number"]'),
    ("true for a number in a form", "typed", form(field("text", "a"), field("number", "true"), END), FORM, 422, ""),
    ("neither yes nor no", "typed", form(field("text", "a"), field("flag", "maybe"), END), FORM, 422, '"loc":["flag"]'),
]


@pytest.mark.parametrize(
    ("path", "body", "headers", "status", "word"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED]
)
def test_invalid_input_is_refused_and_not_stored(
    service: Service, path: str, body: bytes | str, headers: dict[str, str], status: int, word: str
) -> None:
    before = kept(service)

    answer = service.http.post(f"/tasks/{path}", content=body, headers=headers)

    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert word in answer.text
    assert kept(service) == before


def meaning(service: Service, path: str, **request: Any) -> Any:
    """The result of a submit in any form."""
    answer = service.http.post(f"/tasks/{path}", **request)
    assert answer.status_code == 202, answer.text
    return service.result(answer.json()["task_id"])


PARAMETERS = {
    "text": "grün [5]",
    "number": 5,
    "flag": True,
    "colour": "blue",
    "size": "l",
    "items": [{"name": "x", "price": 1.5}, {"name": "y", "price": 2.0}],
    "extra": {"a": 1},
}


def test_json_a_form_and_a_query_mean_the_same(service: Service) -> None:
    texts = {k: v if isinstance(v, str) else json.dumps(v) for k, v in PARAMETERS.items()}

    assert meaning(service, "typed", json=PARAMETERS) == PARAMETERS
    assert meaning(service, "typed", files={k: (None, v) for k, v in texts.items()}) == PARAMETERS
    assert meaning(service, "typed", data=texts) == PARAMETERS
    assert meaning(service, "typed", params=texts) == PARAMETERS


def test_a_list_is_sent_as_json_or_by_repeating_its_name(service: Service) -> None:
    items = [json.dumps(item) for item in PARAMETERS["items"]]  # type: ignore[attr-defined]

    assert meaning(service, "typed", data={"text": "a", "items": items})["items"] == PARAMETERS["items"]
    assert meaning(service, "typed", data={"text": "a", "items": items[0]})["items"] == PARAMETERS["items"][:1]  # type: ignore[index]
    assert meaning(service, "lists", data={"numbers": ["1", "2"], "texts": "a"}) == {"numbers": [1, 2], "texts": ["a"]}
    assert meaning(service, "lists", data={"numbers": "[1, 2]", "texts": ["[a", "{b"]})["texts"] == ["[a", "{b"]


@pytest.mark.parametrize("text", ["1.0", "1e0", "1"])
def test_an_integer_may_have_any_form_that_json_schema_permits(service: Service, text: str) -> None:
    body = '{"text": "a", "number": %s}' % text  # noqa: UP031

    assert meaning(service, "typed", content=body, headers=JSON)["number"] == 1
    assert meaning(service, "typed", data={"text": "a", "number": text})["number"] == 1


def test_json_may_have_a_charset_a_byte_order_mark_and_a_suffix(service: Service) -> None:
    body = b'\xef\xbb\xbf{"text": "\xc3\xa9"}'
    for media_type in ("application/json; charset=utf-8", "application/vnd.me.v1+json", "Application/JSON"):
        assert meaning(service, "typed", content=body, headers={"Content-Type": media_type})["text"] == "é"


def test_dates_enums_and_choices_are_sent_as_text(service: Service) -> None:
    parameters = {"day": "2026-02-28", "moment": "2026-02-28T12:00:00Z", "choice": 2, "level": 3}

    assert meaning(service, "moments", json=parameters) == parameters
    assert meaning(service, "moments", data={k: str(v) for k, v in parameters.items()}) == parameters


def test_an_empty_field_of_a_form_is_null_for_an_optional_date_and_a_text_for_an_optional_text(
    service: Service,
) -> None:
    assert meaning(service, "optional_values", data={"day": "", "word": ""}) == {"day": None, "word": ""}


def test_a_file_is_sent_in_a_form_in_json_or_raw(service: Service) -> None:
    text = "grüße\n".encode() * 1000
    inline = {"data": base64.b64encode(text).decode(), "filename": "a.txt"}
    for request in (
        {"files": {"file": ("a.txt", text, "text/plain")}, "data": {"name": "b.txt"}},
        {"json": {"file": inline, "name": "b.txt"}},
        {"files": {"file": (None, json.dumps(inline)), "name": (None, "b.txt")}},
        {"content": text, "headers": TEXT, "params": {"name": "b.txt"}},
        {"content": text, "params": {"name": "b.txt"}},
        {"content": iter([text[:10], text[10:]]), "headers": TEXT, "params": {"name": "b.txt"}},
    ):
        file = meaning(service, "echo_file", **request)  # type: ignore[arg-type]
        assert file["bytes"] == len(text)
        assert file["name"] == "b.txt"
        assert service.http.get(file["href"]).content == text


def test_several_files_are_sent_under_one_name(service: Service) -> None:
    files = [("files", (f"{size}.bin", b"x" * size)) for size in (3, 0, 70_000)]

    assert meaning(service, "count_files", files=files) == [3, 0, 70_000]
    assert meaning(service, "count_files", json={"files": [{"data": "aGk="}, {"data": ""}]}) == [2, 0]
    assert meaning(service, "count_files", content=b"abc", headers={"Content-Type": "a/b"}) == [3]


@pytest.mark.parametrize(
    ("filename", "kept_as"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\boot\\cat.txt", "cat.txt"),
        ("..", "upload"),
        ("ünï 🐱.txt", "ünï 🐱.txt"),
        ("a\x1b[31m\x00b.txt", "a[31mb.txt"),
        ("x" * 5_000 + ".txt", "x" * 196 + ".txt"),
    ],
)
def test_a_file_name_is_never_a_path(service: Service, filename: str, kept_as: str) -> None:
    body = {"file": {"data": "aGk=", "filename": filename, "media_type": "text/plain"}}

    assert meaning(service, "name_of", json=body) == kept_as


def test_an_optional_upload_may_be_omitted(service: Service) -> None:
    assert meaning(service, "maybe_file", json={"word": "a"}) is None
    assert meaning(service, "maybe_file", params={"word": "a"}) is None
    assert meaning(service, "maybe_file", data={"word": "a"}, files={"file": ("", b"")}) is None
    assert meaning(service, "maybe_file", content=b"abc", params={"word": "a"}) == 3


def curl(service: Service, *arguments: str) -> tuple[int, str]:
    """Run the program curl; status and body."""
    command = ["curl", "-sS", "-w", "\n%{http_code}", *arguments]
    command[-1] = service.url + command[-1]
    body, _, status = subprocess.run(command, capture_output=True, text=True, check=True).stdout.rpartition("\n")
    return int(status), body


@needs_curl
def test_curl_sends_each_form_of_a_body(service: Service, tmp_path: Path) -> None:
    cat = tmp_path / "cat.txt"
    cat.write_text("meow")
    for arguments in (
        ["-F", f"file=@{cat}", "-F", "name=b.txt", "/tasks/echo_file"],
        ["--data-binary", f"@{cat}", "-H", "Content-Type: text/plain", "/tasks/echo_file?name=b.txt"],
        ["--data-binary", f"@{cat}", "/tasks/echo_file?name=b.txt"],
        ["-T", str(cat), "-X", "POST", "/tasks/echo_file?name=b.txt"],
        ["-H", "Content-Type: application/json", "-d", '{"file":{"data":"bWVvdw=="}}', "/tasks/echo_file"],
    ):
        status, body = curl(service, *arguments)
        assert status == 202, body
        assert service.result(json.loads(body)["task_id"])["bytes"] == 4


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A sparse file of 200 MB."""
    path = tmp_path_factory.mktemp("large") / "large.bin"
    with path.open("wb") as file:
        file.truncate(200 * 2**20)
    yield path


@needs_curl
@pytest.mark.parametrize("expect", ["Expect: 100-continue", "Expect:"])
@pytest.mark.parametrize("length", ["Accept: */*", "Transfer-Encoding: chunked"])
@pytest.mark.parametrize("body_format", ["raw", "form", "json"])
def test_a_client_that_sends_too_much_can_read_the_reason(
    service: Service, large: Path, body_format: str, length: str, expect: str
) -> None:
    before = kept(service)
    body = {
        "raw": ["--data-binary", f"@{large}", "-H", "Content-Type: text/plain"],
        "form": ["-F", f"file=@{large};type=text/plain"],
        "json": ["--data-binary", f"@{large}", "-H", "Content-Type: application/json"],
    }[body_format]

    status, text = curl(service, "-H", expect, "-H", length, *body, "/tasks/echo_file")

    assert status == 413
    problem = json.loads(text)
    assert problem["type"] == "/problems/too-large"
    assert str(problem["limit"]) in problem["detail"]
    assert kept(service) == before


def test_a_connection_outlives_a_refused_body(service: Service) -> None:
    with httpx.Client(base_url=service.url) as client:
        for _ in range(3):
            refused = client.post("/tasks/echo_file", content=b"x" * 2**20, headers={"Content-Type": "image/png"})
            assert refused.status_code == 415
        assert client.get("/health/live").status_code == 200


def raw(service: Service, request: bytes) -> tuple[int, str]:
    """Send raw bytes that no client would send; status and body."""
    with socket.create_connection(("127.0.0.1", service.port), timeout=10) as connection:
        connection.sendall(request)
        answer = b""
        while chunk := connection.recv(65536):
            answer += chunk
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"application/problem+json" in head
    return int(head.split()[1]), body.decode()


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"NONSENSE\r\n\r\n", 400),
        (b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", 414),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"a: b\r\n" * 200 + b"\r\n", 431),
        (b"POST /tasks/divide HTTP/1.1\r\nHost: localhost\r\nContent-Length: abc\r\n\r\n", 400),
        (b"POST /tasks/divide HTTP/1.1\r\nHost: localhost\r\nExpect: much\r\nContent-Length: 0\r\n\r\n", 417),
        (
            b"POST /tasks/divide HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\nZZ\r\n\r\n",
            400,
        ),
    ],
    ids=["no request line", "a long line", "many headers", "no length", "an expectation", "a bad chunk"],
)
def test_a_malformed_http_request_is_answered_with_a_problem(service: Service, request_: bytes, status: int) -> None:
    answered, body = raw(service, request_)

    assert answered == status
    assert json.loads(body)["status"] == status
    assert "127.0.0.1" not in body


def test_an_incomplete_file_is_refused_and_not_stored(service: Service) -> None:
    before = kept(service)
    head = b"POST /tasks/echo_file HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\nContent-Length: 9\r\n\r\n"
    with socket.create_connection(("127.0.0.1", service.port), timeout=10) as connection:
        connection.sendall(head + b"half")
        connection.shutdown(socket.SHUT_WR)
        answer = connection.recv(65536)

    assert answer.startswith(b"HTTP/1.1 400 ")
    assert kept(service) == before


def test_a_client_that_stalls_before_its_key_is_disconnected_soon(service: Service) -> None:
    head = b"POST /tasks/divide HTTP/1.1\r\nHost: evil.example\r\nContent-Length: 1000000\r\n\r\n"
    stalled = [socket.create_connection(("127.0.0.1", service.port), timeout=10) for _ in range(9)]
    try:
        for connection in stalled:
            connection.sendall(head)
        assert service.http.get("/health/live").status_code == 200
        assert all(b" 401 " in connection.recv(64) for connection in stalled)
    finally:
        for connection in stalled:
            connection.close()
