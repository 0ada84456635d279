"""Two releases of a user's task types: a deploy adds one, removes one, and renames a queue."""

from harness import Service

_HEAD = """
import time

from sample_tasks import note
from server.sdk.context import Context
from server.sdk.registry import task


"""

OLD = """
@task()
def stays(ctx: Context, seconds: float = 0.1) -> None:
    note(ctx, "start")
    time.sleep(seconds)
    note(ctx, "end")

@task(queue="before", retries=5, retry_backoff=0.5)
def moved(fails: bool = False) -> None:
    if fails:
        raise ValueError("in the old release")

@task(queue="before")
def gone() -> None:
    time.sleep(0.5)
"""

NEW = """
@task()
def stays(ctx: Context, seconds: float = 0.1, more: str = "") -> None:
    note(ctx, "start")
    time.sleep(seconds)
    note(ctx, "end")

@task(queue="after", retries=5, retry_backoff=0.5)
def moved(fails: bool = False) -> None:
    pass

@task(queue="new")
def added() -> None:
    time.sleep(0.1)
"""


def write_release(service: Service, text: str) -> None:
    """Write the module of task types that the next process loads."""
    (service.folder / "releases_of_user.py").write_text(_HEAD + text)


def load_releases(service: Service) -> None:
    """Make further processes load that module."""
    service.env |= {
        "TASK_MODULES": "sample_tasks,releases_of_user",
        "PYTHONPATH": f"{service.env['PYTHONPATH']}:{service.folder}",
    }
