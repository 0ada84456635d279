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
from server.store.connection import UNREACHABLE


def install(app: Celery) -> None:
    """Check Redis, append a token to the node's name (`celery@host.1f2e3d4c`), and without `-Q` read every queue."""

    def prepare(instance: Any, **_: Any) -> None:
        if reason := app.store.checks.at_start():
            sys.exit(f"coatcheck: {reason}")
        instance.hostname = f"{instance.hostname}.{secrets.token_hex(4)}"
        names = set(queue_names())
        with suppress(*UNREACHABLE):
            names.update(app.store.queues.names())  # also of earlier releases: their tasks still come from there
        queues = app.amqp.queues
        for name in sorted(names):
            queues.select_add(queues[name])  # an added queue is only declared; a selected one is also consumed

    celeryd_init.connect(prepare, weak=False)
