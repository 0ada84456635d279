"""The store: the only code that knows Redis. Web, worker and Celery's own tools read and write the same records.

connection/    the client: a pool, short time-outs, TLS, Sentinel, checks         errors.py  errors that it raises
keys.py        every key, under one prefix, and the version of the format
record.py      a task's record, field by field                                    ids.py     task ids
lua/           Redis's clock, and the scripts; every change of a record is one of them
tasks.py       the life of a task          submit.py     new tasks                listing.py  lists and counts
batches.py     tasks of one request
leases.py      leases, messages, and tasks that are due or expired: no task is lost
schedules.py   schedules and their next fire times                                webhooks.py  due webhooks, secrets
api_keys.py    keys, owners, roles         stats/        queues, arrivals         blobs/      uploads and output files
causes.py      causes of failures, to group them                                  audit.py     who did what
"""

import secrets
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any, TypeVar, cast

import redis

from server.settings import Settings
from server.store.api_keys import ApiKeys
from server.store.audit import Audit
from server.store.batches import Batches
from server.store.blobs import open_store
from server.store.blobs.base import BlobStore
from server.store.connection import connect
from server.store.connection.checks import Checks
from server.store.keys import Keys
from server.store.leases import Leases
from server.store.listing import Listing
from server.store.lua import StoreClock
from server.store.record import NewTask
from server.store.schedules import ScheduleStore
from server.store.stats import Counters, FlowStats, HourlyStats, Pauses, Queues
from server.store.submit import Submits
from server.store.tasks import Tasks
from server.store.webhooks import Webhooks, WebhookSecrets

__all__ = ["Store"]


Part = TypeVar("Part")


def _part(create: "Callable[[redis.Redis, Settings, StoreClock], Part]") -> cached_property[Part]:
    """Define a part of the store, which is created at its first use."""
    return cached_property(lambda store: create(store.redis, store.settings, store.clock))


class Store:
    """All stored data, for one set of settings. It connects at the first use.

    A process creates one and passes it on; a forked child may use it, because the pool notices the fork.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        #: Called with newly stored tasks, and Redis's time then. A broker other than this Redis replaces it
        #: (`server.celery_app`); if Redis is the broker, the script that stores a task also queues its message.
        self.publish_new: Callable[[Sequence[NewTask], int], None] = lambda tasks, now_ms: None
        #: Called before tasks are stored, and with those that were accepted: for those who listen to Celery's signals.
        self.before_publish: Callable[[Sequence[NewTask]], None] = lambda tasks: None
        self.after_publish: Callable[[Sequence[NewTask]], None] = lambda tasks: None

    @cached_property
    def redis(self) -> "redis.Redis":
        """Return the client. Code outside this package uses the parts below."""
        return connect(self.settings)

    def listening_connection(self) -> Any:
        """Open a separate connection to receive published messages; `_sock` is its socket."""
        connection: Any = self.redis.connection_pool.make_connection()
        connection.connect()
        return connection

    @cached_property
    def keys(self) -> Keys:
        """Return the names of all keys."""
        return Keys(self.settings.key_prefix)

    @cached_property
    def clock(self) -> StoreClock:
        """Return the time of Redis's clock."""
        return StoreClock(self.redis)

    submits = _part(Submits)
    batches = _part(Batches)
    leases = _part(Leases)
    queues = _part(Queues)
    pauses = _part(Pauses)
    schedules = _part(ScheduleStore)
    webhooks = _part(Webhooks)
    webhook_secrets = _part(WebhookSecrets)
    counters = _part(Counters)
    hourly_stats = _part(HourlyStats)
    flow_stats = _part(FlowStats)
    api_keys = _part(ApiKeys)
    audit = _part(Audit)
    checks = _part(Checks)

    @cached_property
    def tasks(self) -> Tasks:
        """Return the part for the life of each task."""
        return Tasks(self.redis, self.settings, self.clock, self.pauses)

    @cached_property
    def listing(self) -> Listing:
        """Return the part for lists and counts of tasks."""
        return Listing(self.redis, self.settings, self.clock, self.tasks)

    @cached_property
    def blobs(self) -> BlobStore:
        """Return the store of uploads and output files."""
        return open_store(self.settings.blob_url, self.redis, self.keys, self.settings.max_blob_bytes)

    @cached_property
    def secret(self) -> bytes:
        """Return the key of the hash in task ids: `SECRET_KEY`, or a generated one that is stored in Redis."""
        return self.read_secret()

    def read_secret(self) -> bytes:
        """Return the secret as it is in Redis now: an operator may have emptied Redis since this process has read it.

        The process that notices it first stores the secret that it has, so that all processes accept the same ids.
        """
        if self.settings.secret_key:
            return self.settings.secret_key.encode()
        if (stored := self.redis.get(self.keys.secret)) is None:  # read first: a Redis at `maxmemory` accepts no write
            secret = self.__dict__.get("secret") or secrets.token_bytes(32)
            self.redis.set(self.keys.secret, secret, nx=True)
            stored = self.redis.get(self.keys.secret)
        self.secret = cast(bytes, stored)
        return self.secret
