"""A task's files through real HTTP: ranges, conditions, names, and memory that does not depend on the upload's size."""

import hashlib
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from harness import Service

TEXT = b"0123456789"
ETAG = f'"{hashlib.sha256(TEXT).hexdigest()}"'


@pytest.fixture(scope="module")
def href(service: Service) -> str:
    """The address of a file of ten bytes."""
    return str(service.result(service.submit("save_file", name="ten.txt"))["href"])


def test_a_file_is_sent_with_type_name_and_etag_as_a_download(service: Service, href: str) -> None:
    answer = service.http.get(href)

    assert answer.content == TEXT
    assert answer.headers["Content-Type"] == "text/plain"
    assert answer.headers["Content-Disposition"] == 'inline; filename="ten.txt"'
    assert answer.headers["ETag"] == ETAG
    assert answer.headers["Accept-Ranges"] == "bytes"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "sandbox" in answer.headers["Content-Security-Policy"]


@pytest.mark.parametrize(
    ("headers", "status", "body", "content_range"),
    [
        ({"Range": "bytes=2-4"}, 206, b"234", "bytes 2-4/10"),
        ({"Range": "bytes=7-"}, 206, b"789", "bytes 7-9/10"),
        ({"Range": "bytes=7-99"}, 206, b"789", "bytes 7-9/10"),
        ({"Range": "bytes=-3"}, 206, b"789", "bytes 7-9/10"),
        ({"Range": "bytes=-99"}, 206, TEXT, "bytes 0-9/10"),
        ({"Range": "bytes=0-"}, 206, TEXT, "bytes 0-9/10"),
        ({"Range": "bytes=2-4", "If-Range": ETAG}, 206, b"234", "bytes 2-4/10"),
        ({"Range": "bytes=2-4", "If-Range": '"another"'}, 200, TEXT, None),
        ({"Range": "bytes=2-4", "If-Range": f"W/{ETAG}"}, 200, TEXT, None),
        ({"Range": "bytes=0-1,4-5"}, 200, TEXT, None),
        ({"Range": "lines=1-2"}, 200, TEXT, None),
        ({"Range": "bytes=nonsense"}, 200, TEXT, None),
        ({"Range": "bytes=10-"}, 416, None, "bytes */10"),
        ({"Range": "bytes=99-100"}, 416, None, "bytes */10"),
        ({"If-None-Match": ETAG}, 304, b"", None),
        ({"If-None-Match": f'"other", W/{ETAG}'}, 304, b"", None),
        ({"If-None-Match": "*"}, 304, b"", None),
        ({"If-None-Match": '"other"'}, 200, TEXT, None),
    ],
    ids=str,
)
def test_a_part_of_a_file(
    service: Service, href: str, headers: dict[str, str], status: int, body: bytes | None, content_range: str | None
) -> None:
    answer = service.http.get(href, headers=headers)

    assert answer.status_code == status
    assert answer.headers.get("Content-Range") == content_range
    if body is None:
        assert answer.json()["type"] == "/problems/range-not-satisfiable"
    else:
        assert answer.content == body


def test_head_has_the_fields_of_get_and_no_ranges(service: Service, href: str) -> None:
    answer = service.http.head(href, headers={"Range": "bytes=2-4"})

    assert answer.status_code == 200
    assert answer.headers["Content-Length"] == "10"
    assert answer.headers["ETag"] == ETAG
    assert answer.content == b""


def test_an_empty_file_can_be_saved_and_read(service: Service) -> None:
    file = service.result(service.submit("save_file", name="empty.txt", text=""))

    assert file["bytes"] == 0
    assert service.http.get(file["href"]).content == b""
    assert service.http.get(file["href"], headers={"Range": "bytes=0-"}).status_code in (200, 416)


@pytest.mark.parametrize("name", ["ünï 🐱.txt", 'a "b" c.txt', "a%2Fb?c#d.txt", "-rf ~;x.txt", "x" * 196 + ".txt"])
def test_a_file_may_have_any_valid_name(service: Service, name: str) -> None:
    file = service.result(service.submit("save_file", name=name))
    answer = service.http.get(file["href"])

    assert file["name"] == name
    assert answer.content == TEXT
    assert re.fullmatch(
        r"""inline; filename="[^"\\]*"(; filename\*=UTF-8''[\w.%~-]+)?""", answer.headers["Content-Disposition"]
    )


@pytest.mark.parametrize("name", ["", "..", "a/b", "../../etc/passwd", "a\nb", "x" * 201])
def test_an_invalid_file_name_fails_the_task(service: Service, name: str) -> None:
    ended = service.wait_for(service.submit("save_file", name=name))

    assert ended["status"] == "failed"
    assert "one printable path segment" in ended["error"]["detail"]


