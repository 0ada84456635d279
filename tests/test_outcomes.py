"""Each way out of a function is an end of its task, and leaves nothing behind."""

import io
from typing import Any

import pytest
from harness import Service

from tests.images.pictures import photo


def error(service: Service, task_id: str) -> tuple[str, str]:
    ended = service.wait_for(task_id)
    assert ended["status"] == "failed", ended
    return ended["error"]["type"].removeprefix("/problems/"), ended["error"]["detail"]


@pytest.mark.parametrize(
    ("how", "error_type", "detail"),
    [
        ("ignore", "task-rejected", "The function ignored the task."),
        ("reject", "task-rejected", "The function rejected the task: not my kind"),
        ("exit", "task-error", "The function raised SystemExit, which ends a process."),
        ("interrupt", "task-error", "The function raised KeyboardInterrupt, which ends a process."),
        ("generator", "task-error", "The function raised GeneratorExit, which ends a process."),
    ],
)
def test_exceptions_for_celery_or_the_process_fail_the_task(
    service: Service, how: str, error_type: str, detail: str
) -> None:
    task_id = service.submit("raises", how=how)
    assert error(service, task_id) == (error_type, detail)
    assert service.status(task_id)["deliveries"] == 1


def test_a_function_may_raise_celerys_retry(service: Service) -> None:
    task_id = service.submit("raises", how="retry")
    assert service.wait_for(task_id, "retrying", "failed")["status"] == "retrying"


@pytest.mark.slow
def test_a_celery_task_that_replaces_itself_ends_with_the_result_of_the_other(fresh: Service) -> None:
    fresh.env |= {"TASK_MODULES": "sample_tasks,plain_tasks"}
    fresh.start()
    task_id = fresh.submit("handed_over", left=2, right=3)
    assert fresh.result(task_id) == 15
    assert fresh.status(task_id)["deliveries"] == 1


@pytest.mark.parametrize("form", ["fits", "dict"])
def test_a_result_that_fits_the_declared_type_is_kept(service: Service, form: str) -> None:
    assert service.result(service.submit("returns", form=form)) == {"x": 1.0, "y": 2.0}


def test_the_page_of_a_task_shows_a_number_with_more_digits_than_python_reads(service: Service) -> None:
    task_id = service.submit("misbehaves", how="digits")
    service.wait_for(task_id)
    digits = "1" + "0" * 5000
    assert digits in service.http.get(f"/ui/tasks/{task_id}").text


def test_a_result_that_does_not_fit_the_declared_type_fails_with_its_location(service: Service) -> None:
    error_type, detail = error(service, service.submit("returns", form="other"))
    assert error_type == "invalid-result"
    assert "does not fit its declared type: x: Input should be a valid number" in detail


def test_a_number_that_json_does_not_have_fails_and_does_not_become_null(service: Service) -> None:
    error_type, detail = error(service, service.submit("returns", form="nan"))
    assert (error_type, "NaN" in detail) == ("invalid-result", True)
    assert error(service, service.submit("misbehaves", how="nan"))[0] == "invalid-result"


def test_the_function_gets_the_validated_input_and_it_is_not_validated_twice(service: Service) -> None:
    model = {"n": 4, "password": "swordfish", "hidden": "kept"}
    task_id = service.submit("validated_once", model=model, plain=1)
    assert service.result(task_id) == [8, "swordfish", "kept", 2]
    again = service.http.post(f"/tasks/{task_id}/retry").json()["task_id"]
    assert service.result(again) == [8, "swordfish", "kept", 2]


def test_the_progress_of_a_task_that_succeeded_is_complete(service: Service) -> None:
    ended = service.wait_for(service.submit("stops_at_80"))
    assert ended["progress"] == {"done": 10, "total": 10, "percent": 100, "message": "nearly"}


def test_an_allocation_that_failed_is_never_the_fault_of_the_file(service: Service) -> None:
    assert error(service, service.submit("reports_file_broken"))[0] == "out-of-memory"


@pytest.fixture
def small(fresh: Service) -> Service:
    """A worker of one child, whose tasks may use 128 MiB each."""
    fresh.env |= {"WORKER_CONCURRENCY": "1", "WORKER_MEMORY_LIMIT": str(128 * 2**20)}
    return fresh.start()


def test_a_failed_task_leaves_its_memory_to_the_next_one(small: Service) -> None:
    for _ in range(4):
        assert error(small, small.submit("fails_with_memory", megabytes=100))[0] == "task-error"
    assert "worker.child_replaced" not in small.workers[0].output()


def test_a_child_whose_tasks_leak_is_replaced_before_its_neighbours_fail(small: Service) -> None:
    first = small.result(small.submit("leaks", megabytes=100))
    second = small.result(small.submit("leaks", megabytes=100))
    assert first != second
    assert "worker.child_replaced" in small.workers[0].output()


def picture(service: Service, task: str, image: bytes, **values: str) -> dict[str, Any]:
    answer = service.http.post(f"/tasks/{task}", files={"image": image}, data=values)
    assert answer.status_code == 202, answer.text
    return service.wait_for(answer.json()["task_id"], seconds=120)


@pytest.mark.slow
def test_a_child_that_has_written_large_pictures_reads_those_of_others(fresh: Service) -> None:
    fresh.env["WORKER_CONCURRENCY"] = "1"
    fresh.start()
    large, small = io.BytesIO(), io.BytesIO()
    photo(6000, 4000).save(large, "JPEG")
    photo(400, 300).save(small, "AVIF")
    children = fresh.workers[0].children()
    for _ in range(2):
        assert picture(fresh, "rotate", large.getvalue(), angle="90", format="webp")["status"] == "succeeded"
    assert picture(fresh, "filter", small.getvalue(), name="blur")["status"] == "succeeded"
    assert fresh.workers[0].children() == children


LATER = """
from server.sdk.registry import task

@task()
def changes({parameters}) -> str:
    return "ran"
"""


@pytest.mark.slow
def test_a_task_whose_signature_has_changed_fails_with_the_fields_name(fresh: Service) -> None:
    def deploy(parameters: str) -> None:
        (fresh.folder / "changing.py").write_text(LATER.format(parameters=parameters))

    fresh.env |= {"TASK_MODULES": "changing", "PYTHONPATH": f"{fresh.env['PYTHONPATH']}:{fresh.folder}"}
    deploy("width: int")
    fresh.start_web()
    task_id = fresh.submit("changes", width=1)
    deploy("height: int")
    fresh.start_worker()
    error_type, detail = error(fresh, task_id)
    assert error_type == "invalid-input"
    assert "has changed since" in detail and "height" in detail


def test_every_error_type_is_documented(service: Service) -> None:
    for name in ("task-rejected", "invalid-result"):
        page: Any = service.http.get(f"/problems/{name}")
        assert page.status_code == 200


def test_an_async_task_runs_and_its_time_limit_interrupts_it(service: Service) -> None:
    assert service.result(service.submit("awaits", seconds=0.1)) == "waited"

    assert service.wait_for(service.submit("awaits", seconds=30))["error"]["type"] == "/problems/time-limit"


def test_a_task_may_start_processes(service: Service) -> None:
    assert service.result(service.submit("in_processes", numbers=[-1, -2])) == [1, 2]
