"""Maintenance: services of a worker's main process, each with one job, its own thread, interval and counter.

service.py         the thread of a service: its rounds, and the handling of outages
leader.py          elects the one worker whose scheduler, rescuer and pruner run
time_limits.py     interrupts and kills attempts that run for too long
heartbeat.py       renews leases, kills attempts that must stop, records that the worker is alive
scheduler.py       queues due tasks: delayed tasks, retries, schedules, throttled tasks; cancels at deadlines
rescuer.py         finds tasks that lost their worker or their message
pruner.py          deletes expired records
webhook_sender.py  delivers webhooks
blob_cleanup.py    deletes files that no client can request any more
cancel_events.py   sends Celery's event and signal of tasks that are canceled while they wait

A new service: a class with `name`, `interval` and `round`, and a line in `_services`. Its interval is at most 5 s:
a round that does something less often asks `leases.acquire_slot`, as `blob_cleanup.py` does for orphaned files.
"""

import os
import time
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from celery.signals import worker_ready, worker_shutdown

from server import __version__
from server.celery_app.worker.execution import worker_token
from server.celery_app.worker.maintenance.blob_cleanup import BlobCleanup
from server.celery_app.worker.maintenance.cancel_events import CancelEvents
from server.celery_app.worker.maintenance.heartbeat import Heartbeat
from server.celery_app.worker.maintenance.leader import Leader
from server.celery_app.worker.maintenance.pruner import Pruner
from server.celery_app.worker.maintenance.rescuer import BrokerRescuer, Rescuer
from server.celery_app.worker.maintenance.scheduler import Scheduler
from server.celery_app.worker.maintenance.service import Runner, Service
from server.celery_app.worker.maintenance.time_limits import TimeLimits
from server.celery_app.worker.maintenance.webhook_sender import WebhookSender
from server.sdk.registry import catalog
from server.store import Store
from server.store.connection import UNREACHABLE
from server.store.stats import CounterBuffer

_TIMEOUT = 2.0  # seconds for which a stopping worker waits for unfinished rounds
__all__ = ["install"]


def install() -> None:
    def begin(sender: Any, **_: Any) -> None:
        store: Store = sender.app.store
        services = _services(sender, store)
        counters = CounterBuffer(lambda: store.counters, store.keys.maintenance)
        # Each service has its own part of a second for its rounds. The number of parts is odd, so that the rounds of a
        # service with an interval of half a second do not meet another's.
        parts = len(services) | 1
        runners = [Runner(each, counters, number / parts) for number, each in enumerate(services)]
        for runner in runners:
            runner.start()
        worker_shutdown.connect(partial(_end, store, worker_token(sender.hostname), runners, counters), weak=False)

    worker_ready.connect(begin, weak=False)


def _services(consumer: Any, store: Store) -> list[Service]:
    leader = Leader(store, worker_token(consumer.hostname))
    services: list[Service] = [
        leader,
        Heartbeat(store, consumer.hostname, _card(consumer)),
        TimeLimits(store),
        Scheduler(store, leader),
        Rescuer(store, leader),
        Pruner(store, leader),
        WebhookSender(store),
        BlobCleanup(store),
        CancelEvents(store, consumer),
    ]
    if not store.settings.broker_is_redis:
        services.append(BrokerRescuer(store, leader, consumer.app.external_broker))
    return services


def _card(consumer: Any) -> dict[str, Any]:
    """The part of a worker's card that does not change."""
    return {
        "name": consumer.hostname,
        "pid": os.getpid(),
        "concurrency": consumer.controller.concurrency,
        "started_ms": int(time.time() * 1000),
        "queues": sorted(consumer.app.amqp.queues.consume_from),
        "tasks": [each.name for each in catalog()],
        "version": __version__,
    }


def _end(store: Store, worker: str, runners: Sequence[Runner], counters: CounterBuffer, **_: Any) -> None:
    for runner in runners:
        runner.stop()
    until = time.monotonic() + _TIMEOUT
    for runner in runners:
        runner.join(max(0, until - time.monotonic()))
    counters.flush()
    with suppress(*UNREACHABLE):
        store.leases.deregister(worker)
