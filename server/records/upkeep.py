"""What keeps a task's promise when a process dies: leases, what is due, what is lost, what has expired."""

import json
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Literal

from server.connections import client
from server.errors import KINDS
from server.records.record import PRIORITIES, Message, Record, Throttle
from server.records.scripts import Scripts, ids_of
from server.records.states import Status
from server.settings import settings

#: A task whose worker has died under it so often fails, so that it does not take the others with it.
MOST_CRASHES = 3

#: Seconds for which a sweeper is elected; it renews each round. What was due when it died is so late at most.
SWEEPER_TERM = 3.0

#: Seconds in which no worker reached Redis, that make an outage; and for which no lease is judged after one.
OUTAGE = 4.0
COME_BACK = 10.0

#: Seconds after which a message that no worker renews goes back into its queue, where its task is still queued. Far
#: shorter than a lease: if its worker lives after all, one of the two claims is refused, and nothing else happens.
STALE_MESSAGE = 5.0

#: Seconds after which a task whose kind a worker did not know is offered again, at least and at most: another worker
#: may know it, or the next deploy.
UNKNOWN_AGAIN = 2.0, 600.0

#: Seconds that a worker has for deleting the files that it took; then they are another's.
COLLECTING = 120

#: Seconds after its last heartbeat for which a worker counts as living.
WORKER_SILENCE = 10

_WORKER_LOST = json.dumps(
    {
        "type": "/problems/worker-lost",
        "title": KINDS["worker-lost"].title,
        "detail": f"The worker process died {MOST_CRASHES} times while it ran this task.",
    }
)


_DEPENDENCY_FAILED = json.dumps(
    {
        "type": "/problems/dependency-failed",
        "title": KINDS["dependency-failed"].title,
        "detail": "A task whose file this one takes failed, was canceled, or is gone.",
    }
)


