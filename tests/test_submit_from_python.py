"""`from server import submit`: the same service as HTTP, in a script, in threads, after a fork and in a Django view."""

import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from documents import blocks
from harness import ROOT, Service
from PIL import Image

from server import task
from server.cli.embedded import open_store
from server.sdk.errors import InvalidInput, TaskError, UnknownTaskType
from server.services.client import Client
from server.services.errors import TaskExpired
from server.services.retry import retry
from server.settings import Settings
from server.store.errors import DuplicateTask


def run(service: Service, code: str, folder: Path = ROOT, **env: str) -> str:
    """Run a script as an application would, and return what it prints."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(code)],
        env=service.env | env,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture(scope="module")
def client(service: Service) -> Iterator[Client]:
    store = open_store(Settings(redis_url=service.redis.url, task_modules=("sample_tasks",)))
    yield Client(store)
    store.redis.close()


def submit(client: Client, name: str, **parameters: object) -> str:
    return client.submit(name, parameters, owner="local").id


@pytest.mark.slow
def test_a_script_submits_a_file_and_waits_for_the_result(service: Service, tmp_path: Path) -> None:
    Image.new("RGB", (400, 200), "teal").save(tmp_path / "cat.jpg")
    (code,) = blocks("docs/embedding.md", "Submit from Python", "python")

    task_id, status = run(service, "import warnings; warnings.simplefilter('ignore')\n" + code, tmp_path).split()

    assert status in ("queued", "running", "succeeded")
    with Image.open(tmp_path / "thumbnail.jpg") as image:
        assert image.width == 64
    assert service.status(task_id)["status"] == "succeeded"
    record = service.store.tasks.get(task_id)
    assert record is not None
    assert record.owner == "alice"


def test_the_input_and_the_options_are_checked_as_over_http(client: Client) -> None:
    with pytest.raises(UnknownTaskType):
        submit(client, "no_such_task")
    with pytest.raises(InvalidInput) as wrong:
        submit(client, "divide", x=1, y="two")
    assert list(wrong.value.extra["errors"][0]["loc"]) == ["y"]
    with pytest.raises(InvalidInput, match="priority"):
        submit(client, "divide", x=1, y=2, priority="urgent")


def test_a_refused_input_says_in_its_text_what_is_wrong(client: Client) -> None:
    with pytest.raises(InvalidInput, match="y: Input should be a valid number"):
        submit(client, "divide", x=1, y="two")
    with pytest.raises(InvalidInput, match="Input should be 'low', 'normal' or 'high'"):
        submit(client, "divide", x=1, y=2, priority="urgent")


@task(name="takes_any_json")
def takes_any_json(value: dict[str, Any]) -> None:
    """Take a value without a schema."""


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "caf\udce9", object()])
def test_input_that_json_cannot_represent_is_refused_also_in_a_retry(client: Client, value: object) -> None:
    with pytest.raises(InvalidInput) as wrong:
        submit(client, "takes_any_json", value={"deep": [value]})
    assert list(wrong.value.extra["errors"][0]["loc"]) == ["value"]
    record = client.store.tasks.get(submit(client, "takes_any_json", value={}, delay=3600))
    assert record
    with pytest.raises(InvalidInput) as wrong:
        retry(client.store, record, "", {"value": {"deep": [value]}}, copy=True)
    assert list(wrong.value.extra["errors"][0]["loc"]) == ["input"]


def test_a_submit_with_a_key_gets_the_earlier_task_or_its_id(client: Client) -> None:
    first = submit(client, "ledgered", unique="from python", delay=3600)
    assert submit(client, "ledgered", unique="from python") == first
    with pytest.raises(DuplicateTask) as refused:
        submit(client, "ledgered", unique="from python", on_conflict="reject")
    assert refused.value.extra["task_id"] == first
    assert submit(client, "ledgered", unique="from python", on_conflict="replace") != first
    moved = {"debounce": "from python", "delay": 3600}
    assert submit(client, "ledgered", **moved) == submit(client, "ledgered", seconds=1, **moved)


def test_a_submit_from_python_has_the_options_of_http(service: Service, client: Client) -> None:
    task_id = submit(client, "divide", x=1, y=2, delay=3600, tag="blue", priority="high")

    status = service.status(task_id)
    assert (status["status"], status["tags"]) == ("scheduled", ["blue"])
    client.ticket(task_id).cancel()
    assert service.status(task_id)["status"] == "canceled"
    with pytest.raises(TaskError, match="task-canceled"):
        client.ticket(task_id).result(timeout=5)


def test_waiting_for_a_failed_task_raises_its_error(client: Client) -> None:
    with pytest.raises(TaskError) as failed:
        client.ticket(submit(client, "divide", x=1, y=0)).result(timeout=60)
    assert failed.value.type == "division-by-zero"


def test_a_wait_times_out_and_an_unknown_id_is_an_error(client: Client) -> None:
    with pytest.raises(TimeoutError):
        client.ticket(submit(client, "reports", seconds=30.0)).result(timeout=0.2)
    with pytest.raises(TaskExpired):
        client.ticket("0190b0a0-0000-7000-8000-000000000000").status()


def test_bytes_paths_and_lists_of_files_are_uploads(service: Service, client: Client, tmp_path: Path) -> None:
    (tmp_path / "two.txt").write_bytes(b"22")
    files = [b"1", tmp_path / "two.txt"]

    assert client.ticket(submit(client, "count_files", files=files)).result(timeout=60) == [1, 2]


@pytest.mark.slow
def test_the_same_idempotency_key_gives_the_first_ticket(service: Service) -> None:
    code = """
        from server import submit
        print(len({submit("divide", x=1, y=2, idempotency_key="order 7").id for _ in range(3)}))
    """
    assert run(service, code) == "1"


@pytest.mark.slow
def test_threads_and_forked_children_submit_at_the_same_time(service: Service) -> None:
    code = """
        import os, sys, threading
        from server import submit
        submit("divide", x=1, y=2)
        stop = threading.Event()
        def work():
            while not stop.is_set():
                submit("divide", x=1, y=2)
                stop.wait(0.005)  # not more than Redis and two cores can do
        threads = [threading.Thread(target=work) for _ in range(3)]
        for thread in threads:
            thread.start()
        children = []
        for _ in range(12):
            pid = os.fork()
            if not pid:
                ids = {submit("divide", x=number + 1, y=2).id for number in range(5)}
                os._exit(0 if len(ids) == 5 else 1)
            children.append(pid)
        codes = [os.waitpid(pid, 0)[1] for pid in children]
        stop.set()
        for thread in threads:
            thread.join()
        print(codes)
    """.replace("import os, sys", "import warnings; warnings.simplefilter('ignore'); import os")
    assert run(service, code) == str([0] * 12)


@pytest.mark.slow
def test_a_django_view_submits_its_uploaded_file(service: Service) -> None:
    code = """
        import django
        from django.conf import settings
        from django.core.files.uploadedfile import SimpleUploadedFile
        from django.http import JsonResponse
        from django.test import Client
        from django.urls import path
        from server import submit, ticket

        def accept(request):
            return JsonResponse({"id": submit("echo_file", file=request.FILES["file"], owner="django").id})

        def show(request, task_id):
            return JsonResponse({"status": ticket(task_id).status().status, "result": ticket(task_id).result(30)})

        urlpatterns = [path("accept", accept), path("show/<task_id>", show)]
        settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"], SECRET_KEY="x", USE_TZ=True)
        django.setup()
        client = Client()
        accepted = client.post("/accept", {"file": SimpleUploadedFile("a.txt", b"hello", "text/plain")}).json()
        print(client.get("/show/" + accepted["id"]).json()["result"]["bytes"])
    """
    assert run(service, code) == "5"


def test_the_imports_of_a_task_module_stay_cheap() -> None:
    code = "import sys; from server import task, Context, Upload; print({'flask', 'celery'} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


@pytest.mark.slow
def test_a_repeated_attempt_submits_its_tasks_once(fresh: Service) -> None:
    fresh.start()
    parent = fresh.submit("submits_others", number=5)

    ids = fresh.result(parent)

    assert fresh.status(parent)["deliveries"] == 2
    tasks = fresh.http.get("/tasks", params={"limit": 50}).json()["tasks"]
    assert {each["task_id"] for each in tasks} == {parent, *ids}
    assert len(set(ids)) == 6
    assert [fresh.result(each)["number"] for each in ids[:5]] == [1, 2, 3, 4, 5]
    assert fresh.status(ids[5])["status"] == "scheduled"
