"""The steps of a user, from submit to result, through real HTTP, Gunicorn and a Celery worker."""

import re
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from harness import ROOT, Service, eventually

STATUS_FIELDS = {
    "task_id", "task", "status", "state", "done", "progress", "submitted_at", "started_at", "finished_at", "expires_at",
    "deliveries", "retries", "queue", "tags", "error", "links",
}  # fmt: skip
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


def test_a_submit_is_answered_with_a_status_object(service: Service) -> None:
    answer = service.http.post("/tasks/divide", json={"x": 7, "y": 2})
    body = answer.json()

    assert answer.status_code == 202
    assert answer.headers["Location"] == f"{service.url}/tasks/{body['task_id']}/result"
    assert answer.headers["Operation-Location"] == f"{service.url}/tasks/{body['task_id']}"
    assert 1 <= int(answer.headers["Retry-After"]) <= 30
    assert body.keys() >= STATUS_FIELDS
    assert (body["status"], body["state"], body["done"], body["error"]) == ("queued", "PENDING", False, None)
    assert TIME.fullmatch(body["submitted_at"])
    assert service.url + body["links"]["result"] == answer.headers["Location"]
    assert uuid.UUID(body["task_id"]).version == 7


def test_a_long_task_goes_from_queued_to_running_to_succeeded_with_progress_from_0_to_100(service: Service) -> None:
    task_id = service.submit("long_running_task", seconds=1, steps=5)
    statuses: list[dict[str, Any]] = []

    def ended() -> bool:
        statuses.append(service.status(task_id))
        return bool(statuses[-1]["done"])

    eventually(ended)

    order = list(dict.fromkeys(each["status"] for each in statuses))
    assert order in (["queued", "running", "succeeded"], ["running", "succeeded"])
    percents = [each["progress"]["percent"] for each in statuses if each["progress"]]
    assert percents == sorted(percents)
    assert percents[0] < 50
    assert len(set(percents)) > 2
    assert statuses[-1]["progress"] == {"done": 5, "total": 5, "percent": 100, "message": "done"}
    assert (statuses[-1]["state"], statuses[-1]["deliveries"], statuses[-1]["retries"]) == ("SUCCESS", 1, 0)
    times = [statuses[-1][name] for name in ("submitted_at", "started_at", "finished_at", "expires_at")]
    assert times == sorted(times)
    assert all(TIME.fullmatch(time) for time in times)


def test_a_result_is_202_until_it_exists_and_then_json(service: Service) -> None:
    task_id = service.submit("long_running_task", seconds=0.5, steps=1)
    early = service.http.get(f"/tasks/{task_id}/result")
    assert early.status_code == 202
    assert early.json().keys() >= STATUS_FIELDS
    assert "Retry-After" in early.headers

    service.wait_for(task_id)

    late = service.http.get(f"/tasks/{task_id}/result")
    assert late.status_code == 200
    assert late.json() == {
        "task_id": task_id,
        "status": "succeeded",
        "result": {"slept_seconds": 0.5, "steps": 1},
    }
    assert "Retry-After" not in late.headers


def test_a_division_by_zero_fails_with_a_clear_error(service: Service) -> None:
    task_id = service.submit("divide", x=1, y=0)
    ended = service.wait_for(task_id)
    answer = service.http.get(f"/tasks/{task_id}/result")

    error = {
        "type": "/problems/division-by-zero",
        "title": "Division by zero",
        "detail": "1 cannot be divided by zero. Use a `y` other than 0.",
    }
    assert (ended["status"], ended["state"], ended["error"]) == ("failed", "FAILURE", error)
    assert answer.status_code == 409
    assert answer.json()["type"] == "/problems/task-failed"
    assert answer.json()["error"] == error