class Upkeep(Scripts):
    """What workers and their sweeper do to records; no client brings it about."""

    def renew(self, runs: Sequence[tuple[str, str]]) -> list[str]:
        """Renew the leases of runs, given as task id and holder; a word for each, see `renew.lua`."""
        config = self._config
        names = [name for run in runs for name in run]
        words = self._call("renew", config.lease_seconds * 1000, config.cancel_grace_seconds * 1000, *names)
        return [word.decode() for word in words]

    def release(self, task_id: str, holder: str, rank: int, message: Message, *, crashed: bool) -> Status | None:
        """Take a run from its holder (empty: from whoever's lease has run out) and queue it again.

        One that has crashed too often fails, one that was asked to stop is canceled. None: nothing was to be done.
        """
        answer: bytes | None = self._call(
            "release",
            task_id,
            holder,
            int(crashed),
            MOST_CRASHES,
            _WORKER_LOST,
            self._config.result_ttl_seconds,
            rank,
            message.list_key,
            message.payload,
            message.tag,
        )
        return Status(answer.decode()) if answer else None

    def publish(self, record: Record, message: Message) -> bool:
        """Queue a task that is due, or whose message is nowhere."""
        ttl = self._config.result_ttl_seconds
        args = (record.id, record.rank, message.list_key, message.payload, message.tag, ttl, _DEPENDENCY_FAILED)
        return bool(self._call("publish", *args))

    def unpublished(self, seconds: float, most: int) -> list[str]:
        """Ids of queued tasks that another broker has had no message of for so long."""
        return ids_of(self.redis.zrangebyscore("unpublished", 0, self.now_ms() - seconds * 1000, 0, most))

    def published(self, task_ids: Sequence[str]) -> None:
        """Another broker has confirmed their messages, or they need none any more."""
        if task_ids:
            self.redis.zrem("unpublished", *task_ids)

    def waiting_longer_than(self, seconds: float, queue: str, most: int) -> list[str]:
        """Ids of tasks that have been queued for so long."""
        found: list[str] = []
        for rank in range(len(PRIORITIES)):
            base = rank * 1e13
            until = base + self.now_ms() - seconds * 1000
            found += ids_of(self.redis.zrangebyscore(f"queued:{queue}", base, until, 0, most))
        return found

    def due(self, most: int) -> list[str]:
        """Ids of scheduled and retrying tasks whose time has come."""
        return ids_of(self.redis.zrangebyscore("due", 0, self.now_ms(), 0, most))

    def holding(self) -> list[tuple[str, str]]:
        """Kinds, and owners (empty: everyone), of which tasks wait for room."""
        names = (name.decode().split(":") for name in self.redis.smembers("held"))
        return [(kind, "".join(owner)) for _, kind, *owner in names]

    def unhold(self, kind: str, owner: str, throttle: Throttle, most: int) -> list[str]:
        """Ids of those that may run now, so many at most: publish them."""
        # Limits may be others than when these were held.
        limits = (throttle.max_running, throttle.per_minute) if throttle.per_owner == bool(owner) else (0, 0)
        return ids_of(self._call("unhold", kind, owner, *limits, most))

    def overdue(self, most: int) -> list[str]:
        """Ids of unfinished tasks that were to be canceled by now."""
        return ids_of(self.redis.zrangebyscore("deadlines", 0, self.now_ms(), 0, most))

    def lost(self, most: int) -> list[str]:
        """Ids of running tasks whose lease has run out."""
        return ids_of(self.redis.zrangebyscore("leases", 0, self.now_ms(), 0, most))

    def nowhere(self, queue: str, lists: Sequence[str], patience_seconds: float, most: int) -> list[str]:
        """Ids of queued tasks whose message is neither in `lists` (by rank) nor with a worker."""
        return ids_of(self._call("nowhere", queue, int(patience_seconds * 1000), most, *lists))

    def expired(self, most: int) -> list[str]:
        """Ids of finished tasks whose time is over."""
        return ids_of(self.redis.zrangebyscore("expiry", 0, self.now_ms(), 0, most))

    def set_unknown_aside(self, task_id: str) -> bool:
        """A worker does not know the kind of a task: it is due again in a while. False: there is no such record."""
        return bool(self._call("unknown", task_id, *(int(seconds * 1000) for seconds in UNKNOWN_AGAIN)))

    def forget(self, index: Literal["due", "deadlines", "leases"], task_id: str) -> None:
        """Take an id out of an index: what it was there for is done, or its record is no more."""
        self.redis.zrem(index, task_id)

    def drop(self, task_id: str) -> bool:
        """Forget a record; True where its files are still to be deleted, which is noted in the same step."""
        return bool(self._call("drop", task_id))

    def take_uncollected(self, most: int) -> list[str]:
        """Ids of dropped tasks whose files this worker is to delete."""
        return ids_of(self._call("take", "uncollected", most, COLLECTING * 1000)[1:])

    def collected(self, task_ids: Sequence[str]) -> None:
        """Their files are deleted."""
        self.redis.zrem("uncollected", *task_ids)

    def elect_sweeper(self, worker: str) -> float | None:
        """Where it is this worker's turn to sweep, the seconds for which no lease is to be judged; else None."""
        times = (SWEEPER_TERM, OUTAGE, COME_BACK)
        answer: int | None = self._call("elect", worker, *(int(seconds * 1000) for seconds in times))
        return None if answer is None else answer / 1000

    def is_time_for(self, job: str, every: int) -> bool:
        """Whether a job that is done once in so many seconds, by one of all workers, is due."""
        return bool(self._call("turn", job, every))

    def without_record(self, task_ids: Sequence[str]) -> list[str]:
        """Those of which there is no record."""
        with self.redis.pipeline(transaction=False) as pipe:
            for task_id in task_ids:
                pipe.exists(f"t:{task_id}")
            return [task_id for task_id, there in zip(task_ids, pipe.execute(), strict=True) if not there]

    def owners(self) -> set[str]:
        """Everyone who has ever submitted a task."""
        return {owner.decode() for owner in self.redis.smembers("owners")}

    def hold_messages(self, tags: Sequence[str]) -> None:
        """Renew the messages that a worker holds (those that it fetched and has not started, too)."""
        if tags:
            self._call("hold", *tags)

    def forget_message(self, tag: str) -> None:
        """A message is done with."""
        with self.redis.pipeline(transaction=True) as pipe:
            pipe.zrem("unacked_index", tag).hdel("unacked", tag).execute()

    def restore_messages(self, tags: Sequence[str]) -> None:
        """Put messages that this worker fetched, and does not work on, back to where they are next."""
        if tags:
            self._call("restore", 0, 0, 0, *tags)

    def restore_stale_messages(self, most: int) -> int:
        """Put back what dead workers fetched and did not start; how many."""
        ages = (STALE_MESSAGE, max(STALE_MESSAGE, self._config.lease_seconds))
        return int(self._call("restore", most, *(int(seconds * 1000) for seconds in ages)))

    def leave(self, worker: str, seconds: int) -> None:
        """From now on this worker claims nothing."""
        self._call("leave", worker, seconds)

    def heartbeat(self, worker: str, card: dict[str, Any]) -> None:
        """Note that a worker lives, and what it holds."""
        self._call("heartbeat", worker, json.dumps(card), WORKER_SILENCE)

    def farewell(self, worker: str) -> None:
        """A worker has stopped; if it was its turn to sweep, it is the next one's at once."""
        self._call("farewell", worker)

    def workers(self) -> list[dict[str, Any]]:
        """The cards of the workers that live."""
        names = ids_of(self.redis.zrange("workers", 0, -1))
        cards = self.redis.mget([f"worker:{name}" for name in names]) if names else []
        return [json.loads(card) for card in cards if card]


@lru_cache(maxsize=1)
def upkeep() -> Upkeep:
    """The process's upkeep."""
    return Upkeep(client(), settings())
