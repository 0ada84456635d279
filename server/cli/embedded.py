"""Coatcheck inside another application's process: `submit` in a view, in a script, in a task."""

import sys
from collections.abc import Mapping
from typing import Any

from server import tasks
from server.services.client import Client, Ticket
from server.settings import Settings, load
from server.store import Store
from server.store.api_keys import check_owner
from server.store.submit import IdempotencyKey

#: The process's client. Two threads that need the first one may both make it, and one of the two is kept: a lock would
#: stay locked in a child that was forked meanwhile.
_clients: dict[str, Client] = {}


def open_store(settings: Settings) -> Store:
    """Open the store of these settings, with the task types and the broker that a submit needs.

    Raises:
        SettingsError: as `server.tasks.load`.
    """
    store = Store(settings)
    tasks.load(settings)
    if not settings.broker_is_redis or "server.celery_app" in sys.modules:  # it is if a task was exposed
        from server.celery_app import create_celery

        create_celery(store, current=False)  # the application's own Celery stays the current one
    return store


def use(store: Store) -> None:
    """Make this the store of `submit` in this process."""
    _clients["default"] = Client(store)


def client() -> Client:
    """Return the client of this process; by default one for the settings of the environment.

    Raises:
        SettingsError: a setting is missing or not valid.
    """
    return _clients.get("default") or _clients.setdefault("default", Client(open_store(load())))


def submit(
    task: str,
    parameters: Mapping[str, Any] | None = None,
    /,
    *,
    owner: str = "local",
    idempotency_key: str | None = None,
    **more: Any,
) -> Ticket:
    """Submit a task, as `POST /tasks/{name}` does, and return its ticket.

        ticket = submit("thumbnail", image=open("cat.jpg", "rb"), width=64, owner="alice")
        ticket.result(timeout=30)

    Args:
        task: the name of the task type.
        parameters: its parameters, for those that have the name of an argument of this function.
        owner: the owner of the task, who sees it over HTTP.
        idempotency_key: the same key and input return the first ticket again, for 24 hours.
        more: its parameters, and the options of a submit (`delay`, `priority`, `tag`, `webhook` and so on). A file is
            `bytes`, a `Path`, an open file, or an upload of Flask or Django.

    Raises:
        CoatcheckError: nothing was stored, for example `InvalidInput`, `QuotaExceeded` or `StoreUnavailable`.
        SettingsError: a setting is missing or not valid.
        ValueError: the owner's name is not valid.
    """
    check_owner(owner)
    key = IdempotencyKey(owner, idempotency_key) if idempotency_key else None
    return client().submit(task, {**(parameters or {}), **more}, owner=owner, idempotency_key=key)


def ticket(task_id: str) -> Ticket:
    """Return the ticket of a task that was submitted earlier, by its id. It does not check the owner.

    Raises:
        SettingsError: as `submit`.
    """
    return client().ticket(task_id)
