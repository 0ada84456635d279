"""Why tasks failed: the exception with its traceback for admins, and failed tasks grouped by cause."""

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from harness import Service

from server.store.api_keys import Role


def test_an_admin_reads_exception_message_traceback_and_location(service: Service) -> None:
    task_id = service.submit("divide", x=1, y=0)
    service.wait_for(task_id)
    failure = service.http.get(f"/tasks/{task_id}/failure").json()
    assert failure["exception"] == "server.sdk.errors.TaskError"
    assert failure["traceback"].startswith("Traceback (most recent call last):")
    assert 'File "server/tasks/basics.py", line' in failure["traceback"]
    assert "in divide" in failure["traceback"] and "celery_app" not in failure["traceback"]
    assert failure["place"].startswith("tasks/basics.py:")
    assert "celery@" in failure["worker"]


def test_the_failure_of_a_retried_task_is_its_last_attempts(service: Service) -> None:
    task_id = service.submit("flaky", failures=9)
    service.wait_for(task_id)
    failure = service.http.get(f"/tasks/{task_id}/failure").json()
    assert (failure["exception"], failure["message"]) == ("OSError", "not yet")


def test_a_task_that_did_not_fail_has_no_failure(service: Service) -> None:
    task_id = service.submit("divide", x=1, y=2)
    service.wait_for(task_id)
    assert service.http.get(f"/tasks/{task_id}/failure").status_code == 404
    assert service.http.get(f"/tasks/{uuid.uuid4()}/failure").status_code == 404


def test_failed_tasks_are_grouped_by_type_exception_and_location(service: Service) -> None:
    since = (datetime.now(UTC) - timedelta(seconds=1)).isoformat()
    task_ids = [service.submit("divide", x=x, y=0) for x in (1, 2, 3)]
    task_ids.append(service.submit("flaky", failures=9))
    for each in task_ids:
        service.wait_for(each)
    page = service.http.get("/failures", params={"since": since}).json()
    first, second = page["failures"]
    assert (first["task"], first["count"], first["sample"]) == ("divide", 3, task_ids[2])
    assert (second["task"], second["exception"], second["count"]) == ("flaky", "OSError", 1)
    assert first["first_at"] <= first["last_at"]
    assert (page["looked_at"], page["complete"]) == (4, True)


@pytest.fixture(scope="module")
def keyed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Service, str]]:
    with Service(tmp_path_factory.mktemp("failures"), TASK_MODULES="sample_tasks") as service:
        key = service.store.api_keys.create("alice", Role.SUBMIT)
        service.start_web()
        yield service, key


@pytest.mark.parametrize("path", ["/failures", "/tasks/01a21bfe-8c95-7ed9-9979-12845ce43737/failure", "/ui/failures"])
def test_only_an_admin_reads_failures(keyed: tuple[Service, str], path: str) -> None:
    service, key = keyed
    assert service.http.get(path, headers={"Authorization": f"Bearer {key}"}).status_code == 403


def test_a_group_is_a_filter_of_lists_counts_and_bulk_calls(service: Service) -> None:
    task_ids = [service.submit("fails_with_a_message", text=f"order {n}") for n in range(3)]
    other = service.submit("divide", x=1, y=0)
    for each in (*task_ids, other):
        service.wait_for(each)
    since = service.status(task_ids[0])["submitted_at"]
    groups = service.http.get("/failures", params={"since": since}).json()["failures"]
    wanted = {"failure": next(each["id"] for each in groups if each["task"] == "fails_with_a_message"), "since": since}

    first = service.http.get("/tasks", params={**wanted, "limit": 2}).json()
    second = service.http.get(first["next"]).json()
    assert [each["task_id"] for each in first["tasks"] + second["tasks"]] == task_ids[::-1]
    assert service.http.get("/tasks/count", params=wanted).json()["total"] == 3
    assert service.http.get("/tasks", params={**wanted, "status": "succeeded,queued"}).json()["tasks"] == []
    wanted["until"] = service.status(other)["submitted_at"]
    assert service.http.post("/bulk/retry", params={**wanted, "dry_run": "true"}).json()["matching"] == 3
    answer = service.http.post("/bulk/retry", params=wanted).json()
    assert (answer["retried"], answer["refused"], answer["next"]) == (3, [], None)
    assert service.http.post("/bulk/retry", params=wanted).json()["retried"] == 0
    assert service.http.get("/tasks", params={"failure": "nothing"}).json()["tasks"] == []


def test_tasks_waiting_for_a_retry_are_in_the_group_until_they_end(service: Service) -> None:
    task_ids = [service.submit("waits_for_a_partner", partner=name) for name in ("acme", "globex")]
    for each in task_ids:
        service.wait_for(each, "retrying")
    since = service.status(task_ids[0])["submitted_at"]
    [group] = service.http.get("/failures", params={"since": since}).json()["failures"]
    assert (group["exception"], group["count"], group["retrying"]) == ("ConnectionError", 0, 2)
    assert group["message"] == "globex does not answer"

    answer = service.http.post("/bulk/cancel", params={"failure": group["id"]}).json()

    assert answer["canceled"] == 2
    assert service.http.get("/failures", params={"since": since}).json()["failures"] == []
    assert service.http.get("/tasks", params={"failure": group["id"]}).json()["tasks"] == []