@pytest.mark.parametrize(
    ("task", "how", "type_", "detail"),
    [
        ("ends", "task", "too-much-cheese", "Take less cheese."),
        ("ends", "own", "task-error", "LibraryError; see the worker's log for this task id"),
        ("ends", "host", "task-error", "ValueError: … and … and … and … do not answer"),
        ("ends", "os", "task-error", "FileNotFoundError; see the worker's log for this task id"),
        ("ends", "type", "task-error", "ValueError: the type of a TaskError must be a slug"),
        ("ends", "circular", "invalid-result", "does not fit JSON"),
        ("misbehaves", "exit", "task-error", "which ends a process"),
        ("misbehaves", "set", "invalid-result", "does not fit JSON"),
        ("misbehaves", "path", "task-error", "ValueError: cannot open … at …"),
        ("misbehaves", "large", "result-too-large", "the limit is"),
        ("sleeps_too_long", None, "time-limit", "longer than 1 seconds"),
        ("blocks_in_c", None, "time-limit", "longer than 2 seconds"),
        ("eats_memory", None, "out-of-memory", "more memory"),
    ],
)
def test_an_error_reveals_no_secret(service: Service, task: str, how: str | None, type_: str, detail: str) -> None:
    task_id = service.submit(task, **({"how": how} if how else {}))
    ended = service.wait_for(task_id)
    answer = service.http.get(f"/tasks/{task_id}/result")

    assert ended["status"] == "failed"
    assert ended["error"].keys() == {"type", "title", "detail"}
    assert ended["error"]["type"] == f"/problems/{type_}"
    assert detail in ended["error"]["detail"]
    assert answer.status_code == 409
    for secret in ("Traceback", 'File "', "/srv", "swordfish", "db.internal", "10.1.2.3", "6379", "keys\\a", str(ROOT)):
        assert secret not in answer.text


def test_a_result_is_any_json_value(service: Service) -> None:
    assert service.result(service.submit("ends", how="key")) == {"tuple": [1, 2], "5": [1, 2]}
    assert service.result(service.submit("ends", how="grün")) == "grün"


def test_a_function_is_retried_with_growing_delays(service: Service) -> None:
    task_id = service.submit("flaky", failures=2)

    waiting = service.wait_for(task_id, "retrying")
    ended = service.wait_for(task_id)

    assert (waiting["state"], waiting["done"]) == ("RETRY", False)
    assert waiting["error"]["detail"].startswith("OSError")
    assert (ended["status"], ended["retries"], ended["deliveries"], ended["error"]) == ("succeeded", 2, 3, None)


def test_a_function_that_never_succeeds_fails_after_its_last_retry(service: Service) -> None:
    ended = service.wait_for(service.submit("flaky", failures=9), seconds=30)

    assert (ended["status"], ended["retries"]) == ("failed", 3)


def cancel(service: Service, task_id: str) -> dict[str, Any]:
    answer = service.http.post(f"/tasks/{task_id}/cancel")
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


def test_a_running_task_is_canceled_at_its_next_report(service: Service) -> None:
    task_id = service.submit("reports", seconds=20)
    service.wait_for(task_id, "running")

    assert cancel(service, task_id)["status"] in ("canceling", "canceled")
    ended = service.wait_for(task_id)
    answer = service.http.get(f"/tasks/{task_id}/result")

    assert (ended["status"], ended["state"], ended["done"]) == ("canceled", "REVOKED", True)
    assert (answer.status_code, answer.json()["type"]) == (409, "/problems/task-canceled")


def test_a_queued_task_is_canceled_immediately_and_never_runs(service: Service) -> None:
    running = [service.submit("reports", seconds=20) for _ in range(2)]
    for each in running:
        service.wait_for(each, "running")
    queued = service.submit("ledgered")

    assert cancel(service, queued)["status"] == "canceled"

    for each in running:
        cancel(service, each)
        service.wait_for(each)
    service.result(service.submit("divide", x=1, y=1))
    ledger: Any = service.redis.client.lrange("test:ledger", 0, -1)
    assert not [line for line in ledger if queued.encode() in line]
    assert service.status(queued)["deliveries"] == 0


def test_a_task_that_waits_for_a_retry_is_canceled_immediately(service: Service) -> None:
    task_id = service.submit("gives_up_slowly")
    service.wait_for(task_id, "retrying")

    assert cancel(service, task_id)["status"] == "canceled"


