"""Uploads that are files of other tasks, ended or unfinished."""

from typing import Any

import pytest
from harness import Service


def first(service: Service, text: bytes = b"chained", **query: str) -> str:
    files = {"file": ("a.txt", text, "text/plain")}
    answer = service.http.post("/tasks/echo_file", files=files, params=query)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["task_id"])


def second(service: Service, task_id: str, file: str = "copy.txt", **more: Any) -> Any:
    body = {"file": {"task_id": task_id, "file": file}, "name": "again.txt"} | more
    return service.http.post("/tasks/echo_file", json=body)


def test_a_task_uses_a_file_of_an_earlier_task(service: Service) -> None:
    source = first(service)
    service.wait_for(source)
    result = service.result(second(service, source).json()["task_id"])
    assert service.http.get(result["href"]).content == b"chained"


def test_a_task_waits_for_an_unfinished_dependency(service: Service) -> None:
    source = first(service, delay="1")
    ticket = second(service, source).json()
    assert (ticket["status"], ticket["waits_for"]) == ("scheduled", [source])
    result = service.result(ticket["task_id"])
    assert service.http.get(result["href"]).content == b"chained"
    assert service.status(ticket["task_id"])["started_at"] >= service.status(source)["finished_at"]


def test_three_dependent_tasks_run_in_order(service: Service) -> None:
    source = first(service, delay="1")
    middle = second(service, source).json()["task_id"]
    last = second(service, middle, "again.txt").json()["task_id"]
    assert service.http.get(service.result(last)["href"]).content == b"chained"


def test_a_task_fails_when_its_dependency_fails(service: Service) -> None:
    source = first(service, delay="30")
    waiting = second(service, source).json()["task_id"]
    after = second(service, waiting, "again.txt").json()["task_id"]
    service.http.post(f"/tasks/{source}/cancel")
    for each in (waiting, after):
        ended = service.wait_for(each)
        assert (ended["status"], ended["error"]["type"]) == ("failed", "/problems/dependency-failed")
        assert ended["deliveries"] == 0


def test_a_task_fails_when_its_dependency_lacks_the_file(service: Service) -> None:
    source = first(service, delay="1")
    ended = service.wait_for(second(service, source, "other.txt").json()["task_id"])
    assert (ended["status"], ended["error"]["type"]) == ("failed", "/problems/dependency-failed")
    assert "copy.txt" in ended["error"]["detail"]


def test_a_waiting_task_can_be_canceled(service: Service) -> None:
    source = first(service, delay="2")
    waiting = second(service, source).json()["task_id"]
    assert service.http.post(f"/tasks/{waiting}/cancel").json()["status"] == "canceled"
    service.wait_for(source)
    assert service.status(waiting)["deliveries"] == 0


@pytest.mark.parametrize("task_id", ["5b1f4f0e-3d0c-4c62-9d5e-0d8a6f2f7c11", "text"])
def test_a_missing_dependency_is_refused(service: Service, task_id: str) -> None:
    answer = second(service, task_id)
    assert (answer.status_code, answer.json()["type"]) == (422, "/problems/invalid-input")
    assert answer.json()["errors"][0]["loc"] == ["file", "task_id"]


def test_one_missing_file_of_several_is_refused_with_its_index(service: Service) -> None:
    task_id = "01997b5c-0a1e-7c3d-9f00-2b7c1d4e5f60"
    files = [{"data": "aGk="}, {"task_id": task_id, "file": "a.txt"}]
    answer = service.http.post("/tasks/count_files", json={"files": files})
    assert answer.json()["errors"][0]["loc"] == ["files", 1, "task_id"]


def test_a_missing_file_is_refused_with_the_existing_names(service: Service) -> None:
    source = first(service)
    service.wait_for(source)
    answer = second(service, source, "nothing.txt")
    assert answer.status_code == 422
    assert "copy.txt" in answer.json()["detail"]


def test_a_failed_dependency_has_no_files_to_use(service: Service) -> None:
    source = service.submit("divide", x=1, y=0)
    service.wait_for(source)
    assert second(service, source).status_code == 422


def test_a_file_of_an_unsupported_type_is_refused(service: Service) -> None:
    source = first(service)
    service.wait_for(source)
    answer = service.http.post("/tasks/thumbnail", json={"image": {"task_id": source, "file": "copy.txt"}})
    assert answer.status_code == 415


def test_the_copied_file_outlives_its_source_task(service: Service) -> None:
    source = first(service)
    service.wait_for(source)
    later = service.http.post(
        "/tasks/echo_file?delay=1", json={"file": {"task_id": source, "file": "copy.txt"}}
    ).json()["task_id"]
    assert service.http.delete(f"/tasks/{source}").status_code == 204
    assert service.http.get(service.result(later)["href"]).content == b"chained"


@pytest.mark.slow
def test_waiting_tasks_survive_restarts_of_all_processes(fresh: Service) -> None:
    fresh.start()
    source = first(fresh, delay="4")
    waiting = second(fresh, source).json()["task_id"]
    for process in (*fresh.workers, fresh.web, fresh.redis.process):
        assert process is not None
        process.kill()
    fresh.redis.start()
    fresh.start()
    assert fresh.wait_for(waiting)["status"] == "succeeded"
