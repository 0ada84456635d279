"""The name of a worker, and the queues that it reads.

Each worker process has its own name, so that leases distinguish a worker from the one that it replaced.
"""

import secrets
import sys
from contextlib import suppress
from typing import Any

from celery import Celery
from celery.signals import celeryd_init

from server.sdk.registry import queue_names
from server.store import Store
from server.store.connection import UNREACHABLE


def install(app: Celery) -> None:
    """Check Redis, append a token to the node's name (`celery@host.1f2e3d4c`), and without `-Q` read every queue."""

    def know_all_queues(**_: Any) -> None:
        queues = app.amqp.queues
        for name in sorted(queue_names() | _earlier_queues(app.store)):
            queues.select_add(queues[name])  # an added queue is only declared; a selected one is also consumed

    def check_redis(**_: Any) -> None:
        if reason := app.store.checks.at_start():
            sys.exit(f"coatcheck: {reason}")

    celeryd_init.connect(check_redis, weak=False)
    celeryd_init.connect(_rename, weak=False)
    celeryd_init.connect(know_all_queues, weak=False)


def _earlier_queues(store: Store) -> set[str]:
    """Queues of earlier releases: tasks that were submitted to them still come from there."""
    with suppress(*UNREACHABLE):
        return set(store.queues.names())
    return set()


def _rename(instance: Any, **_: Any) -> None:
    instance.hostname = f"{instance.hostname}.{secrets.token_hex(4)}"
