"""`@task`: a typed function becomes an endpoint, its validation, its schema, and a bound Celery task."""

from collections.abc import Callable, Iterable
from inspect import getdoc
from typing import Any, TypeVar

from celery import Task, shared_task

from server.errors import Problem, TaskError
from server.records import Throttle
from server.registry import adopted, signature
from server.registry.execution import execute
from server.registry.kind import Kind, Limits, Retries
from server.registry.signature import Arity

__all__ = ["Arity", "Kind", "Limits", "Retries", "catalog", "expose", "is_known", "kind", "task"]

F = TypeVar("F", bound=Callable[..., Any])

_kinds: dict[str, Kind] = {}


def task(
    *,
    name: str | None = None,
    summary: str | None = None,
    soft_time_limit: float = 300,
    time_limit: float = 330,
    retries: int = 0,
    retry_on: tuple[type[Exception], ...] = (Exception,),
    retry_backoff: float = 1.0,
    queue: str = "default",
    max_upload_bytes: int | None = None,
    accepts: tuple[str, ...] = (),
    check: Callable[..., object] | None = None,
    max_running: int = 0,
    per_minute: int = 0,
    limit_per_owner: bool = False,
) -> Callable[[F], F]:
    """Register a typed function; the function itself stays as it is.

    Args:
        name: the task's name on the wire; the function's by default.
        summary: a line for the catalogue; the docstring's first by default.
        soft_time_limit: seconds after which the function is interrupted.
        time_limit: seconds after which its process is killed (code that does not return to Python).
        retries: how often the function is tried again after one of `retry_on`.
        retry_backoff: seconds before the first retry; doubled each time, with jitter.
        queue: the queue that its messages go to.
        max_upload_bytes: of one file; `MAX_UPLOAD_BYTES` bounds the whole request.
        accepts: media types of its uploads, such as `image/png` or `text/*`; empty takes any.
        check: called with the same parameters as the function (without its context) before a request is stored; the
            words of a ValueError are the client's.
        max_running: how many run at the same time, over all workers; 0 is any number.
        per_minute: how many start in any minute, over all workers; 0 is any number.
        limit_per_owner: whether these two are for each owner.

    Raises:
        TypeError: the signature has a parameter that does not work; the text names it.
        ValueError: a name is taken or not a name, or the limits are out of order.
    """

    def register(function: F) -> F:
        kind_name = str(name or getattr(function, "__name__", ""))
        if kind_name in _kinds:
            raise ValueError(
                f"{kind_name}: there is a task of this name already, in {_kinds[kind_name].function.__module__}"
            )
        text = getdoc(function) or ""
        _kinds[kind_name] = Kind(
            name=kind_name,
            function=function,
            signature=signature.read(function, check),
            summary=summary or text.partition("\n")[0],
            description=text,
            limits=Limits(soft_time_limit, time_limit),
            retries=Retries(retries, retry_on, retry_backoff),
            queue=queue,
            accepts=accepts,
            max_upload_bytes=max_upload_bytes,
            throttle=Throttle(max_running, per_minute, limit_per_owner),
        )
        _make_celery_task(_kinds[kind_name])
        return function

    return register


def expose(celery_task: Task, *, name: str | None = None) -> None:
    """Make an existing Celery task, unchanged, a kind of ours: `expose(add)`.

    Its name on the wire is `name`, or the last part of its Celery name; its time limits and retries are its own.

    Raises:
        TypeError, ValueError: as `task`; also where the name is the Celery task's own, which stays its own.
    """
    kind_name = name or celery_task.name.rpartition(".")[2]
    if kind_name == celery_task.name:
        raise ValueError(f"{kind_name!r} is the Celery task's own name: expose it under another, name='…'")
    task(name=kind_name, **adopted.options_of(celery_task))(adopted.function_of(celery_task))


def _make_celery_task(made: Kind) -> None:
    """Each kind is a Celery task of its own, so that Celery's and Flower's tools see it under its name."""

    def body(self: Task) -> Any:
        return execute(made, self)

    body.__qualname__ = made.name  # not its __name__, which Celery compiles: `my-task` is no identifier
    body.__module__ = made.function.__module__
    body.__doc__ = made.description
    options = {
        "Request": "server.worker.request:LeasedRequest",
        "bind": True,
        "acks_late": True,
        "track_started": True,
        "soft_time_limit": made.limits.soft,
        "time_limit": made.limits.hard,
        "throws": (TaskError,),  # expected: no traceback in the log
    }
    shared_task(name=made.name, **options)(body)


def route(name: str, *_: Any, **__: Any) -> dict[str, str] | None:
    """Celery's router: where `apply_async` sends a task (its `queue` attribute goes in Celery 6)."""
    return {"queue": _kinds[name].queue} if name in _kinds else None


def catalog() -> Iterable[Kind]:
    """Every kind of task, by name."""
    return [_kinds[name] for name in sorted(_kinds)]


def is_known(name: str) -> bool:
    """Whether there is a kind of this name."""
    return name in _kinds


def kind(name: str) -> Kind:
    """The kind of this name.

    Raises:
        Problem: `unknown-kind`, with the names that there are.
    """
    try:
        return _kinds[name]
    except KeyError:
        raise Problem("unknown-kind", f"There is no task {name[:64]!r}. Known: {', '.join(sorted(_kinds))}.") from None
