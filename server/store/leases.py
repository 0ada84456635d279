"""Keeps tasks from being lost when a process dies: leases, and the tasks that are due, lost or expired."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from server.store.errors import error_object
from server.store.lua import Scripts, ids_of
from server.store.record import PRIORITIES, Status

#: A task fails when the deaths that it can have caused add up to `CRASH_LIMIT`. Its own child's death counts more than
#: that of a whole worker, which a platform may have killed; a worker that was stopping does not count.
CRASH_LIMIT = 9
CHILD_CRASH = 3
WORKER_CRASH = 1

#: Seconds of a leader's term; it is renewed in each round. After the leader's death, maintenance is late by up to this.
LEADER_TERM = 3.0

#: Seconds without any worker that count as an outage; and seconds after an outage in which leases are not checked.
OUTAGE = 4.0
GRACE = 10.0

#: Seconds without a renewal after which a message returns to its queue if its task is still queued. Much shorter than a
#: lease: if its worker is still alive, one of the two claims is refused, and nothing else happens.
STALE_MESSAGE = 5.0

#: Minimum and maximum seconds before a task of an unregistered type is offered again: another worker, or the next
#: deploy, may know the type.
UNREGISTERED_DELAY = 2.0, 600.0

#: Seconds for a worker to delete the files that it has leased; then another worker may.
CLEANUP_LEASE = 120

#: Seconds without a heartbeat after which a worker counts as dead.
WORKER_SILENCE = 10

_WORKER_LOST = json.dumps(
    error_object("worker-lost", "The process that ran this task died 3 times, or its whole worker 9 times.")
)
_WORKERS_DIED = json.dumps(error_object("worker-lost", "Its worker died again. It waits for its next attempt."))
_DEPENDENCY_FAILED = json.dumps(
    error_object("dependency-failed", "A task whose file this task takes failed, was canceled, or has expired.")
)


@dataclass(frozen=True, slots=True)
class Throttle:
    """Maximum tasks of a type that run at a time and start per minute; 0 means no limit.

    They apply to all tasks of the type, to each owner's, or to those with each value of the parameter `by`.
    """

    max_running: int = 0
    per_minute: int = 0
    per_owner: bool = False
    by: str = ""

    @property
    def scope_type(self) -> str:
        """Return what each scope is for: a `value` of the parameter, an `owner`, or all tasks of the type (empty)."""
        if not (self.max_running or self.per_minute):
            return ""
        return "value" if self.by else "owner" if self.per_owner else ""


class Canceled(NamedTuple):
    """A task that was canceled while it waited. `expired`: by `cancel_after` or `start_within`."""

    id: str
    expired: bool
    priority: str
    task_type: str
    queue: str


#: No limit at all.
FREE = Throttle()


class Leases(Scripts):
    """The changes of records by workers and maintenance, as opposed to clients."""

    def renew(self, attempts: Sequence[tuple[str, str]]) -> list[tuple[str, str, str]]:
        """Renew the leases of attempts (task id, lease token).

        Return for each the task that it runs now, which may be a later one of a burst, its type, and the state of its
        lease, see `renew_leases.lua`.
        """
        config = self._config
        names = [name for attempt in attempts for name in attempt]
        times = config.lease_seconds * 1000, config.cancel_grace_seconds * 1000
        return _triples(self._call("renew_leases", *times, *names))

    def release(self, task_id: str, lease_token: str, *, crashed: bool) -> tuple[str, Status] | None:
        """End the attempt of the worker with this lease, and queue the task again.

        Return the task that it ran, which may be a later one of a burst, and its new status. A task that has crashed
        too often fails; one with a cancel request is canceled. Return None if there is no such attempt.
        """
        answer: list[bytes] | None = self._call(
            "release_lease", task_id, lease_token, CHILD_CRASH if crashed else 0, CRASH_LIMIT, _WORKER_LOST
        )
        return (answer[0].decode(), Status(answer[1].decode())) if answer else None

    def release_expired(self, limit: int) -> list[tuple[str, str, str]]:
        """Queue the tasks with expired leases again; from the second time on, each waits for a time of its own first.

        Return id, type and new status of each ("": nothing to do).
        """
        errors = _WORKER_LOST, _WORKERS_DIED
        answer = self._call("release_expired_leases", limit, WORKER_CRASH, CRASH_LIMIT, *errors)
        return _triples(answer)

    def enqueue_due(self, limit: int) -> int:
        """Queue scheduled and retrying tasks that are due. A result below `limit` means that none is left."""
        return int(self._call("enqueue_due", limit, _DEPENDENCY_FAILED))

    def cancel_overdue(self, limit: int) -> int:
        """Cancel tasks past their `cancel_after` or `start_within`. A result below `limit` means that none is left."""
        return int(self._call("cancel_overdue", limit))

    def canceled(self, limit: int) -> list[Canceled]:
        """Return tasks that were canceled while they waited. They are noted while a worker asks for them regularly."""
        with self.redis.pipeline() as pipe:
            pipe.set(self.keys.cancel_listener, 1, ex=WORKER_SILENCE)
            pipe.lpop(self.keys.canceled, limit)
            _, entries = pipe.execute()
        lines = (entry.decode().split(" ", 4) for entry in entries or ())
        return [Canceled(task_id, expired == "1", *names) for task_id, expired, *names in lines]

    def requeue(self, task_ids: Sequence[str]) -> list[str]:
        """Give queued tasks without a message a new one. Return their ids."""
        return ids_of(self._call("requeue_tasks", *task_ids)) if task_ids else []

    def requeue_lost(self, queue: str, seconds: float, limit: int) -> list[str]:
        """Give queued tasks whose message is neither in the queue nor with a worker a new one. Return their ids."""
        return ids_of(self._call("requeue_lost", queue, int(seconds * 1000), limit))

    def unpublished(self, until_ms: int, limit: int) -> list[str]:
        """Return the ids of tasks that were queued by then and have no message at the external broker."""
        return ids_of(self.redis.zrangebyscore(self.keys.unpublished, 0, until_ms, 0, limit))

    def published(self, task_ids: Sequence[str], until_ms: int) -> None:
        """Record that the external broker has the messages, or that they are not needed any more.

        A task that was queued again after `until_ms` keeps its entry: a worker may have used up the message already.
        """
        if task_ids:
            self._call("forget_unpublished", until_ms, *task_ids)

    def waiting_longer_than(self, seconds: float, queue: str, limit: int) -> list[str]:
        """Return the ids of tasks that have been queued for at least this long."""
        ids: list[str] = []
        for rank in range(len(PRIORITIES)):
            base = rank * 1e13
            until = base + self.now_ms() - seconds * 1000
            ids += ids_of(self.redis.zrangebyscore(self.keys.queued(queue), base, until, 0, limit))
        return ids

    def throttled(self) -> list[tuple[str, str]]:
        """Return the task types, and scopes (empty: all tasks of the type), with throttled tasks."""
        return _scopes(self.redis.zrange(self.keys.throttled_scopes, 0, -1))

    def due_scopes(self, limit: int) -> list[tuple[str, str]]:
        """Return up to `limit` of them that may start tasks now."""
        return _scopes(self._call("due_scopes", limit, 500)[1:])

    def release_throttled(self, task_type: str, scope: str, throttle: Throttle, limit: int) -> int:
        """Queue up to `limit` of the tasks that a limit permits now. Return their number."""
        scope_type = "value" if scope.startswith("=") else "owner" if scope else ""
        # The limits may have changed since these tasks were throttled.
        limits = (throttle.max_running, throttle.per_minute) if throttle.scope_type == scope_type else (0, 0)
        return int(self._call("release_throttled", task_type, scope, *limits, limit))

    def delete_expired(self, limit: int) -> int:
        """Delete expired records. A result below `limit` means that none is left."""
        return int(self._call("delete_expired", limit))

    def delete_expired_inputs(self, limit: int) -> list[str]:
        """Delete the inputs of up to `limit` tasks whose `input_ttl` is over. Return the ids of these tasks."""
        return [task_id.decode() for task_id in self._call("delete_expired_inputs", limit)]

    def defer_unregistered(self, task_id: str) -> bool:
        """Defer a task whose type a worker does not know. False if the record does not exist."""
        return bool(
            self._call("defer_unregistered_task", task_id, *(int(seconds * 1000) for seconds in UNREGISTERED_DELAY))
        )

    def drop(self, task_id: str) -> bool:
        """Delete a record. Return True if its files must still be deleted, which is recorded in the same step."""
        return bool(self._call("delete_task", task_id))

    def lease_uncollected(self, limit: int) -> list[str]:
        """Lease deleted tasks whose files this worker should delete. Return their ids."""
        return ids_of(self._call("lease_uncollected", limit, CLEANUP_LEASE * 1000)[1:])

    def collected(self, task_ids: Sequence[str]) -> None:
        """Record that their files are deleted."""
        self.redis.zrem(self.keys.uncollected, *task_ids)

    def elect_leader(self, worker: str) -> float | None:
        """If this worker is the leader, return the seconds for which leases must not be checked; else None."""
        times = (LEADER_TERM, OUTAGE, GRACE)
        answer: int | None = self._call("elect_leader", worker, *(int(seconds * 1000) for seconds in times))
        return None if answer is None else answer / 1000

    def acquire_slot(self, job: str, every: int) -> bool:
        """Return whether a periodic job, which one of all workers runs, is due."""
        return bool(self._call("run_when_full", "SET", self.keys.slot(job), 1, "NX", "EX", every))

    def without_record(self, task_ids: Sequence[str]) -> list[str]:
        """Return the ids without a record."""
        counts = self._each("exists", map(self.keys.task, task_ids))
        return [task_id for task_id, count in zip(task_ids, counts, strict=True) if not count]

    def renew_messages(self, tags: Sequence[str]) -> None:
        """Renew the messages that a worker has fetched, including those that it has not started."""
        if tags:
            self._call("renew_messages", *tags)

    def forget_message(self, tag: str) -> None:
        """Remove the message of an ended delivery."""
        self._call("forget_message", tag)

    def restore_messages(self, tags: Sequence[str], *, to_back: bool = False) -> None:
        """Return messages that this worker fetched but does not work on to the front of their queues.

        `to_back`: messages of a user's own Celery tasks return to the back of their queues.
        """
        if tags:
            self._call("restore_messages", "behind" if to_back else "front", 0, 0, *tags)

    def restore_stale_messages(self, limit: int) -> int:
        """Return the messages that dead workers fetched but did not start. Return their number."""
        ages = (STALE_MESSAGE, max(STALE_MESSAGE, self._config.lease_seconds))
        return int(self._call("restore_messages", limit, *(int(seconds * 1000) for seconds in ages)))

    def mark_draining(self, worker: str, seconds: int) -> None:
        """Refuse further claims of this worker."""
        self._call("run_when_full", "SET", self.keys.draining(worker), 1, "EX", seconds)

    def heartbeat(self, worker: str, card: dict[str, Any]) -> bool:
        """Record that a worker is alive, and its description. Return whether it was asked to stop since."""
        return bool(self._call("record_heartbeat", worker, json.dumps(card), WORKER_SILENCE))

    def ask_to_stop(self, worker: str) -> None:
        """Let a worker stop at its next heartbeat: it drains, as at SIGTERM."""
        self.redis.set(self.keys.stop(worker), 1, ex=WORKER_SILENCE)

    def deregister(self, worker: str) -> None:
        """Remove a stopped worker. If it was the leader, another one can be elected immediately."""
        self._call("deregister_worker", worker)

    def workers(self) -> list[dict[str, Any]]:
        """Return the descriptions of the living workers."""
        names = ids_of(self.redis.zrange(self.keys.workers, 0, -1))
        cards = self.redis.mget([self.keys.worker(name) for name in names]) if names else []
        return [json.loads(card) for card in cards if card]


def _triples(texts: Sequence[bytes]) -> list[tuple[str, str, str]]:
    decoded = ids_of(texts)
    return list(zip(decoded[::3], decoded[1::3], decoded[2::3], strict=True))


def _scopes(names: Sequence[bytes]) -> list[tuple[str, str]]:
    parts = (name.decode().partition(":") for name in names)
    return [(task_type, scope) for task_type, _, scope in parts]
