"""`delay`, `apply_async`, `send_task` and `celery call` of an exposed task create a record, as a submit over HTTP does.

Parts of a chain, a group or a chord run as on stock Celery, without a record, and so does a call with an option that a
record does not have, such as its own `task_id`.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from typing import Any

from celery import Celery, current_task
from celery.result import AsyncResult

from server.celery_app.exposed.expose import Exposed, exposed_tasks
from server.celery_app.exposed.options import priority_name
from server.sdk.registry import definition
from server.services.client import Client
from server.store import Store

#: Options that a record does not have: those of chains, groups and chords, and those that change the message.
_STOCK = frozenset(
    {"chain", "chord", "group_id", "link", "link_error", "parent_id", "root_id", "task_id", "expires", "reply_to"}
)

_OWNER = "local"  # the owner of a call that is not made in a task; over HTTP, the owner on a server without keys


def send(
    app: Celery, store: Store, stock: Callable[..., Any], name: str, args: Any = None, kwargs: Any = None, **more: Any
) -> Any:
    """Submit an exposed task and return its `AsyncResult`; send every other task with Celery's own method."""
    exposed = exposed_tasks.get(name)
    if exposed is None:
        return stock(name, args, kwargs, **more)
    if any(more.get(option) for option in _STOCK):
        return stock(name, args, kwargs, **{**_shown(exposed, args, kwargs), **more})
    parent = getattr(current_task.request, "attempt", None) if current_task else None
    queue = more.get("queue")
    ticket = Client(store).submit(
        exposed.name,
        exposed.arguments.bind(args, kwargs) | _options(exposed, more),
        owner=parent.owner if parent else _OWNER,
        queue=str(getattr(queue, "name", queue) or ""),
    )
    return AsyncResult(ticket.id, app=app)


def install(app: Celery, store: Store) -> None:
    """Let the other Celery applications of this process send their exposed tasks to this store, and find them there."""
    for other in {each.task.app for each in exposed_tasks.values()} - {app}:
        if not isinstance(other.__dict__.get("send_task"), partial):
            other.send_task = partial(send, app, store, other.send_task)
            other._get_backend = partial(_Both, app, other._get_backend)


class _Both:
    """Two result backends as one: that of the records, and an application's own for all other results."""

    def __init__(self, app: Celery, stock: Callable[[], Any]) -> None:
        self._records = app.backend
        self._stock = stock()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stock, name)

    def get_task_meta(self, task_id: str, **options: Any) -> Any:
        return self._of(task_id).get_task_meta(task_id, **options)

    def wait_for_pending(self, result: AsyncResult, **options: Any) -> Any:
        return self._of(result.id).wait_for_pending(result, **options)

    def add_pending_result(self, result: AsyncResult, **options: Any) -> Any:
        """Do nothing for a record, whose end is not a message of Celery's."""
        return self._of(result.id).add_pending_result(result, **options)

    def _of(self, task_id: str) -> Any:
        return self._records if self._records.has_record(task_id) else self._stock


def _shown(exposed: Exposed, args: Any, kwargs: Any) -> dict[str, str]:
    """Return how Celery's events and tools show the arguments, if there are secrets among them."""
    secrets = definition(exposed.name).secrets
    with suppress(TypeError):  # a part of a chain that gets its first argument later
        parameters = exposed.arguments.bind(args, kwargs)
        return {"argsrepr": "()", "kwargsrepr": repr(secrets.hide(parameters))} if secrets.values(parameters) else {}
    return {}


def _options(exposed: Exposed, more: Mapping[str, Any]) -> dict[str, Any]:
    options: dict[str, Any] = {}
    if more.get("countdown"):
        options["delay"] = max(0.0, float(more["countdown"]))
    if eta := more.get("eta"):
        moment = datetime.fromisoformat(eta) if isinstance(eta, str) else eta
        options["not_before"] = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    if (priority := more.get("priority")) is not None:
        options["priority"] = priority_name(exposed.task, priority)
    return options
