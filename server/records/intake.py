"""How tasks come in: one script stores any number of them with their messages, so that a batch costs little more
than a task, and a request that is repeated under an idempotency key stores nothing more."""

import hashlib
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import redis

from server.connections import SOCKET_TIMEOUT, client
from server.errors import Problem
from server.records.record import Message, NewTask
from server.records.scripts import Scripts, ids_of
from server.records.timetable import Tick
from server.settings import Settings, settings

#: Seconds for which an idempotency key is remembered.
KEY_LIFE = 86_400

#: Seconds that a request with a key may take before another with the same key may begin: a web process that was
#: killed in between leaves the key free again after that. Two that overlap still store one task.
PENDING_LIFE = 10

#: Seconds for which a batch is remembered beyond the life of its tasks.
BATCH_LIFE = 7 * 86_400


@dataclass(frozen=True, slots=True)
class IdempotencyKey:
    """A client's key for one request (draft-ietf-httpapi-idempotency-key-header-07); `owner` keeps keys apart."""

    owner: str
    text: str
    nonce: str = field(default_factory=lambda: secrets.token_hex(4))

    @property
    def redis_key(self) -> str:
        """Where it lies."""
        return f"idem:{self.owner}:{hashlib.blake2b(self.text.encode(), digest_size=12).hexdigest()}"


@dataclass(frozen=True, slots=True)
class Order:
    """Tasks of one owner that are to be stored in one step.

    `fingerprint` is what is the same in two requests with one `key`. Of a `batch`, `places` are the numbers of its
    items whose tasks these are (all of them by default). `tick` is the schedule's whose task this is.
    """

    owner: str
    tasks: Sequence[NewTask]
    key: IdempotencyKey | None = None
    fingerprint: str = ""
    batch: str = ""
    places: Sequence[int] | None = None
    tick: Tick | None = None


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of a submit, and what the owner has unfinished now.

    `outcomes` has for each task the `Problem` that refused it, or its place in the queue (0: it is not queued yet).
    """

    outcomes: list[Problem | int]
    unfinished: int
    #: The id that an earlier request with the same idempotency key got: nothing was stored now.
    replayed: str | None = None
    #: A schedule's tick that has fired already, or is skipped: nothing was stored now.
    passed: bool = False


@dataclass(frozen=True, slots=True)
class Batch:
    """What a batch's items became: the task of each item that was no mistake, by the item's number (from 0).

    An empty id is an item that there was no room for.
    """

    owner: str
    tasks: dict[int, str]


class Intake(Scripts):
    """Where tasks come in."""

    def __init__(self, connection: "redis.Redis", config: Settings) -> None:
        super().__init__(connection, config)
        self._clock_offset: float | None = None

    def submit(self, order: Order, messages: Sequence[Message]) -> Receipt:
        """Store tasks with their messages, in one step.

        Raises:
            Problem: `idempotency-key-reused`, or `unavailable` where Redis ran it too late to be believed.
        """
        tasks = order.tasks
        now, unfinished, word, *words = self._call("submit", *self._arguments(order, messages))
        self._clock_offset = now / 1000 - time.time()
        if word == b"late":
            raise Problem("unavailable", headers={"Retry-After": "2"})
        if word == b"reused":
            raise Problem("idempotency-key-reused", "This Idempotency-Key came with another request before.")
        if word in (b"passed", b"skipped"):
            return Receipt([0] * len(tasks), unfinished, passed=True)
        if word != b"stored":
            first = word.decode()
            own = first in (order.batch, tasks[0].id if tasks else "")  # this very call, sent again after a lost answer
            return Receipt([0] * len(tasks), unfinished, None if own else first)
        return Receipt([self._outcome(each, unfinished) for each in words], unfinished)

    def _arguments(self, order: Order, messages: Sequence[Message]) -> list[Any]:
        """As `submit.lua` takes them."""
        config, key, tick = self._config, order.key, order.tick
        longest = max((task.ttl or config.result_ttl_seconds for task in order.tasks), default=0)
        args: list[Any] = [self._deadline_ms(), config.max_waiting_per_owner, config.max_waiting_per_queue, order.owner]
        args += [key.redis_key if key else "", order.fingerprint, KEY_LIFE]
        args += [order.batch, BATCH_LIFE + longest]
        args += ["" if order.places is None else ",".join(map(str, order.places))]
        args += [tick.schedule, tick.due_ms, tick.next_ms, tick.overlap] if tick else ["", 0, 0, ""]
        for task, message in zip(order.tasks, messages, strict=True):
            args += _task_arguments(task, message)
        return args

    def _deadline_ms(self) -> int:
        """By Redis's clock, the last moment at which the client of a submit that begins now has surely had no 503.

        A connection that is open gives up after SOCKET_TIMEOUT; the answer needs a while to arrive.
        """
        if self._clock_offset is None:
            self._clock_offset = self.now_ms() / 1000 - time.time()
        return int((time.time() + self._clock_offset + 0.9 * SOCKET_TIMEOUT) * 1000)

    def _outcome(self, word: bytes, unfinished: int) -> Problem | int:
        if word == b"owner-full":
            limit = self._config.max_waiting_per_owner
            detail = f"You have {unfinished} unfinished tasks; the limit is {limit}."
            return Problem("over-quota", detail, headers={"Retry-After": "5"} | rate_limit(limit, unfinished))
        if word == b"queue-full":
            limit = self._config.max_waiting_per_queue
            return Problem("queue-full", f"{limit} tasks wait already.", headers={"Retry-After": "10"})
        return int(word)

    def reserve(self, key: IdempotencyKey) -> None:
        """Begin a request with a key.

        Raises:
            Problem: `idempotency-key-in-use` while another request with it is being stored.
        """
        if self._call("reserve", key.redis_key, key.nonce, PENDING_LIFE) == b"pending":
            detail = "The first request with this Idempotency-Key is still being stored."
            raise Problem("idempotency-key-in-use", detail, headers={"Retry-After": "1"})

    def unreserve(self, key: IdempotencyKey) -> None:
        """The request stored nothing: its key may be used again."""
        self._call("unreserve", key.redis_key, key.nonce)

    def batch(self, batch_id: str) -> Batch | None:
        """A batch, or None."""
        owner, ids, at = self.redis.hmget(f"batch:{batch_id}", "o", "ids", "at")
        if owner is None:
            return None
        task_ids = ids.decode().split(",")
        places = map(int, at.split(b",")) if at else range(len(task_ids))
        return Batch(owner.decode(), dict(zip(places, task_ids, strict=True)))

    def owners(self) -> list[str]:
        """Everyone who has ever submitted."""
        return sorted(ids_of(self.redis.smembers("owners")))


def rate_limit(limit: int, unfinished: int) -> dict[str, str]:
    """The RateLimit fields (draft-ietf-httpapi-ratelimit-headers) of the quota of unfinished tasks."""
    return {
        "RateLimit-Policy": f'"unfinished";q={limit}',
        "RateLimit": f'"unfinished";r={max(limit - unfinished, 0)}',
    }


def _task_arguments(task: NewTask, message: Message) -> list[Any]:
    fields = task.fields()
    return [
        *(task.id, task.kind, task.queue, task.rank, task.due_ms, task.cancel_at_ms),
        *(message.list_key, message.payload, message.tag),
        *(len(task.tags), *task.tags),
        *(len(fields), *fields),
    ]


@lru_cache(maxsize=1)
def intake() -> Intake:
    """The process's intake."""
    return Intake(client(), settings())
