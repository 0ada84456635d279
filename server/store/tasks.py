"""The life of a task. Each change is one script, so that it happens completely or not at all."""

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

import redis

from server.logs.trace import NO_TRACE, Trace, log_ids, parse_trace
from server.settings import Settings
from server.store.connection import UNREACHABLE
from server.store.errors import BytesExceeded
from server.store.leases import FREE, Throttle
from server.store.lua import Scripts, StoreClock
from server.store.record import OWN_FIELDS, SHOWN_ALWAYS, SHOWN_LATER, Record, Status, parse
from server.store.stats import Pauses

#: Maximum number of progress and log entries, and characters of a line: half a megabyte together.
MAX_ENTRIES = 500
MAX_LINE_LENGTH = 1000


@dataclass(frozen=True, slots=True)
class Attempt:
    """A claimed task: the data that its function needs, and the `lease_token` that every later step names."""

    id: str
    lease_token: str
    task_type: str
    owner: str
    input: bytes
    deliveries: int
    retries: int
    request_id: str
    trace: Trace = NO_TRACE
    #: The scope of its type's limit by a parameter; empty without such a limit.
    limit_scope: str = ""

    @property
    def log_ids(self) -> dict[str, Any]:
        """Return the ids that each log line about it has."""
        return log_ids(self.id, self.request_id, self.trace)


#: Maximum bytes of an output that are kept, as much as a result may have: the oldest items are dropped.
MAX_OUTPUT_BYTES = 4 * 2**20

#: Maximum number of items, and of their bytes, in one read.
MAX_ITEMS_READ, MAX_BYTES_READ = 1_000, 2**20


