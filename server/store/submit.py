"""How tasks come in: one script stores any number of them with their messages, so that a batch costs little more
than a task, and a request that is repeated under an idempotency key stores nothing more."""

import hashlib
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from server.store.connection import SOCKET_TIMEOUT
from server.store.errors import (
    CoatcheckError,
    IdempotencyKeyInUse,
    IdempotencyKeyReused,
    QueueFull,
    QuotaExceeded,
    StoreUnavailable,
)
from server.store.lua import Scripts
from server.store.record import NewTask
from server.store.schedules import FireTime

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
    def digest(self) -> str:
        """What is stored of the client's text."""
        return hashlib.blake2b(self.text.encode(), digest_size=12).hexdigest()


@dataclass(frozen=True, slots=True)
class SubmitRequest:
    """Tasks of one owner that are to be stored in one step.

    `fingerprint` is what is the same in two requests with one `key`. Of a `batch`, `places` are the numbers of its
    items whose tasks these are (all of them by default). `fire_time` is the schedule's whose task this is.
    """

    owner: str
    tasks: Sequence[NewTask]
    key: IdempotencyKey | None = None
    fingerprint: str = ""
    batch: str = ""
    places: Sequence[int] | None = None
    fire_time: FireTime | None = None


@dataclass(frozen=True, slots=True)
class SubmitResult:
    """What became of a submit, and what the owner has unfinished now.

    `outcomes` has for each task the error that refused it, or its place in the queue (0: it is not queued yet).
    """

    outcomes: list[CoatcheckError | int]
    unfinished: int
    #: Redis's time when they were stored, in milliseconds since 1970.
    now_ms: int
    #: The id that an earlier request with the same idempotency key got: nothing was stored now.
    replayed: str | None = None
    #: A schedule's fire_time that has fired already, or is skipped: nothing was stored now.
    passed: bool = False


@dataclass(frozen=True, slots=True)
class Batch:
    """What a batch's items became: the task of each item that was no mistake, by the item's number (from 0).

    An empty id is an item that there was no room for.
    """

    owner: str
    tasks: dict[int, str]


class Submits(Scripts):
    """Where tasks come in."""

    def submit(self, request: SubmitRequest) -> SubmitResult:
        """Store tasks with their messages, in one step.

        Raises:
            IdempotencyKeyReused: the key came with another request.
            StoreUnavailable: Redis ran it so late that the client may have its 503 already.
        """
        tasks = request.tasks
        sent = time.monotonic()
        now, unfinished, word, *words = self._call("submit_tasks", *self._arguments(request))
        self._clock.adjust(now, sent)
        if word == b"late":
            raise StoreUnavailable("Redis answered too late. Submit again.")
        if word == b"reused":
            raise IdempotencyKeyReused("This Idempotency-Key came with another request before.")
        if word in (b"passed", b"skipped"):
            return SubmitResult([0] * len(tasks), unfinished, now, passed=True)
        if word != b"stored":
            first = word.decode()
            own = first in (
                request.batch,
                tasks[0].id if tasks else "",
            )  # this very call, sent again after a lost answer
            return SubmitResult([0] * len(tasks), unfinished, now, None if own else first)
        return SubmitResult([self._outcome(each, unfinished) for each in words], unfinished, now)

    def _arguments(self, request: SubmitRequest) -> list[Any]:
        """As `submit_tasks.lua` takes them."""
        config, key, fire_time = self._config, request.key, request.fire_time
        longest = max((task.ttl or config.result_ttl_seconds for task in request.tasks), default=0)
        args: list[Any] = [
            self._deadline_ms(),
            config.max_waiting_per_owner,
            config.max_waiting_per_queue,
            request.owner,
        ]
        args += [key.digest if key else "", request.fingerprint, KEY_LIFE]
        args += [request.batch, BATCH_LIFE + longest]
        args += ["" if request.places is None else ",".join(map(str, request.places))]
        args += (
            [fire_time.schedule, fire_time.due_ms, fire_time.next_ms, fire_time.overlap]
            if fire_time
            else ["", 0, 0, ""]
        )
        for task in request.tasks:
            args += _task_arguments(task)
        return args

    def _deadline_ms(self) -> int:
        """By Redis's clock, the last moment at which the client of a submit that begins now has surely had no 503.

        A connection that is open gives up after SOCKET_TIMEOUT; the answer needs a while to arrive.
        """
        return self._clock.now_ms() + int(900 * SOCKET_TIMEOUT)

    def _outcome(self, word: bytes, unfinished: int) -> CoatcheckError | int:
        if word == b"owner-full":
            limit = self._config.max_waiting_per_owner
            return QuotaExceeded(unfinished, limit)
        if word == b"queue-full":
            limit = self._config.max_waiting_per_queue
            return QueueFull(f"{limit} tasks wait already.")
        return int(word)

    def reserve_key(self, key: IdempotencyKey) -> None:
        """Begin a request with a key.

        Raises:
            IdempotencyKeyInUse: another request with it is being stored.
        """
        if self._call("reserve_idempotency_key", key.owner, key.digest, key.nonce, PENDING_LIFE) == b"pending":
            raise IdempotencyKeyInUse("The first request with this Idempotency-Key is still being stored.")

    def release_key(self, key: IdempotencyKey) -> None:
        """The request stored nothing: its key may be used again."""
        self._call("release_idempotency_key", key.owner, key.digest, key.nonce)

    def batch(self, batch_id: str) -> Batch | None:
        """A batch, or None."""
        owner, ids, at = self.redis.hmget(self.keys.batch(batch_id), "o", "ids", "at")
        if owner is None:
            return None
        task_ids = ids.decode().split(",")
        places = map(int, at.split(b",")) if at else range(len(task_ids))
        return Batch(owner.decode(), dict(zip(places, task_ids, strict=True)))


def _task_arguments(task: NewTask) -> list[Any]:
    fields = task.fields()
    return [
        *(task.id, task.task_type, task.queue, task.priority),
        *(task.delay_ms, task.not_before_ms, task.cancel_after_ms, task.input),
        *(len(task.tags), *task.tags),
        *(len(fields), *fields),
    ]