@pytest.mark.parametrize("media_type", ["text", "text/plain\r\nSet-Cookie: a=b", "text/", "", 'a/b; c="\n"'])
def test_an_invalid_media_type_fails_the_task(service: Service, media_type: str) -> None:
    ended = service.wait_for(service.submit("save_file", name="a.txt", media_type=media_type))

    assert ended["status"] == "failed"
    assert "a media type must be like" in ended["error"]["detail"]


def test_an_html_file_is_downloaded_and_not_displayed(service: Service) -> None:
    file = service.result(service.submit("save_file", name="a.html", media_type="text/html; charset=utf-8"))

    assert service.http.get(file["href"]).headers["Content-Disposition"].startswith("attachment")


def test_a_missing_file_is_404(service: Service, href: str) -> None:
    task = href.rpartition("/files/")[0]
    for path in (f"{task}/files/other.txt", f"{task}/files/..%2F..%2Fetc%2Fpasswd", f"{task}/files/../../catalog/x"):
        answer = service.http.get(path)
        assert answer.status_code == 404
        assert answer.headers["Content-Type"] == "application/problem+json"
    assert "ten.txt" in service.http.get(f"{task}/files/other.txt").json()["detail"]


@pytest.mark.parametrize(
    ("accept", "to_file"),
    [
        (None, False),
        ("*/*", False),
        ("application/json", False),
        ("text/*", True),
        ("text/plain", True),
        ("application/json;q=0.5, text/plain", True),
        ("application/json, text/plain;q=0.5", False),
        ("text/html, text/plain, */*;q=0.8", True),
        ("image/png", False),
        (";;;=,nonsense", False),
        ("", False),
    ],
)
def test_a_client_that_accepts_the_files_type_is_redirected_to_it(
    service: Service, href: str, accept: str | None, to_file: bool
) -> None:
    headers = {} if accept is None else {"Accept": accept}

    answer = service.http.get(href.replace("/files/ten.txt", "/result"), headers=headers)

    assert answer.status_code == (303 if to_file else 200)
    assert ("Content-Type" in answer.headers) is not to_file
    assert answer.headers.get("Location") == (service.url + href if to_file else None)
    assert "Accept" in answer.headers["Vary"]


def test_a_client_chooses_among_two_files_itself(service: Service) -> None:
    task_id = service.submit("save_two")
    service.result(task_id)

    answer = service.http.get(f"/tasks/{task_id}/result", headers={"Accept": "text/plain"})

    assert answer.status_code == 200
    assert [file["name"] for file in answer.json()["result"]] == ["1.txt", "2.txt"]


def test_curl_follows_the_redirect_to_the_file(service: Service, href: str, tmp_path: Path) -> None:
    if not shutil.which("curl"):
        pytest.skip("there is no curl here")
    result = service.url + href.replace("/files/ten.txt", "/result")

    subprocess.run(["curl", "-sSL", "-H", "Accept: text/*", "-o", tmp_path / "ten", result], check=True)
    subprocess.run(["curl", "-sSLOJ", service.url + href], check=True, cwd=tmp_path)
    (tmp_path / "half").write_bytes(TEXT[:4])
    subprocess.run(["curl", "-sSL", "-C", "-", "-o", tmp_path / "half", service.url + href], check=True)

    assert (tmp_path / "ten").read_bytes() == (tmp_path / "ten.txt").read_bytes() == TEXT
    assert (tmp_path / "half").read_bytes() == TEXT


def peak(pid: int) -> int:
    """Return the peak memory of a process in MiB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.findall(r"VmHWM:\s+(\d+)", status)[0]) // 1024


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="looks into /proc")
@pytest.mark.parametrize(("where", "body"), [("redis", "form"), ("folder", "raw")])
def test_a_web_process_does_not_grow_with_an_upload(tmp_path: Path, where: str, body: str) -> None:
    size = 200 * 2**20
    large = tmp_path / "large.bin"
    with large.open("wb") as file:
        file.truncate(size)
    blobs = f"file://{tmp_path}/blobs" if where == "folder" else ""
    limits = {"MAX_UPLOAD_BYTES": str(size * 2), "MAX_BLOB_BYTES": str(size * 2), "BLOB_URL": blobs}
    body_arguments = {
        "form": ["-F", f"files=@{large}"],
        "raw": ["--data-binary", f"@{large}", "-H", "Content-Type: a/b"],
    }[body]
    with Service(tmp_path, TASK_MODULES="sample_tasks,client_tasks", **limits) as service:
        (worker,) = service.start_web().children()
        warm = service.http.post("/tasks/count_files", files={"files": b"x" * 2**20})
        assert warm.status_code == 202
        before = peak(worker)

        sent = subprocess.run(
            ["curl", "-sS", *body_arguments, f"{service.url}/tasks/count_files"], capture_output=True, check=True
        )

        assert json.loads(sent.stdout)["status"] == "queued", sent.stdout
        grown = peak(worker) - before
        assert grown < 16, f"{grown} MiB more for an upload of {size // 2**20}"
