"""Adapter that makes an existing, unchanged Celery task a task type: `expose(add)`.

Its function runs inside our own task, with its own Celery request pushed, so that `self.request.id`, `self.retry`,
`autoretry_for` and `self.update_state(meta={"current": 3, "total": 10})` work as before.
"""

import functools
import inspect
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, get_type_hints

from server.sdk.context import Context
from server.sdk.errors import RetryLater

if TYPE_CHECKING:
    from celery import Task

#: Default time limits in seconds, as those of `@task`, for a Celery task without limits.
_SOFT, _HARD = 300.0, 330.0


def function_of(celery_task: "Task") -> Callable[..., Any]:
    """Add a context parameter to the Celery task's function, so that `@task` can register it."""
    original = celery_task.run
    hints = get_type_hints(inspect.unwrap(original), include_extras=True)

    @functools.wraps(original)
    def run(ctx: Context, **arguments: Any) -> Any:
        with _as_celery(celery_task, ctx):
            return original(**arguments)

    context = inspect.Parameter("ctx", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=Context)
    given = inspect.signature(original)
    run.__signature__ = given.replace(parameters=[context, *given.parameters.values()])  # type: ignore[attr-defined]
    run.__annotations__ = {**hints, "ctx": Context}
    return run


def options_of(celery_task: "Task") -> dict[str, Any]:
    """Translate the Celery task's own settings to options of `@task`."""
    hard = celery_task.time_limit or _HARD
    soft = min(celery_task.soft_time_limit or _SOFT, hard * 0.9)
    return {"soft_time_limit": soft, "time_limit": hard}


@contextmanager
def _as_celery(celery_task: "Task", ctx: Context) -> Iterator[None]:
    own = {"retry": _retry(celery_task, ctx), "update_state": _update_state(ctx), "replace": _replace}
    celery_task.push_request(id=ctx.task_id, retries=ctx.retries, called_directly=False, args=(), kwargs={})
    celery_task.__dict__.update(own)
    try:
        yield
    finally:
        for name in own:
            del celery_task.__dict__[name]
        celery_task.pop_request()


class Replaced(BaseException):
    """The task has named another one whose result is to be its own."""

    def __init__(self, signature: Any) -> None:
        super().__init__()
        self.signature = signature


def _replace(sig: Any) -> Any:
    """Run the other task in this attempt. Celery's own publishes it under the same id and ends this."""
    raise Replaced(sig)


def _retry(celery_task: "Task", ctx: Context) -> Callable[..., Any]:
    def retry(
        args: Any = None,
        kwargs: Any = None,
        exc: Exception | None = None,
        countdown: float | None = None,
        max_retries: int | None = None,
        **_: Any,
    ) -> Any:
        """Retry through the record; Celery's own method would publish a new message."""
        cause = exc or sys.exc_info()[1] or RuntimeError("the task asked for a retry")
        most = celery_task.max_retries if max_retries is None else max_retries
        if most is not None and ctx.retries >= most:
            raise cause
        wait = celery_task.default_retry_delay if countdown is None else countdown
        raise RetryLater(float(wait)) from cause

    return retry


def _update_state(ctx: Context) -> Callable[..., None]:
    def update_state(task_id: str | None = None, state: str | None = None, meta: Any = None, **_: Any) -> None:
        """Report `current` and `total`, as Celery's tutorials name them, as progress."""
        if isinstance(meta, dict) and "current" in meta and "total" in meta:
            ctx.progress(meta["current"], meta["total"], str(meta.get("status", "")))

    return update_state
