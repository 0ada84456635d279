"""Random operations on the store: what clients, workers and maintenance do, and what time does."""

import itertools
import random
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from submitting import prepare

from server.services.retry import retry
from server.services.submit import store_and_publish
from server.store import Store, ids
from server.store.errors import CoatcheckError
from server.store.leases import Throttle
from server.store.lua import source
from server.store.record import DEBOUNCE, UNIQUE, NewTask, Record, Status, limit_scope, unique_key
from server.store.schedules import FireTime
from server.store.submit import IdempotencyKey, SubmitRequest

OWNERS, QUEUES, TYPES = (
    ("alice", "bob"),
    ("default", "other"),
    ("divide", "add", "removed"),
)  # no worker knows the last two
NO_LIMIT = Throttle()
LIMITS = (NO_LIMIT, Throttle(max_running=1), Throttle(max_running=1, per_owner=True), Throttle(max_running=1, by="x"))
LISTS = [word for priority in ("high", "normal", "low") for queue in QUEUES for word in (queue, priority)]


class Operations:
    """A sequence of operations that depends on its seed alone, except for the order of tasks of one millisecond."""

    def __init__(self, store: Store, seed: int) -> None:
        self.store, self.redis, self.keys = store, store.redis, store.keys
        self.chance = random.Random(seed)
        self.log: list[str] = []
        self.ids: list[str] = []
        self.batches: list[str] = []
        self.workers: dict[str, tuple[str, str]] = {}  # by task: lease token, delivery tag
        self.fetched: list[tuple[str, str]] = []  # task, delivery tag
        self.limits = dict.fromkeys(TYPES, NO_LIMIT)
        #: With an external broker: the messages that it has, and those that a publisher has not yet noted as published.
        self.messages: list[str] = []
        self.sent: list[tuple[list[str], int]] = []
        self._tokens = (f"w/{number:x}" for number in itertools.count(1))
        self._nonces = (f"{number:x}" for number in itertools.count(16))
        if not store.settings.broker_is_redis:
            store.publish_new = lambda tasks, now_ms: self._send([task.id for task in tasks], now_ms)

    def step(self) -> None:
        """Do one operation, and add it to the log."""
        operation = self.chance.choice(self._operations())
        self.log.append(operation.__name__)
        operation()

    def _operations(self) -> list[Callable[[], None]]:
        common = [
            *[self.submit] * 4,
            *[self.batch, self.schedule, self.cancel, self.cancel, self.again, self.delete, self.pause, self.resume],
            *[self.fetch] * 4,
            *[self.claim] * 4,
            *[self.claim_again, self.defer, self.end, self.end, self.end],
            *[self.pass_time, self.pass_time, self.release, self.change_limit],
        ]
        if self.store.settings.broker_is_redis:
            return [*common, self.restore, self.restore_stale, self.requeue_lost]
        return [*common, self.send, self.send, self.confirm, self.confirm]

    def note(self, *details: object) -> None:
        """Add details to the last line of the log. Ids differ in each run: a task has its number there."""
        texts = [f"#{self.ids.index(each)}" if each in self.ids else str(each) for each in details]
        self.log[-1] = " ".join([self.log[-1], *texts])

    def is_true(self, share: float) -> bool:
        return self.chance.random() < share

    def members(self, key: str) -> list[str]:
        """Return the members of a sorted set in the order of the submits, which is that of a repeated run, too."""
        members = [member.decode() for member in self.redis.zrange(key, 0, -1)]
        order = {task_id: number for number, task_id in enumerate(self.ids)}
        return sorted(members, key=lambda member: (order.get(member.partition(":")[0], -1), member))

    def records(self) -> list[Record]:
        return [record for record in self.store.tasks.get_many(self.ids) if record]

    def any_record(self, *, done: bool | None = None) -> Record | None:
        records = [record for record in self.records() if done is None or record.status.done == done]
        if not records:
            return None
        record = self.chance.choice(records)
        self.note(record.id)
        return record

    # -- clients

    def new_task(self, owner: str) -> NewTask:
        task = prepare(self.store, owner, **self._options())
        changes: dict[str, Any] = {
            "task_type": self.chance.choice(TYPES),
            "queue": self.chance.choice(QUEUES),
            "priority": self.chance.choice(["normal", "normal", "high", "low"]),
        }
        if self.is_true(0.3):
            changes["limit_scope"] = limit_scope([self.chance.randrange(2)])
        if self.is_true(0.2):
            changes["input_ttl"] = self.chance.choice([0, 60])
        if self.is_true(0.3):
            changes["input"] = b'{"x": 355, "y": 113' + b" " * self.chance.randrange(100) + b"}"
        if self.ids and not task.on_conflict.startswith("debounce") and self.is_true(0.2):
            # They may have ended, or be deleted, since the web process has read them.
            changes["waits_for"] = tuple(dict.fromkeys(self.chance.choices(self.ids[-20:], k=2)))
        return replace(task, **changes)

    def _options(self) -> dict[str, Any]:
        possible = {"delay": 60, "cancel_after": 60, "start_within": 60, "tags": ("a", "b")}
        possible["webhook"] = "https://example.org/"
        options = {name: option for name, option in possible.items() if self.is_true(0.2)}
        chance = self.chance.random()
        if chance < 0.3:
            action = self.chance.choice(["return", "reject", "replace"])
            options |= {"unique": unique_key(UNIQUE, b"k"), "on_conflict": action}
            options |= {"unique_for": 60} if self.is_true(0.3) else {}
        elif chance < 0.5:
            options |= {"debounce": unique_key(DEBOUNCE, b"d"), "delay": 5, "max_delay": self.chance.choice([0, 60])}
        return options

    def store_tasks(self, request: SubmitRequest) -> None:
        """Store tasks; sometimes twice, as if the first answer was lost."""
        self.ids += [task.id for task in request.tasks]
        self.note(*(task.id for task in request.tasks))
        for _ in range(self.chance.choice([1, 1, 2])):
            assert store_and_publish(self.store, request).unfinished >= 0

    def submit(self) -> None:
        owner = self.chance.choice(OWNERS)
        key = IdempotencyKey(owner, self.chance.choice("xy")) if self.is_true(0.1) else None
        count = 1 if key else self.chance.choice([1, 1, 3])
        with suppress(CoatcheckError):
            self.store_tasks(SubmitRequest(owner, [self.new_task(owner) for _ in range(count)], key))

    def batch(self) -> None:
        owner = self.chance.choice(OWNERS)
        batch = ids.new(owner, self.store.secret, self.store.clock.now_ns())
        if self.is_true(0.5):
            self.store.batches.announce(batch, "https://example.org/", {}, "", prepare(self.store).trace)
        tasks = [self.new_task(owner) for _ in range(self.chance.randrange(1, 5))]
        self.store_tasks(SubmitRequest(owner, tasks, batch=batch))
        self.batches.append(batch)

    def schedule(self) -> None:
        due = self.redis.zscore(self.keys.fire_times, "s")
        if due is None:
            self.store.schedules.put("s", b"{}", "timing", 1000, "alice", 0)
        fires = FireTime("s", int(due or 1000), int(due or 1000) + 1, self.chance.choice(["queue", "queue", "skip"]))
        task = replace(self.new_task("alice"), waits_for=())
        if self.is_true(0.8):
            task = replace(task, unique="", on_conflict="", delay_ms=0)
        self.store_tasks(SubmitRequest("alice", [task], fire_time=fires))

    def cancel(self) -> None:
        if record := self.any_record():
            self.store.tasks.cancel(record.id)

    def again(self) -> None:
        if record := self.any_record(done=True):
            with suppress(CoatcheckError):
                self.ids.append(retry(self.store, record, "", again=self.is_true(0.5)).record.id)

    def delete(self) -> None:
        if record := self.any_record(done=True):
            self.store.leases.drop(record.id)

    def pause(self) -> None:
        if self.is_true(0.5):
            self.store.pauses.pause("queue", self.chance.choice(QUEUES), "root")
        else:
            self.store.pauses.pause("task", self.chance.choice(TYPES), "root")

    def resume(self) -> None:
        for scope, name in list(self.store.pauses.all()):
            self.store.pauses.resume(scope, name)

    # -- workers

    def fetch(self) -> None:
        if not self.store.settings.broker_is_redis:
            if self.messages:
                self.fetched.append((self.messages.pop(self.chance.randrange(len(self.messages))), ""))
            return
        answer = self.redis.eval(source("fetch_message", self.store.settings), 0, next(self._nonces), *LISTS)
        if answer:
            self.fetched.append((answer[1].decode(), answer[2].decode()))
            self.note(self.fetched[-1][0])

    def claim(self) -> None:
        if self.fetched:
            self._claim(*self.fetched.pop(self.chance.randrange(len(self.fetched))))

    def claim_again(self) -> None:
        """Deliver a second message of a task, as another broker may."""
        if record := self.any_record():
            self._claim(record.id, "none:1")

    def _claim(self, task_id: str, tag: str) -> None:
        self.note(task_id)
        task_type = self.redis.hget(self.keys.task(task_id), "n")
        throttle = self.limits[task_type.decode()] if task_type else NO_LIMIT
        token, attempt = next(self._tokens), None
        for _ in range(self.chance.choice([1, 2])):
            attempt = self.store.tasks.claim(task_id, token, throttle)
        if attempt:
            self.workers[task_id] = token, tag
        else:
            self._acknowledge(task_id, tag)

    def _acknowledge(self, task_id: str, tag: str) -> None:
        """Remove a message, unless the worker is killed here: another broker delivers it again then."""
        if not self.is_true(0.7):
            self.note("killed")
            self.messages += [] if tag else [task_id]
        elif tag:
            self.store.leases.forget_message(tag)

    def defer(self) -> None:
        if self.fetched:
            task_id, tag = self.fetched.pop()
            self.note(task_id)
            self.store.leases.defer_unregistered(task_id)
            self._acknowledge(task_id, tag)

    def restore(self) -> None:
        if self.fetched:
            task_id, tag = self.fetched.pop()
            self.note(task_id)
            self.store.leases.restore_messages([tag])

    def end(self) -> None:
        """End an attempt in one of many ways, or report its output."""
        if not self.workers:
            return
        task_id = self.chance.choice(list(self.workers))
        token, tag = self.workers.pop(task_id)
        way = self.chance.choice(["finish", "finish", "retry", "crash", "return", "output", "burst", "lose"])
        self.note(task_id, way)
        match way:
            case "finish":
                status = self.chance.choice([Status.SUCCEEDED, Status.FAILED, Status.CANCELED])
                for _ in range(self.chance.choice([1, 2])):
                    self.store.tasks.finish(task_id, token, status, bo="7")
            case "retry":
                self.store.tasks.schedule_retry(task_id, token, 60, {"detail": "x"})
                self._acknowledge(task_id, tag or "none:1")
            case "crash" | "return":
                self.store.leases.release(task_id, token, crashed=way == "crash")
            case "output":
                self.store.tasks.append_output(task_id, token, 1, [b"abc"] * 3)
                self.workers[task_id] = token, tag
            case "burst":
                self._burst(task_id, token, tag)
            case "lose":
                self.expire(self.keys.leases, [task_id])
                self.store.leases.release_expired(10)

    def _burst(self, task_id: str, token: str, tag: str) -> None:
        """End an attempt and claim the next task in the same step; sometimes twice, as if the answer was lost."""
        attempt = self.store.tasks.claim(task_id, token) if self.store.settings.broker_is_redis else None
        for _ in range(self.chance.choice([1, 2]) if attempt else 0):
            assert attempt
            _, following = self.store.tasks.finish_and_claim(attempt, Status.SUCCEEDED, " divide ", LISTS, r="1")
            if following:
                self.workers[following.id] = token, tag

    # -- maintenance and time

    def expire(self, key: str, members: Iterable[str]) -> None:
        if times := dict.fromkeys(members, 1):
            self.redis.zadd(key, times, xx=True)

    def pass_time(self) -> None:
        """Let the time of half of an index come."""
        leases, keys = self.store.leases, self.keys
        jobs: Sequence[tuple[str, Callable[[int], object]]] = [
            (keys.due, leases.enqueue_due),
            (keys.due, leases.enqueue_due),
            (keys.deadlines, leases.cancel_overdue),
            (keys.start_deadlines, leases.cancel_overdue),
            (keys.expiry, leases.delete_expired),
            (keys.input_expiry, leases.delete_expired_inputs),
        ]
        key, job = self.chance.choice(jobs)
        if members := self.members(key):
            some = self.chance.sample(members, max(1, len(members) // 2))
            self.note(key, *some)
            self.expire(key, some)
            job(100)

    def restore_stale(self) -> None:
        if tags := self.members(self.keys.unacked_index):
            self.expire(self.keys.unacked_index, self.chance.sample(tags, 1))
            self.store.leases.restore_stale_messages(10)

    def requeue_lost(self) -> None:
        for queue in QUEUES:
            self.store.leases.requeue_lost(queue, self.chance.choice([-1, 2]), 10)

    def release(self) -> None:
        for name, scope in self.store.leases.throttled():
            count = self.chance.choice([1, 200])
            self.store.leases.release_throttled(name, scope, self.limits[name], count)

    def change_limit(self) -> None:
        self.limits[self.chance.choice(TYPES)] = self.chance.choice(LIMITS)

    # -- publishers of an external broker

    def _send(self, task_ids: list[str], until_ms: int) -> None:
        self.messages += task_ids
        self.sent.append((task_ids, until_ms))

    def send(self) -> None:
        """Publish what has no message, as maintenance does."""
        until_ms = self.store.clock.now_ms() - 1
        self._send(self.store.leases.unpublished(until_ms, 100), until_ms)

    def confirm(self) -> None:
        """Note that the broker has confirmed the messages of a publisher."""
        if self.sent:
            self.store.leases.published(*self.sent.pop(self.chance.randrange(len(self.sent))))
