"""One run of an exposed Celery task, with the steps of Celery's own tracer.

Its own `__call__`, `before_start`, `on_success`, `on_failure`, `on_retry` and `after_return` are called, with its own
request pushed, so that `self.request`, `self.retry`, `autoretry_for` and `self.update_state` work as before. Retries go
through the record; Celery's own would publish a new message.
"""

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import wraps
from typing import Any

from celery import Task, current_task
from celery._state import _task_stack
from celery.app.trace import ExceptionInfo, task_has_custom
from celery.exceptions import Ignore, Reject, Retry

from server.celery_app.exposed.arguments import Arguments
from server.sdk.context import Context
from server.sdk.errors import RetryLater, TaskError

_CHANGED = "celery.arguments"  # the checkpoint with the arguments that a retry has changed

#: The checkpoint with attempt, state and `meta` of the last `update_state`, for `AsyncResult(id).state` and `.info`.
STATE = "celery.state"

#: Keys of the `meta` of `update_state`, as tutorials name them.
_DONE, _PERCENT = ("current", "done"), ("percent", "percentage", "progress")
_MESSAGE = ("status", "message", "step", "description", "stage")


class Replaced(BaseException):
    """The task was replaced by another one, whose result is used."""

    def __init__(self, signature: Any) -> None:
        super().__init__()
        self.signature = signature


class Tracer:
    """Runs a Celery task in an attempt, with the steps of Celery's own tracer."""

    def __init__(self, task: Task, ctx: Context, arguments: Arguments, named: Mapping[str, Any]) -> None:
        self._task = task
        self._ctx = ctx
        self.args, self.kwargs = arguments.call(named)
        if ctx.retries and (changed := ctx.checkpoints().get(_CHANGED)):
            self.args, self.kwargs = json.loads(changed)

    def __call__(self) -> Any:
        """Call the task.

        Raises:
            TaskError: `worker-lost`: an earlier run was interrupted, and the task does not have `acks_late`.
            Exception: the function's own.
        """
        if self._ctx.deliveries > self._ctx.retries + 1 and not self._task.acks_late:
            detail = "Its worker stopped while it ran. A Celery task without acks_late is not run again."
            raise TaskError("worker-lost", detail)
        with self._as_celery():
            try:
                return self._succeed()
            except RetryLater as error:
                self._end("RETRY", "on_retry", error.__cause__ or error)
                raise
            except Retry as error:
                self._end("RETRY", "on_retry", error.exc or error)
                raise
            except (Ignore, Reject):
                raise
            except Exception as error:
                self._end("FAILURE", "on_failure", error)
                raise

    def _succeed(self) -> Any:
        task = self._task
        details = self._ctx.task_id, self.args, self.kwargs
        task.before_start(*details)
        function = task if task_has_custom(task, "__call__") else task.run
        result = function(*self.args, **self.kwargs)
        task.on_success(result, *details)
        task.after_return("SUCCESS", result, *details, None)
        return None if task.ignore_result else result

    def _end(self, state: str, handler: str, error: BaseException) -> None:
        details = (self._ctx.task_id, self.args, self.kwargs, ExceptionInfo())
        getattr(self._task, handler)(error, *details)
        self._task.after_return(state, error, *details)

    @contextmanager
    def _as_celery(self) -> Iterator[None]:
        task = self._task
        request = vars(current_task.request) if current_task else {}
        outer = {name: value for name, value in request.items() if not name.startswith("_")}
        outer |= {"id": self._ctx.task_id, "root_id": self._ctx.task_id, "retries": self._ctx.retries}
        outer |= {"args": self.args, "kwargs": self.kwargs, "task": task.name, "called_directly": False}
        task.push_request(**outer, tracer=self)
        _task_stack.push(task)
        try:
            yield
        finally:
            _task_stack.pop()
            task.pop_request()

    def retry(
        self,
        args: Any = None,
        kwargs: Any = None,
        exc: BaseException | None = None,
        throw: bool = True,
        eta: datetime | None = None,
        countdown: float | None = None,
        max_retries: int | None = None,
        **_: Any,
    ) -> Retry:
        """Retry through the record, as `Task.retry`: it raises, or returns what to raise."""
        task = self._task
        cause = exc or sys.exc_info()[1]
        limit = task.max_retries if max_retries is None else max_retries
        if limit is not None and self._ctx.retries >= limit:
            raise exc or task.MaxRetriesExceededError(f"Can't retry {task.name} after {limit} retries.")
        if args is not None or kwargs is not None:
            changed = [self.args if args is None else args, self.kwargs if kwargs is None else kwargs]
            self._ctx.checkpoint(_CHANGED, json.dumps(changed))
        wait = task.default_retry_delay if countdown is None else countdown
        if eta is not None:
            moment = eta if eta.tzinfo else eta.replace(tzinfo=UTC)
            wait = (moment - datetime.now(UTC)).total_seconds()
        again = Retry(exc=cause, when=max(0.0, float(wait)))  # which `autoretry_for=(Exception,)` lets pass
        if throw:
            raise again
        return again

    def update_state(self, task_id: str | None = None, state: str | None = None, meta: Any = None, **_: Any) -> None:
        """Report the numbers and the text of a custom state as progress; Celery's own clients read it as it is."""
        with suppress(TypeError):  # `meta` is not JSON
            self._ctx.checkpoint(STATE, json.dumps([self._ctx.deliveries, state, meta]))
        fields = meta if isinstance(meta, dict) else {}
        done, total = _number(_first(fields, _DONE)), _number(fields.get("total"))
        if done is None or total is None:
            done, total = _number(_first(fields, _PERCENT)), 100
        message = str(_first(fields, _MESSAGE) or (meta if isinstance(meta, str) else "") or state or "")
        if done is not None:
            self._ctx.progress(done, total, message)
        elif message:
            self._ctx.log(message)

    def replace(self, sig: Any) -> Any:
        """Run the other task in this attempt. Celery's own publishes it under the same id and ends this."""
        raise Replaced(sig)


def _in_a_tracer(name: str, stock: Callable[..., Any]) -> Callable[..., Any]:
    """Return a method of Celery's base class that calls the tracer's, or Celery's own outside of a tracer.

    In the base class and not in the task, because a project's class may have a method of its own that calls this one.
    """

    @wraps(stock)
    def method(self: Task, *args: Any, **options: Any) -> Any:
        tracer = vars(self.request).get("tracer")
        return getattr(tracer, name)(*args, **options) if tracer else stock(self, *args, **options)

    return method


for _name in ("retry", "update_state", "replace"):
    setattr(Task, _name, _in_a_tracer(_name, getattr(Task, _name)))


def _first(meta: Mapping[str, Any], names: tuple[str, ...]) -> Any:
    return next((meta[name] for name in names if meta.get(name) is not None), None)


def _number(value: Any) -> float | None:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None
