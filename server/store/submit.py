"""Stores new tasks: one script stores any number of them with their messages.

A batch therefore costs little more than a task, and a request repeated under an idempotency key stores nothing.
"""

import hashlib
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from server.settings import Settings
from server.store.connection import SOCKET_TIMEOUT
from server.store.errors import (
    AlreadyRetried,
    BytesExceeded,
    CoatcheckError,
    DuplicateTask,
    IdempotencyKeyInUse,
    IdempotencyKeyReused,
    QueueFull,
    QuotaExceeded,
    StoreUnavailable,
)
from server.store.lua import Scripts
from server.store.record import NewTask
from server.store.schedules import FireTime

#: Seconds for which an idempotency key is stored.
KEY_LIFE = 86_400

#: Seconds before a pending request with a key no longer blocks others with the same key: its web process may have been
#: killed. Two that overlap still store one task.
PENDING_LIFE = 10

#: Outcomes of a task that was not stored, because the named one has its key.
_EXISTING = (b"found ", b"moved ")

#: Seconds for which a batch is stored after the end of its tasks.
BATCH_LIFE = 7 * 86_400


@dataclass(frozen=True, slots=True)
class IdempotencyKey:
    """A client's key for one request (draft-ietf-httpapi-idempotency-key-header-07). Keys are separate per `owner`.

    `compared`: refuse the key with a different request. Not for submits by a task: there the key alone identifies the
    submit, because a repeated attempt may compute other parameters, and must not wait for one that was killed.
    """

    owner: str
    text: str
    nonce: str = field(default_factory=lambda: secrets.token_hex(4))
    compared: bool = True

    @property
    def digest(self) -> str:
        """Return the stored form of the client's text."""
        return hashlib.blake2b(self.text.encode(), digest_size=12).hexdigest()


@dataclass(frozen=True, slots=True)
class SubmitRequest:
    """Tasks of one owner to store in one step.

    `fingerprint` identifies equal requests with one `key`. `item_numbers`: the items of a `batch` that the tasks belong
    to (all by default). `fire_time` is set for a schedule's task. `again`: retry a task that was retried already, too.
    """

    owner: str
    tasks: Sequence[NewTask]
    key: IdempotencyKey | None = None
    fingerprint: str = ""
    batch: str = ""
    item_numbers: Sequence[int] | None = None
    fire_time: FireTime | None = None
    again: bool = False


@dataclass(frozen=True, slots=True)
class SubmitResult:
    """The result of a submit, and the owner's number of unfinished tasks.

    `outcomes` has for each task the error that refused it, or its position in the queue (0: not queued yet, or not
    stored because it is `existing`).
    """

    outcomes: list[CoatcheckError | int]
    unfinished: int
    #: Redis's time when they were stored, in milliseconds since 1970.
    now_ms: int
    #: The id of an earlier request with the same idempotency key: nothing was stored now.
    replayed: str | None = None
    #: The schedule's fire time has fired already, or is skipped: nothing was stored now.
    passed: bool = False
    #: The tasks that have the keys of `unique` or `debounce`, by the index of the task that was not stored
    #: because of it.
    existing: Mapping[int, str] = field(default_factory=dict)
    #: The earlier request with the same idempotency key got such a task.
    replayed_existing: bool = False


