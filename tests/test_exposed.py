"""Celery tasks of public projects, unchanged, as task types: in real workers, over HTTP and by Celery's own calls."""

import ast
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest
from harness import ROOT, Service, eventually

HANDLERS = "test:handlers"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with Service(
        tmp_path_factory.mktemp("found"), TASK_MODULES="celery_project_tasks", LEASE_SECONDS="5", TZ="Europe/Berlin"
    ) as server:
        yield server.start()


def python(server: Service, code: str) -> str:
    """Run code in the project's own process, which loads its tasks."""
    code = f"from server.cli.entry import celery\nfrom celery_project_tasks import *\n{code}"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=server.env,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip().splitlines()[-1]


def noted(server: Service, how: str) -> list[Any]:
    """Run the task with handlers; what they noted in each run."""
    server.redis.client.delete(HANDLERS)
    server.wait_for(server.submit("noted", how=how))
    runs = [ast.literal_eval(line.decode()) for line in server.redis.client.lrange(HANDLERS, 0, -1)]
    assert all(run[0] == ["before_start", True] for run in runs)
    return [run[1:] for run in runs]


@pytest.mark.parametrize(
    ("task", "parameters", "result"),
    [
        ("celery_project_tasks.add", {"x": 1, "y": 2}, 3),
        ("xsum", {"numbers": [1, 2, 3]}, 6),
        ("sleep_of_flower", {"seconds": 0.01}, None),
        ("echo", {"msg": "hi", "timestamp": True}, "1: hi"),
        ("context", {}, "hello"),
        ("process", {"total": 1}, {"current": 1, "total": 1}),
        ("create_task", {"task_type": 1}, True),
        ("with_options", {"numbers": [1]}, None),
        ("counts_up", {"number": 3}, [0, 1, 2]),
        ("collects", {"numbers": [1, 2], "scale": 3, "names": {"a": "b"}}, {"numbers": [3, 6], "names": {"a": "b"}}),
    ],
)
def test_a_celery_task_of_a_public_project_runs_unchanged(
    server: Service, task: str, parameters: Any, result: Any
) -> None:
    assert server.result(server.submit(task, **parameters)) == result


def test_declared_types_are_validated(server: Service) -> None:
    assert server.http.post("/tasks/celery_project_tasks.add", json={"x": "one", "y": 2}).status_code == 422
    assert server.http.post("/tasks/echo", json={"nonsense": 1}).status_code == 422


def test_a_bound_task_has_its_request(server: Service) -> None:
    task_id = server.submit("dump_context", x=1, y=[2])

    assert server.result(task_id) == {"id": task_id, "args": [], "kwargs": {"x": 1, "y": [2]}, "retries": 0}


def test_handlers_are_called_as_celerys_tracer_calls_them(server: Service) -> None:
    assert noted(server, "good") == [[["on_success", "good 0", {"how": "good"}], ["after_return", "SUCCESS"]]]
    assert noted(server, "fail") == [[["on_failure", "Broken", True], ["after_return", "FAILURE"]]]
    assert noted(server, "retry") == [
        [["on_retry", "OSError", True], ["after_return", "RETRY"]],
        [["on_success", "retry 1", {"how": "retry"}], ["after_return", "SUCCESS"]],
    ]


def test_a_retry_may_change_the_arguments(server: Service) -> None:
    assert server.result(server.submit("noted", how="other")) == "changed 1"


@pytest.mark.parametrize("task", ["retries_by_its_class", "retries_on_its_own", "retries_at_a_naive_time"])
def test_a_retry_comes_when_the_task_says(server: Service, task: str) -> None:
    task_id = server.submit(task)

    eventually(lambda: server.status(task_id)["status"] == "retrying")

    assert 50_000 < server.redis.client.zscore(server.store.keys.due, task_id) - time.time() * 1000 <= 60_000
    server.http.post(f"/tasks/{task_id}/cancel")


def test_a_task_notices_that_it_has_no_retry_left(server: Service) -> None:
    assert server.result(server.submit("gives_up")) == "gave up"


@pytest.mark.parametrize(("task", "soft", "hard"), [("is_slow", 1000, 1100), ("is_stopped_soon", 295, 300)])
def test_a_soft_time_limit_is_kept(server: Service, task: str, soft: float, hard: float) -> None:
    limits = server.http.get(f"/catalog/{task}").json()["limits"]

    assert (limits["soft_seconds"], limits["hard_seconds"]) == (soft, pytest.approx(hard))


