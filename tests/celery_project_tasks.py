"""Celery tasks copied from public projects; none was written for this server."""

import os
import time
from datetime import UTC, datetime, timedelta
from typing import Any

from celery import Celery, Task, shared_task
from flask import Flask, current_app

from server import expose, expose_all

flask_app = Flask("found")
flask_app.config["GREETING"] = "hello"


class FlaskTask(Task):
    """Flask's documented pattern: each task has an application context."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        with flask_app.app_context():
            return self.run(*args, **kwargs)


#: An application of its own, as a project has it, with a broker that is not there.
project = Celery("project", broker="redis://127.0.0.1:1/0", task_cls=FlaskTask)


@project.task
def add(x, y):  # type: ignore[no-untyped-def]  # Celery's first steps
    """Add two values of any type."""
    return x + y


@project.task(name="tasks.xsum")
def xsum(numbers):  # type: ignore[no-untyped-def]
    """Celery's example of a chord's body."""
    return sum(numbers)


@project.task(bind=True)
def dump_context(self, x, y):  # type: ignore[no-untyped-def]
    """Celery's example of a bound task."""
    request = self.request
    return {"id": request.id, "args": request.args, "kwargs": request.kwargs, "retries": request.retries}


@project.task(name="sleep")
def sleep(seconds):  # type: ignore[no-untyped-def]  # Flower's examples
    """Sleep; its Celery name has no dots."""
    time.sleep(seconds)


@project.task
def echo(msg, timestamp=False):  # type: ignore[no-untyped-def]
    """Return a message."""
    return f"{int(timestamp)}: {msg}"


@project.task
def error(msg):  # type: ignore[no-untyped-def]
    """Fail."""
    raise KeyError(msg)


@project.task
def context() -> str:
    """Flask's pattern: the task needs the application."""
    return str(current_app.config["GREETING"])


@shared_task(bind=True, ignore_result=False)
def process(self: Task, total: int) -> object:
    """Flask's example with progress."""
    for done in range(total):
        self.update_state(state="PROGRESS", meta={"current": done + 1, "total": total})
        time.sleep(0.2)
    return {"current": total, "total": total}


@shared_task
def total(results):  # type: ignore[no-untyped-def]
    """Add the totals of one or of several."""
    return sum(each["total"] for each in (results if isinstance(results, list) else [results]))


@project.task(name="create_task")
def create_task(task_type):  # type: ignore[no-untyped-def]  # a tutorial of FastAPI with Celery
    """Work for some time."""
    time.sleep(int(task_type) / 10)
    return True


@project.task(rate_limit="1/h", serializer="pickle", priority=0, queue="slow", time_limit=20, ignore_result=True)
def with_options(*numbers, scale=1, **more):  # type: ignore[no-untyped-def]
    """A task with options of which some have no equivalent."""
    return [number * scale for number in numbers]


@project.task
def collects(*numbers: int, scale: int = 1, **names: str) -> dict[str, Any]:
    """Accept any number of arguments."""
    return {"numbers": [number * scale for number in numbers], "names": names}


calls: list[Any] = []


class Notes(Task):
    """A base class with every handler, which notes what it is called with."""

    def before_start(self, task_id: str, args: Any, kwargs: Any) -> None:
        calls.clear()
        calls.append(["before_start", task_id == self.request.id])

    def on_retry(self, exc: Exception, task_id: str, args: Any, kwargs: Any, einfo: Any) -> None:
        self.note("on_retry", type(exc).__name__, bool(einfo.traceback))

    def on_failure(self, exc: Exception, task_id: str, args: Any, kwargs: Any, einfo: Any) -> None:
        self.note("on_failure", type(exc).__name__, bool(einfo.traceback))

    def on_success(self, retval: Any, task_id: str, args: Any, kwargs: Any) -> None:
        self.note("on_success", retval, kwargs)

    def after_return(self, status: str, retval: Any, task_id: str, args: Any, kwargs: Any, einfo: Any) -> None:
        self.note("after_return", status)

    def note(self, *call: Any) -> None:
        """Write all notes of this run where a test reads them."""
        from ledger_client import client

        calls.append(list(call))
        if call[0] == "after_return":
            client().rpush("test:handlers", repr(calls))


class Broken(Exception):
    """An exception of the project's own."""


@project.task(
    bind=True, base=Notes, autoretry_for=(OSError,), retry_backoff=False, default_retry_delay=0, max_retries=1
)
def noted(self: Task, how: str) -> str:
    """End in a way."""
    if how == "retry" and not self.request.retries:
        raise OSError("once")
    if how == "other" and not self.request.retries:
        raise self.retry(kwargs={"how": "changed"}, countdown=0)
    if how == "fail":
        raise Broken("for good")
    return f"{how} {self.request.retries}"


class Patient(Task):
    """A base class that decides itself how long to wait."""

    def retry(self, *args: Any, **options: Any) -> Any:
        return super().retry(*args, **options | {"countdown": 60})


@project.task(bind=True, base=Patient)
def retries_by_its_class(self: Task) -> None:
    """Retry without a time."""
    self.retry()


@project.task(bind=True, autoretry_for=(Exception,), retry_backoff=1)
def retries_on_its_own(self: Task) -> None:
    """Retry later than `autoretry_for` would."""
    self.retry(countdown=60)


@project.task(bind=True)
def retries_at_a_naive_time(self: Task) -> None:
    """Retry at a time in UTC without a zone, as tutorials have it."""
    self.retry(eta=datetime.now(UTC).replace(tzinfo=None) + timedelta(seconds=60))


@project.task(bind=True, max_retries=0)
def gives_up(self: Task) -> str:
    """Return something else after the last retry."""
    try:
        raise OSError("not there")
    except OSError:
        try:
            self.retry()
        except self.MaxRetriesExceededError:
            return "gave up"
    return "retried"


@project.task(soft_time_limit=1000)
def is_slow() -> None:
    """A task with one of the two limits."""


@project.task(soft_time_limit=295, time_limit=300)
def is_stopped_soon() -> None:
    """A task whose limits are close to each other."""


@project.task(bind=True)
def steps(self: Task) -> None:
    """Report states of its own, without numbers and with a percentage."""
    self.update_state(state="STEP 1", meta={"percent": 40, "step": "reading"})
    time.sleep(2)
    self.update_state(state="LOADING")
    time.sleep(30)


@project.task(bind=True, acks_late=True)
def dies_late(self: Task) -> int:
    """Kill its process in the first run; it may run again."""
    return _dies("late")


@project.task
def dies_early() -> int:
    """Kill its process in the first run; it must not run again."""
    return _dies("early")


def _dies(name: str) -> int:
    from ledger_client import client

    runs = int(client().incr(f"test:runs:{name}"))
    if runs == 1:
        os.kill(os.getpid(), 9)
    return runs


@project.task
def counts_up(number: int):  # type: ignore[no-untyped-def]
    """Return a generator, which is the result and not output."""
    yield from range(number)


@project.task
def calls_another(x: int) -> str:
    """Start another exposed task."""
    return str(add.delay(x, 1).id)


expose(add, types={"x": int, "y": int}, name="celery_project_tasks.add")
expose(sleep, untyped=True, name="sleep_of_flower")
expose(collects)
expose(process)
expose(total, untyped=True)
expose_all(project)
