"""`expose(add)`: the task type of an existing Celery task."""

import inspect
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from inspect import Parameter, getdoc
from typing import Any

from celery import Celery, Task

from server.celery_app.exposed import options
from server.celery_app.exposed.arguments import Arguments
from server.celery_app.exposed.tracer import Tracer
from server.celery_app.message import WIRE_NAMES
from server.logs import event
from server.sdk import registry, signature
from server.sdk.context import Context
from server.sdk.definition import Retries, TaskDefinition
from server.store.record import DEFAULT_QUEUE

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Exposed:
    """A Celery task, the name of its task type, and its parameters."""

    task: Task
    name: str
    arguments: Arguments


exposed_tasks: dict[str, Exposed] = {}  # by the Celery task's name
_notices: list[tuple[str, str, str]] = []  # for the worker's log: the event, the Celery task, and a sentence


def expose(
    celery_task: Task, *, name: str | None = None, types: Mapping[str, Any] | None = None, untyped: bool = False
) -> None:
    """Make an existing, unchanged Celery task a task type: `expose(add)`.

    It keeps its class, its handlers, its retries and its options. The log says at the start which cannot be kept.

    Args:
        celery_task: the task.
        name: its name in the API; by default the last part of its Celery name.
        types: the types of parameters that have none, such as `{"x": int}`.
        untyped: whether the other parameters without a supported type accept any JSON value.

    Raises:
        TypeError: a parameter has no type or an unsupported one; the message names it.
        ValueError: the name is in use or not valid, or an option is not valid.
    """
    task = getattr(celery_task, "_get_current_object", lambda: celery_task)()  # `shared_task` gives a proxy
    task_name = name or task.name.rpartition(".")[2]
    arguments = Arguments(task.run, types or {}, untyped=untyped)
    function, text = _function(task, arguments), getdoc(task.run) or ""
    registry.add(
        TaskDefinition(
            name=task_name,
            function=function,
            signature=signature.read(function),
            summary=text.partition("\n")[0],
            description=text,
            limits=options.limits_of(task),
            retries=Retries(),
            queue=str(getattr(task, "queue", None) or DEFAULT_QUEUE),
            priority=options.priority_name(task, task.priority),
            throttle=options.throttle_of(task),
        )
    )
    exposed_tasks[task.name] = Exposed(task, task_name, arguments)
    if task_name == task.name:
        WIRE_NAMES[task_name] = f"exposed.{task_name}"  # Celery has its own task by this name
    _notices.extend(("expose.option", task.name, sentence) for sentence in options.not_kept(task))


def expose_all(app: Celery) -> None:
    """Expose every task of a Celery application. The log says which tasks cannot be exposed, and why.

    A task's name in the API is the shortest end of its Celery name that is not in use. Parameters without a supported
    type accept any JSON value.
    """
    app.loader.import_default_modules()
    for celery_name in sorted(app.tasks):
        if celery_name.startswith("celery.") or celery_name in exposed_tasks or registry.is_registered(celery_name):
            continue
        try:
            expose(app.tasks[celery_name], name=_free_name(celery_name), untyped=True)
        except (TypeError, ValueError) as error:
            _notices.append(("expose.skipped", celery_name, str(error)))


def is_exposed(name: str) -> bool:
    return any(each.name == name for each in exposed_tasks.values())


def log_notices() -> None:
    """Log, at the start of a worker, which options and which tasks were left out."""
    for name, task, reason in _notices:
        event(log, name, level=logging.WARNING, task=task, reason=reason)


def _free_name(celery_name: str) -> str:
    parts = celery_name.lower().split(".")
    ends = [".".join(parts[at:]) for at in range(len(parts) - 1, -1, -1)]
    return next((end for end in ends if not registry.is_registered(end)), ends[-1])


def _function(task: Task, arguments: Arguments) -> Any:
    """Return the task type's function, with the name, the module and the parameters of the Celery task's function."""

    def call(coatcheck_context: Context, **named: Any) -> Any:
        return Tracer(task, coatcheck_context, arguments, named)()

    original = inspect.unwrap(task.run)
    call.__name__, call.__qualname__, call.__module__ = original.__name__, original.__qualname__, original.__module__
    call.__doc__ = original.__doc__
    context = Parameter("coatcheck_context", Parameter.POSITIONAL_OR_KEYWORD, annotation=Context)
    call.__signature__ = inspect.Signature([context, *arguments.parameters])  # type: ignore[attr-defined]
    hints = {each.name: each.annotation for each in arguments.parameters if each.annotation is not Any}
    returns = Any if task.ignore_result else arguments.returns
    call.__annotations__ = {**hints, "return": returns, "coatcheck_context": Context}
    return call