def test_canceling_a_finished_task_changes_nothing(service: Service) -> None:
    for task, parameters in (("divide", {"x": 1, "y": 1}), ("divide", {"x": 1, "y": 0})):
        before = service.wait_for(service.submit(task, **parameters))
        assert cancel(service, before["task_id"]) == before


def async_results(service: Service, ids: list[str]) -> list[list[str]]:
    """State, result and its type, as Celery's own `AsyncResult` gives them in a process of the user."""
    code = (
        "import sys; from wsgi import celery\n"
        "for each in sys.argv[1:]:\n"
        "    found = celery.AsyncResult(each)\n"
        "    print(found.state, type(found.result).__name__, found.result, sep='|')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *ids], env=service.env, cwd=ROOT, capture_output=True, text=True, check=True
    )
    return [line.split("|") for line in done.stdout.splitlines()]


def test_celerys_own_results_agree_with_http(service: Service) -> None:
    ids = [
        service.submit("divide", x=7, y=2),
        service.submit("divide", x=7, y=0),
        service.submit("long_running_task", seconds=0, steps=1),
        service.submit("gives_up_slowly"),
        service.submit("reports", seconds=20),
    ]
    for each in ids[:3]:
        service.wait_for(each)
    service.wait_for(ids[3], "retrying")
    service.wait_for(ids[4], "running")

    results = async_results(service, ids)

    assert [each[0] for each in results] == [service.status(each)["state"] for each in ids]
    assert results[0] == ["SUCCESS", "float", "3.5"]
    assert results[1][:2] == ["FAILURE", "TaskError"]
    assert "7 cannot be divided by zero" in results[1][2]
    assert results[2] == ["SUCCESS", "dict", "{'slept_seconds': 0.0, 'steps': 1}"]
    assert results[3][:2] == ["RETRY", "OSError"]
    assert results[4] == ["STARTED", "NoneType", "None"]
    for each in ids[3:]:
        cancel(service, each)
    assert async_results(service, ids[3:4])[0][0] == "REVOKED"


def test_an_unchanged_response_is_304(service: Service) -> None:
    task_id = service.submit("divide", x=1, y=1)
    service.wait_for(task_id)
    for path in (f"/tasks/{task_id}", f"/tasks/{task_id}/result", "/catalog", "/catalog/divide"):
        first = service.http.get(path)
        again = service.http.get(path, headers={"If-None-Match": first.headers["ETag"]})
        other = service.http.get(path, headers={"If-None-Match": '"other"'})
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["ETag"] == first.headers["ETag"]
        assert "private" in first.headers["Cache-Control"]
        assert other.status_code == 200


def test_head_is_get_without_the_body(service: Service) -> None:
    task_id = service.submit("divide", x=1, y=1)
    service.wait_for(task_id)
    for path in (f"/tasks/{task_id}", f"/tasks/{task_id}/result", "/catalog", "/health/live"):
        get, head = service.http.get(path), service.http.head(path)
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers["Content-Length"] == str(len(get.content))


def test_a_405_lists_the_allowed_methods(service: Service) -> None:
    task_id = service.submit("divide", x=1, y=1)
    for path, allowed in (("/catalog", {"GET", "HEAD", "OPTIONS"}), (f"/tasks/{task_id}/cancel", {"OPTIONS", "POST"})):
        refused = service.http.request("PATCH", path)
        assert refused.status_code == 405
        assert set(refused.headers["Allow"].split(", ")) == allowed
        assert set(service.http.options(path).headers["Allow"].split(", ")) == allowed


def test_a_task_type_accepts_a_submit_and_a_task_does_not(service: Service) -> None:
    task_id = service.submit("divide", x=1, y=1)
    for path, allowed in (("/tasks/divide", "OPTIONS, POST"), (f"/tasks/{task_id}", "DELETE, GET, HEAD, OPTIONS")):
        assert service.http.options(path).headers["Allow"] == allowed
    for method in ("GET", "DELETE"):
        refused = service.http.request(method, "/tasks/divide")
        assert (refused.status_code, refused.headers["Allow"]) == (405, "OPTIONS, POST")
        assert "/catalog/divide" in refused.json()["detail"]