def test_supported_options_apply_and_others_are_logged_at_start(server: Service) -> None:
    output = server.workers[0].output()
    assert 'reason="rate_limit 1/h is kept as 1 a minute."' in output
    assert 'reason="serializer pickle is not kept' in output
    task_id = server.submit("with_options", numbers=[1])
    record = server.store.tasks.get(task_id)
    assert record is not None
    assert (record.queue, record.priority) == ("slow", "high")


def test_a_custom_state_becomes_progress_and_message(server: Service) -> None:
    task_id = server.submit("steps")

    progress = eventually(lambda: server.status(task_id)["progress"])

    assert (progress["percent"], progress["message"]) == (40, "reading")
    events = server.http.get(f"/tasks/{task_id}", params={"wait": 1})
    assert events.status_code == 200
    server.http.post(f"/tasks/{task_id}/cancel")


def test_only_a_task_with_acks_late_runs_again_after_its_worker_died(server: Service) -> None:
    assert server.result(server.submit("dies_late"), seconds=60) == 2

    ended = server.wait_for(server.submit("dies_early"), seconds=60)

    assert (ended["status"], ended["error"]["type"]) == ("failed", "/problems/worker-lost")
    assert server.redis.client.get("test:runs:early") == b"1"


@pytest.mark.slow
@pytest.mark.parametrize(
    "call",
    [
        "add.delay(20, y=3)",
        "add.apply_async((20, 3), countdown=0.2)",
        "add.s(20, 3).apply_async()",
        "project.send_task('celery_project_tasks.add', [20, 3])",
        "celery.send_task('celery_project_tasks.add', (20,), {'y': 3}, queue='default')",
    ],
)
def test_a_call_from_python_creates_a_record(server: Service, call: str) -> None:
    task_id, result = python(server, f"made = {call}\nprint(made.id, made.get(timeout=60))").split()

    assert result == "23"
    assert server.result(task_id) == 23
    assert server.status(task_id)["task"] == "celery_project_tasks.add"


@pytest.mark.slow
def test_the_command_celery_call_creates_a_record(server: Service) -> None:
    command = ["celery", "-A", "wsgi", "call", "celery_project_tasks.echo", "--args", '["hi"]']
    done = subprocess.run(command, cwd=ROOT, env=server.env, capture_output=True, text=True, timeout=60, check=True)

    assert server.result(done.stdout.split()[-1]) == "0: hi"


def test_a_task_that_calls_another_creates_a_record_for_the_same_owner(server: Service) -> None:
    child = server.result(server.submit("calls_another", x=4))

    assert server.result(child) == 5


@pytest.mark.slow
@pytest.mark.parametrize(
    ("canvas", "result"),
    [
        ("(process.s(1) | total.s())", "1"),
        ("group(process.s(1), process.s(2))", "[{'current': 1, 'total': 1}, {'current': 2, 'total': 2}]"),
        ("chord([process.s(1), process.s(2)], total.s())", "3"),
    ],
)
def test_chains_groups_and_chords_run_as_on_stock_celery(server: Service, canvas: str, result: str) -> None:
    code = f"from celery import chord, group\nprint({canvas}.apply_async().get(timeout=60))"

    assert python(server, code) == result


def test_the_caller_gets_the_original_exception(server: Service) -> None:
    code = """
for made in (noted.delay("fail"), error.delay("missing")):
    try:
        made.get(timeout=60)
    except Exception as raised:
        print(type(raised).__module__, repr(raised), end=" ")
"""
    assert python(server, code) == "celery_project_tasks Broken('for good') builtins KeyError('missing')"


@pytest.mark.slow
def test_another_process_follows_a_task_by_its_id(server: Service) -> None:
    """As its own routes do: `AsyncResult(id)` in another request, with state and info."""
    code = """
import time
from celery.result import AsyncResult
made = [steps.delay().id, echo.delay("hi").id]
found = AsyncResult(made[0], app=project)
while found.state in ("PENDING", "STARTED"):
    time.sleep(0.05)
first = (found.state, found.info)
again = project.AsyncResult(made[1])
print(first, again.get(timeout=60), again.successful(), made[0], sep="|")
"""
    *printed, task_id = python(server, code).split("|")
    server.http.post(f"/tasks/{task_id}/cancel")

    assert printed == ["('STEP 1', {'percent': 40, 'step': 'reading'})", "0: hi", "True"]