@dataclass(frozen=True, slots=True)
class OutputPage:
    """A page of the items of an attempt's output. `first` is the number of the oldest one that is kept."""

    attempt: int
    first: int
    #: The number of this attempt's items that are not kept any more.
    dropped: int
    #: The number of the last item, which may be on a later page.
    last: int
    #: Number and JSON.
    items: list[tuple[int, bytes]]


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry of an attempt: `progress` or `log`, its time (milliseconds since 1970), and its content."""

    number: int
    event: str
    at_ms: int
    content: dict[str, Any]


#: A record that equal tasks share, without an id, and the task's own fields: the times of its start, end and expiry,
#: its position in the queue, and its result if that is part of the record.
TaskState = tuple[Record, int | None, int | None, int | None, int | None, bytes | None]


class Tasks(Scripts):
    """The life of a task: submitted, read, claimed, ended. The changes that a client or a task's function makes."""

    def __init__(self, connection: "redis.Redis", config: Settings, clock: StoreClock, pauses: Pauses) -> None:
        super().__init__(connection, config, clock)
        self._pauses = pauses

    def get(self, task_id: str) -> Record | None:
        """Return the record, or None if it does not exist (any more)."""
        return self._parse(task_id, self.redis.hgetall(self.keys.task(task_id)).items())

    def get_with_position(self, task_id: str) -> Record | None:
        """Return the record with its queue position, in one round trip: a second one cost each poll 0.09 ms of CPU."""
        *fields, position = self._call("get_task", task_id)
        return self._parse(task_id, _pairs(fields), position or None)

    def has_ended(self, task_id: str) -> bool:
        """Return whether a task has ended, or does not exist (any more)."""
        status: bytes | None = self.redis.hget(self.keys.task(task_id), "s")
        return status is None or Status(status.decode()).done

    def statuses(self, task_ids: Sequence[str]) -> Iterator[TaskState | None]:
        """Read the fields of the tasks' status objects, in one script.

        Equal tasks, as those of a batch often are, share a record, which is parsed once.
        """
        names = SHOWN_ALWAYS, (*SHOWN_LATER, *OWN_FIELDS)
        states = self._call("get_statuses", *map(len, names), *chain(*names), *task_ids)
        records: dict[tuple[bytes | None, ...], Record | None] = {}
        now_ms = self._clock.now_ms()
        for *shared, position in states:
            started = finished = expires = result = None
            if len(shared) > len(SHOWN_ALWAYS):
                started, finished, expires, result = shared[-4:]
                del shared[-4:]
            key = tuple(shared)
            if key not in records:
                pairs = zip(SHOWN_ALWAYS + SHOWN_LATER, key, strict=False)
                records[key] = self._parse("", ((name, text) for name, text in pairs if text is not None))
            record = records[key]
            if record is None or (expires and int(expires) <= now_ms):
                yield None
            else:
                times = started and int(started), finished and int(finished), expires and int(expires)
                yield record, *times, position or None, result

    def get_many(self, task_ids: Sequence[str]) -> list[Record | None]:
        """Return the records of several ids, in one round trip."""
        hashes = self._each("hgetall", map(self.keys.task, task_ids))
        return [self._parse(task_id, raw.items()) for task_id, raw in zip(task_ids, hashes, strict=True)]

    def failures(self, task_ids: Sequence[str]) -> list[bytes | None]:
        """Return the report of each failed task (see `server.services.failures`); None if there is none."""
        return self._each("hget", map(self.keys.task, task_ids), "fl")

    def attempt_reports(self, task_id: str) -> dict[int, bytes]:
        """Return the reports of the last failed attempts that another one followed, by their start (ms since 1970)."""
        entries = (entry.split(b" ", 1) for entry in self.redis.lrange(self.keys.reports(task_id), 0, -1))
        return {int(started): report for started, report in entries}

    def log_ids(self, task_id: str) -> dict[str, Any]:
        """Return the ids that each log line about a task has; in an outage its own alone."""
        request_id = parent = None
        with suppress(*UNREACHABLE):
            request_id, parent = self.redis.hmget(self.keys.task(task_id), "h", "tp")
        return log_ids(task_id, (request_id or b"").decode(), parse_trace((parent or b"").decode()))

    def input(self, record: Record) -> bytes | None:
        """Return the input (JSON) of a task; None if it is deleted, which may be after the record was read."""
        if record.input is not None:
            return record.input
        stored: bytes | None = self.redis.get(self.keys.input(record.id))
        return stored

    def inputs(self, records: Sequence[Record], max_bytes: int) -> list[bytes]:
        """Return the beginning of the inputs of several tasks, in one round trip."""
        keys = (self.keys.input(record.id) for record in records if record.input is None)
        long = iter(self._each("getrange", keys, 0, max_bytes - 1))
        return [next(long) if record.input is None else record.input for record in records]

    def result(self, record: Record) -> bytes:
        """Return the result (JSON) of a task; `null` if it has none."""
        if record.result is not None or record.status is not Status.SUCCEEDED:
            return record.result or b"null"
        stored: bytes | None = self.redis.get(self.keys.result(record.id))
        return stored or b"null"

    def results(self, records: Sequence[Record], max_bytes: int) -> list[bytes | None]:
        """Return the results of tasks that have succeeded, in one round trip; None for one that is longer."""
        keys = (self.keys.result(record.id) for record in records if record.result is None)
        long = iter(self._each("getrange", keys, 0, max_bytes))
        results = [next(long) if record.result is None else record.result for record in records]
        return [(result or b"null") if len(result) <= max_bytes else None for result in results]

    def with_result(self, record: Record) -> Record:
        """Return the record with its result, of any length."""
        return replace(record, result=self.result(record)) if record.status is Status.SUCCEEDED else record

    def _parse(self, task_id: str, raw: Iterable[tuple[bytes, bytes]], position: int | None = None) -> Record | None:
        record = parse(task_id, raw, position)
        if record is None or (record.expires_ms is not None and record.expires_ms <= self._clock.now_ms()):
            return None
        if record.status is Status.QUEUED and self._pauses.cover(record.queue, record.task_type):
            record.paused = True
        return record

    def position(self, record: Record) -> int | None:
        """Return its position in the queue, where 1 is next. None if it is not queued."""
        if record.status is not Status.QUEUED:
            return None
        rank: int | None = self.redis.zrank(self.keys.turns(record.queue), record.id)
        return None if rank is None else rank + 1

    def claim(self, task_id: str, lease_token: str, throttle: Throttle = FREE) -> Attempt | None:
        """Claim a queued task. None means that it must not run (again, or yet): drop the message."""
        limits = (throttle.max_running, throttle.per_minute, throttle.scope_type)
        answer = self._call("claim_task", task_id, lease_token, self._config.lease_seconds * 1000, *limits)
        return None if answer is None else _attempt(lease_token, answer)

    def progress(self, task_id: str, lease_token: str, progress: dict[str, Any] | None, line: str = "") -> str:
        """Store progress and a log line. Return `run`, `stop` (canceled) or `lost` (another attempt has the task).

        The last `MAX_ENTRIES` entries are kept as long as the record.
        """
        report = json.dumps(progress) if progress else ""
        entry = json.dumps({"text": line[:MAX_LINE_LENGTH]}) if line else ""
        answer: bytes = self._call("report_progress", task_id, lease_token, report, entry, MAX_ENTRIES)
        return answer.decode()

    def append_output(self, task_id: str, lease_token: str, first: int, items: Sequence[bytes]) -> str:
        """Append items (JSON) to the output; `first` is the first one's number in this attempt. Return as `progress`.

        Raises:
            BytesExceeded: they exceed the owner's quota.
        """
        quota = self._config.max_bytes_per_owner
        answer: bytes | int = self._call("append_output", task_id, lease_token, first, MAX_OUTPUT_BYTES, quota, *items)
        if isinstance(answer, int):
            raise BytesExceeded(answer, quota)
        return answer.decode()

    def output(self, task_id: str, after: int) -> OutputPage:
        """Return the items after this number, up to a limit of items and bytes."""
        answer = self._call("get_output", task_id, after, MAX_ITEMS_READ, MAX_BYTES_READ)
        last, before, kept, deliveries, at, items = answer
        first = last - kept + 1
        return OutputPage(deliveries, first, first - 1 - before, last, list(enumerate(items, at)))

    def events(self, task_id: str, after: int) -> tuple[Record | None, list[Entry]]:
        """Return the record, and the stored entries of its log after this number."""
        raw, entries = self._call("get_task_events", task_id, after)
        return self._parse(task_id, _pairs(raw)), [_entry(text) for text in entries]

    def finish(self, task_id: str, lease_token: str, status: Status, **fields: bytes | str) -> bool:
        """End an attempt. Return False if it had lost its lease, so that its end does not count."""
        pairs = [part for pair in fields.items() for part in pair]
        return bool(self._call("finish_task", task_id, lease_token, status, *pairs))

    def check_quota(self, owner: str, more: int) -> None:
        """Check that an output of a running task fits into its owner's quota; its end counts the bytes.

        Raises:
            BytesExceeded: it exceeds the quota.
        """
        used, limit = int(self.redis.hget(self.keys.bytes_held, owner) or 0), self._config.max_bytes_per_owner
        if used + more > limit:
            raise BytesExceeded(used, limit)

    def finish_and_claim(
        self, attempt: Attempt, status: Status, types: str, lists: Sequence[str], **fields: bytes | str
    ) -> tuple[bool, Attempt | None]:
        """End an attempt and claim the next task: the first one in these lists, if it is of one of these types.

        Return whether the end counts, and the next attempt. See `finish_and_claim.lua` for the parameters.
        """
        pairs = [part for pair in fields.items() for part in pair]
        token, lease_ms = attempt.lease_token, self._config.lease_seconds * 1000
        arguments = (attempt.id, token, status, lease_ms, types, len(lists), *lists, *pairs)
        stored, *following = self._call("finish_and_claim", *arguments)
        return bool(stored), _attempt(token, following) if following else None

    def schedule_retry(
        self, task_id: str, lease_token: str, wait_seconds: float, error: dict[str, Any], report: bytes = b""
    ) -> bool:
        """Schedule another attempt after the function has failed."""
        wait = int(wait_seconds * 1000)
        return bool(self._call("schedule_retry", task_id, lease_token, wait, json.dumps(error), report))

    def cancel(self, task_id: str, *, signal_sent: bool = False) -> Status | None:
        """Cancel a task, or ask it to stop. Return its new status, or None if this call has changed nothing.

        `signal_sent`: Celery's worker sends the event and the signal itself.
        """
        answer: bytes | None = self._call("cancel_task", task_id, int(signal_sent))
        return Status(answer.decode()) if answer else None

    def save_checkpoint(self, task_id: str, lease_token: str, key: str, value: str) -> str:
        """Store a checkpoint. Return `run`, `stop` (the client canceled) or `lost` (another attempt has the task)."""
        answer: bytes = self._call("save_checkpoint", task_id, lease_token, key, value)
        return answer.decode()

    def checkpoints(self, task_id: str) -> dict[str, str]:
        """Return all checkpoints, including those of the task that this one retries."""
        raw = self._call("get_checkpoints", task_id)
        return {key.decode(): value.decode() for key, value in _pairs(raw)}


def _attempt(lease_token: str, answer: Sequence[bytes]) -> Attempt:
    """Parse the answer of `attempt_of` in `lua/lib/attempt.lua`."""
    task_id, task_type, owner, input_, deliveries, retries, request_id, parent, state, scope = answer
    names = task_id.decode(), lease_token, task_type.decode(), owner.decode()
    trace = parse_trace(parent.decode(), state.decode())
    return Attempt(*names, input_, int(deliveries), int(retries), request_id.decode(), trace, scope.decode())


def _pairs(raw: Any) -> Iterable[tuple[bytes, bytes]]:
    """Return the fields and values of a hash as a script returns it."""
    return raw.items() if isinstance(raw, dict) else zip(raw[::2], raw[1::2], strict=True)


def _entry(text: bytes) -> Entry:
    number, event, at_ms, content = text.split(b" ", 3)
    return Entry(int(number), event.decode(), int(at_ms), json.loads(content))