@pytest.mark.parametrize("suffix", ["", "/result", "/files/a.txt"])
@pytest.mark.parametrize(
    "made_up", ["018f0000-0000-7000-8000-000000000000", str(uuid.UUID(int=1)), "x", "%2e%2e", "%00", "a" * 300, "divid"]
)
def test_an_id_that_was_never_issued_is_unknown(service: Service, made_up: str, suffix: str) -> None:
    answer = service.http.get(f"/tasks/{made_up}{suffix}")

    assert answer.status_code == 404
    assert answer.headers["Content-Type"] == "application/problem+json"


def test_an_id_with_another_letter_is_unknown(service: Service) -> None:
    task_id = service.submit("divide", x=1, y=1)
    last = "0" if task_id[-1] != "0" else "1"

    assert service.http.get(f"/tasks/{task_id[:-1]}{last}").status_code == 404
    assert service.http.get(f"/tasks/{task_id.upper()}").status_code == 404


@pytest.fixture(scope="module")
def forgetful(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A server that deletes a record a second after its end."""
    folder = tmp_path_factory.mktemp("forgetful")
    with Service(folder, TASK_MODULES="sample_tasks,client_tasks", RESULT_TTL_SECONDS="1") as service:
        yield service.start()


def test_an_expired_task_is_410_and_leaves_nothing(forgetful: Service) -> None:
    answer = forgetful.http.post("/tasks/echo_file", content=b"x" * 100, headers={"Content-Type": "text/plain"})
    task_id = answer.json()["task_id"]
    forgetful.wait_for(task_id)

    eventually(lambda: forgetful.http.get(f"/tasks/{task_id}").status_code == 410)

    for method, suffix in (("GET", ""), ("GET", "/result"), ("GET", "/files/copy.txt"), ("POST", "/cancel")):
        answer = forgetful.http.request(method, f"/tasks/{task_id}{suffix}")
        assert (answer.status_code, answer.json()["type"]) == (410, "/problems/expired-task")
    client: Any = forgetful.redis.client
    eventually(
        lambda: (
            not [
                *client.scan_iter(forgetful.keys.blob("data:*")),
                *client.scan_iter(forgetful.keys.task("*")),
            ]
        )
    )
    assert int(client.get(forgetful.keys.blob("bytes"))) == 0


def test_files_may_be_stored_in_a_folder(tmp_path: Path) -> None:
    with Service(tmp_path, TASK_MODULES="sample_tasks,client_tasks", BLOB_URL=f"file://{tmp_path}/blobs") as service:
        service.start()
        answer = service.http.post("/tasks/echo_file", content=b"abc", headers={"Content-Type": "text/plain"})
        service.result(answer.json()["task_id"])

        assert service.http.get(f"/tasks/{answer.json()['task_id']}/files/copy.txt").content == b"abc"
        refused = service.http.post("/tasks/echo_file?nme=x", content=b"abc", headers={"Content-Type": "text/plain"})
        assert refused.status_code == 422
        assert len([path for path in (tmp_path / "blobs").iterdir() if path.name != ".writing"]) == 1
        assert list((tmp_path / "blobs" / ".writing").iterdir()) == []


def test_the_catalog_describes_how_to_call_each_task(service: Service) -> None:
    listed = {each["name"]: each for each in service.http.get("/catalog").json()["tasks"]}
    typed = service.http.get("/catalog/typed").json()

    assert {"divide", "long_running_task", "thumbnail", "image_pipeline", "typed"} <= listed.keys()
    assert typed == listed["typed"]
    assert typed["input_schema"]["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert typed["input_schema"]["required"] == ["text"]
    assert typed["links"] == {"self": "/catalog/typed", "submit": "/tasks/typed"}
    assert listed["echo_file"]["accepts"] == ["text/*"]
    assert listed["echo_file"]["limits"]["max_upload_bytes"] == 20 * 2**20
    unknown = service.http.get("/catalog/divde")
    assert unknown.status_code == 404
    assert "divide" in unknown.json()["detail"]