class Submits(Scripts):
    """Stores new tasks with their messages."""

    def submit(self, request: SubmitRequest) -> SubmitResult:
        """Store tasks with their messages, in one step.

        Raises:
            IdempotencyKeyReused: the key was used with another request.
            StoreUnavailable: Redis ran it so late that the client may have received a 503.
        """
        tasks = request.tasks
        sent = time.monotonic()
        now, unfinished, outcome, *task_outcomes = self._call("submit_tasks", *self._arguments(request))
        self._clock.adjust(now, sent)
        if outcome == b"late":
            raise StoreUnavailable("Redis answered too late. Submit again.")
        if outcome == b"reused":
            raise IdempotencyKeyReused("This Idempotency-Key came with another request before.")
        if outcome in (b"passed", b"skipped"):
            return SubmitResult([0] * len(tasks), unfinished, now, passed=True)
        if outcome != b"stored":
            earlier_id = outcome.decode()
            # The same call, repeated after its answer was lost, gets the id that it has sent.
            replayed = None if earlier_id in (request.batch, tasks[0].id if tasks else "") else earlier_id
            return SubmitResult([0] * len(tasks), unfinished, now, replayed, replayed_existing=bool(task_outcomes))
        texts = enumerate(task_outcomes)
        existing = {index: text.split()[1].decode() for index, text in texts if text.startswith(_EXISTING)}
        outcomes = [
            0 if index in existing else self._outcome(text, unfinished) for index, text in enumerate(task_outcomes)
        ]
        return SubmitResult(outcomes, unfinished, now, existing=existing)

    def _arguments(self, request: SubmitRequest) -> list[Any]:
        """Return the arguments of `submit_tasks.lua`."""
        config, key, fires = self._config, request.key, request.fire_time
        max_ttl = max((task.ttl or config.result_ttl_seconds for task in request.tasks), default=0)
        args: list[Any] = [
            self._deadline_ms(),
            config.max_waiting_per_owner,
            config.max_waiting_per_queue,
            config.max_bytes_per_owner,
            request.owner,
            *(key.digest if key else "", request.fingerprint, KEY_LIFE),
            *(request.batch, BATCH_LIFE + max_ttl),
            "" if request.item_numbers is None else ",".join(map(str, request.item_numbers)),
            *((fires.schedule, fires.due_ms, fires.next_ms, fires.overlap) if fires else ("", 0, 0, "")),
            "again" if request.again else "",
        ]
        for task in request.tasks:
            args += _task_arguments(task, request.batch)
        return args

    def _deadline_ms(self) -> int:
        """Return the latest time, by Redis's clock, at which the client of a submit that begins now has no 503 yet.

        An open connection gives up after SOCKET_TIMEOUT; the answer needs some time to arrive.
        """
        return self._clock.now_ms() + int(900 * SOCKET_TIMEOUT)

    def _outcome(self, text: bytes, unfinished: int) -> CoatcheckError | int:
        error = refusal(text.decode(), unfinished, self._config)
        return int(text) if error is None else error

    def reserve_key(self, key: IdempotencyKey) -> None:
        """Begin a request with a key.

        Raises:
            IdempotencyKeyInUse: another request with it is being stored.
        """
        if self._call("reserve_idempotency_key", key.owner, key.digest, key.nonce, PENDING_LIFE) == b"pending":
            raise IdempotencyKeyInUse("The first request with this Idempotency-Key is still being stored.")

    def release_key(self, key: IdempotencyKey) -> None:
        """Release the key of a request that stored nothing."""
        self._call("release_idempotency_key", key.owner, key.digest, key.nonce)


def refusal(outcome: str, unfinished: int, config: Settings) -> CoatcheckError | None:
    """Return the error for a task's outcome in a script's answer, or None for another outcome."""
    if outcome == "owner-full":
        return QuotaExceeded(unfinished, config.max_waiting_per_owner)
    if outcome.startswith("bytes-full "):
        return BytesExceeded(int(outcome.split()[1]), config.max_bytes_per_owner)
    if outcome == "queue-full":
        return QueueFull(f"{config.max_waiting_per_queue} tasks are waiting already.")
    if outcome.startswith("duplicate "):
        return DuplicateTask(outcome.split()[1])
    if outcome.startswith("retried "):
        return AlreadyRetried(outcome.split()[1])
    return None


def _task_arguments(task: NewTask, batch: str) -> list[Any]:
    fields = task.fields()
    if batch:
        fields += ["ba", batch]
    return [
        *(task.id, task.task_type, task.queue, task.priority),
        *(task.delay_ms, task.not_before_ms, task.cancel_after_ms, task.start_within_ms),
        *(task.on_conflict, task.input),
        *(len(task.tags), *task.tags),
        *(len(fields), *fields),
    ]
