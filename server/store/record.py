"""The record: one Redis hash per task, the truth about it.

The names of its fields are one letter or two, because they are stored in memory a million times:

    o owner     n task type       s status      q queue      p priority (where it is not normal)     h request id
    i input (JSON), r result (JSON): the short ones, see `lua/lib/values.lua`
    b started   f finished   x expires     u due        (all in milliseconds since 1970; submitted is in the id)
    d deliveries  a retries  c crashes     w lease token of the attempt: `<end of the worker's name>/<nonce>`
    m tag of its message
    g progress (JSON)        e error (JSON)   z output files (JSON)  k ttl in seconds
    t tags (JSON)            up has uploads    cr cancel asked for (ms)      ca cancel_after (ms)
    ro retry of              ra retried as: the newest task that a retry made of this one
    tu its turns when it was throttled, see `lua/lib/throttle.lua`
    dp ids of the tasks whose files it needs     sw the time within which it must start (ms)
    uk key of `unique` or `debounce`, see `lua/lib/unique.lua`     uf ms after its submit for which it has this key
    lb scope of its type's limit by a parameter, see `lua/lib/throttle.lua`
    by bytes of input and uploads, bo of outputs: the quota's part, see `lua/lib/bytes.lua`
    on number of the last item of its output, ob of the last one before this attempt, oy bytes of those that are kept
    ds earlier attempts, a line each: start (ms), duration (ms), end, reason     sq no longer scheduled (ms)
    wh webhook (URL)         wt its deliveries (JSON, see `webhooks.py`)
    it seconds after the end until its input is deleted     ix its input is deleted
    af run of its schedule that it waits for     ba its batch, see `lua/lib/batch.lua`
    tp traceparent, ts tracestate of the request (W3C Trace Context)
    fl report of its failure, for admins (JSON, see `server.services.failures`)
    v how many entries its log has had: `Keys.events`, a list that begins with the first progress or line
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal

from server.logs.trace import NO_TRACE, Trace, log_ids
from server.store import ids

DEFAULT_QUEUE = "default"
PRIORITIES = ("high", "normal", "low")


class Status(StrEnum):
    """The values of `status` in the API."""

    SCHEDULED = "scheduled"
    QUEUED = "queued"
    RUNNING = "running"
    RETRYING = "retrying"
    CANCELING = "canceling"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELED = "canceled"

    @property
    def done(self) -> bool:
        """Return whether the task has ended."""
        return self in _DONE

    @property
    def celery_state(self) -> "CeleryState":
        """Return Celery's name for it, as in `AsyncResult.state`."""
        return _CELERY_STATES[self]


_DONE = (Status.SUCCEEDED, Status.FAILED, Status.CANCELED)

CeleryState = Literal["PENDING", "STARTED", "RETRY", "SUCCESS", "FAILURE", "REVOKED"]

_CELERY_STATES: dict[Status, CeleryState] = {
    Status.SCHEDULED: "PENDING",
    Status.QUEUED: "PENDING",
    Status.RUNNING: "STARTED",
    Status.RETRYING: "RETRY",
    Status.CANCELING: "STARTED",
    Status.SUCCEEDED: "SUCCESS",
    Status.FAILED: "FAILURE",
    Status.CANCELED: "REVOKED",
}


class AttemptEnd(StrEnum):
    """The end of an attempt that another one follows."""

    #: Its function failed and is retried.
    FAILED = "failed"
    #: Its process died.
    CRASHED = "crashed"
    #: Its worker sent no heartbeat.
    LOST = "lost"
    #: Its worker was stopped and returned it.
    HANDED_BACK = "handed_back"


#: Inputs and results of up to this length are part of the record, see `lua/lib/values.lua`.
MAX_INLINE = 64


def counted_bytes(value: bytes | str) -> int:
    """Return the bytes of an input or result that count against the quota: none if it is part of the record."""
    return len(value) if len(value) > MAX_INLINE else 0


#: The first letter of a key of `unique`, and of `debounce`.
UNIQUE, DEBOUNCE = "u", "d"


def unique_key(letter: str, text: bytes) -> str:
    """Return the stored form of a key."""
    return letter + hashlib.blake2b(text, digest_size=12).hexdigest()


def limit_scope(values: list[Any]) -> str:
    """Return the scope of a limit by a parameter, in its stored form: equal for equal values."""
    text = json.dumps(values, sort_keys=True, separators=(",", ":"))
    return "=" + (text if len(text) <= 40 else hashlib.blake2b(text.encode(), digest_size=12).hexdigest())


@dataclass(slots=True)
class NewTask:
    """A validated submit, ready to be stored. `input` is JSON; `ttl` in seconds; 0 milliseconds means none.

    Treat it as frozen: creating a frozen one takes four times as long.

    `delay_ms` and `cancel_after_ms` count from the time when Redis stores it, `not_before_ms` from 1970,
    `start_within_ms` from the time when it is due.
    """

    id: str
    owner: str
    task_type: str
    input: bytes
    queue: str = DEFAULT_QUEUE
    priority: str = "normal"
    request_id: str = ""
    has_uploads: bool = False
    upload_bytes: int = 0
    delay_ms: int = 0
    not_before_ms: int = 0
    ttl: int | None = None
    input_ttl: int | None = None
    tags: tuple[str, ...] = ()
    cancel_after_ms: int = 0
    start_within_ms: int = 0
    limit_scope: str = ""
    #: A key that one task has, as `unique_key` returns it; ms for which it has it at least; and the action if another
    #: task has it: `return`, `reject`, `replace`, or `debounce <maximum ms after the first submit>`.
    unique: str = ""
    unique_for_ms: int = 0
    on_conflict: str = ""
    retry_of: str = ""
    waits_for: tuple[str, ...] = ()
    webhook: str = ""
    trace: Trace = NO_TRACE

    @property
    def rank(self) -> int:
        """Return 0 for high, 1 for normal, 2 for low."""
        return PRIORITIES.index(self.priority)

    def due_ms(self, now_ms: int) -> int:
        """Return the due time, as the script that stores the task computes it; 0 means immediately."""
        due = max(now_ms + self.delay_ms if self.delay_ms else 0, self.not_before_ms)
        return due if due > now_ms else 0

    def fields(self) -> list[str | int]:
        """Return names and values for `HSET`, in addition to those that the script itself writes."""
        named: dict[str, str | int | None] = {
            "p": self.priority if self.priority != "normal" else None,
            "h": self.request_id,
            "tp": self.trace.parent,
            "ts": self.trace.state,
            "up": int(self.has_uploads),
            "by": counted_bytes(self.input) + self.upload_bytes,
            "t": json.dumps(self.tags) if self.tags else None,
            "ca": self.cancel_after_ms,
            "ro": self.retry_of,
            "sw": self.start_within_ms,
            "lb": self.limit_scope,
            "uk": self.unique,
            "uf": self.unique_for_ms,
            "wh": self.webhook,
            "dp": ",".join(self.waits_for),
        }
        fields: list[str | int] = [part for name, value in named.items() if value for part in (name, value)]
        for name, seconds in (("k", self.ttl), ("it", self.input_ttl)):
            if seconds is not None:  # 0 counts
                fields += [name, seconds]
        return fields


@dataclass(frozen=True, slots=True)
class EarlierAttempt:
    """An attempt that was followed by another: its start (ms since 1970), duration, end, and the reason."""

    started_ms: int
    ms: int
    ending: AttemptEnd
    reason: str = ""

    @property
    def ended_ms(self) -> int:
        """Return milliseconds since 1970; for a lost attempt, the time when that was noticed."""
        return self.started_ms + self.ms


@dataclass(eq=False)
class Record:
    """A task at the time when it was read. Times are milliseconds since 1970, or None if they are not reached.

    Treat it as frozen. It has no slots, so that the fields that a task does not have cost nothing: see `parse`.
    """

    id: str
    owner: str
    task_type: str
    status: Status
    queue: str = DEFAULT_QUEUE
    priority: str = "normal"
    request_id: str = ""
    started_ms: int | None = None
    finished_ms: int | None = None
    expires_ms: int | None = None
    due_ms: int | None = None
    deliveries: int = 0
    retries: int = 0
    progress: dict[str, Any] | None = None
    error: dict[str, Any] | None = None
    files: Sequence[dict[str, Any]] = ()
    tags: Sequence[str] = ()
    has_uploads: bool = False
    ttl: int | None = None
    cancel_after_ms: int = 0
    retry_of: str = ""
    retried_as: str = ""
    #: The number of the last item of its output.
    last_item: int = 0
    waits_for: Sequence[str] = ()
    webhook: str = ""
    start_within_ms: int = 0
    unique: str = ""
    unique_for_ms: int = 0
    trace_parent: str = ""
    trace_state: str = ""
    input_expired: bool = False
    batch: str = ""
    #: The most recent of them, if there are many.
    earlier_attempts: Sequence[EarlierAttempt] = ()
    #: The time when it was queued, if it was scheduled before.
    queued_ms: int | None = None
    #: Its position in the queue (1 is next), if it was read and the task is queued.
    position: int | None = None
    #: Its queue or its type is paused, and it is queued.
    paused: bool = False
    #: Set if they are short enough for the record, or were read with it: see `Tasks.input` and `Tasks.result`.
    input: bytes | None = None
    result: bytes | None = None

    @property
    def trace(self) -> Trace:
        """Return the trace of the request that submitted it."""
        return Trace(self.trace_parent, self.trace_state)

    @property
    def log_ids(self) -> dict[str, Any]:
        """Return the ids that each log line about it has."""
        return log_ids(self.id, self.request_id, self.trace)

    @property
    def submitted_ms(self) -> int:
        """Return the time of submission, which the id contains."""
        return ids.milliseconds(self.id)

    @property
    def rank(self) -> int:
        """Return 0 for high, 1 for normal, 2 for low."""
        return PRIORITIES.index(self.priority)


def _earlier_attempts(lines: bytes) -> list[EarlierAttempt]:
    """Parse `ds`. A reason may be cut within a character."""
    parts = (line.decode(errors="ignore").split(" ", 3) for line in lines.splitlines())
    return [EarlierAttempt(int(started), int(ms), AttemptEnd(ending), reason) for started, ms, ending, reason in parts]


#: The fields of the hash that are attributes, by the function that decodes their values.
_DECODED: dict[Callable[[bytes], Any], dict[str, str]] = {
    bytes.decode: {"o": "owner", "n": "task_type", "q": "queue", "p": "priority", "h": "request_id", "uk": "unique"}
    | {"ro": "retry_of", "ra": "retried_as", "ba": "batch", "wh": "webhook", "tp": "trace_parent", "ts": "trace_state"},
    {status.encode(): status for status in Status}.__getitem__: {"s": "status"},
    int: {"b": "started_ms", "f": "finished_ms", "x": "expires_ms", "u": "due_ms", "sq": "queued_ms", "k": "ttl"}
    | {"d": "deliveries", "a": "retries", "ca": "cancel_after_ms", "sw": "start_within_ms", "uf": "unique_for_ms"}
    | {"on": "last_item"},
    json.loads: {"g": "progress", "e": "error", "z": "files", "t": "tags"},
    bool: {"up": "has_uploads", "ix": "input_expired"},
    bytes: {"i": "input", "r": "result"},
    _earlier_attempts: {"ds": "earlier_attempts"},
    lambda ids: ids.decode().split(","): {"dp": "waits_for"},
}
_FIELDS = {
    name.encode(): (attribute, decode) for decode, names in _DECODED.items() for name, attribute in names.items()
}

#: The fields of every task that a status shows, as `get_statuses.lua` reads them for many tasks.
SHOWN_ALWAYS = (b"s", b"q", b"d", b"o", b"n", b"u", b"t", b"ro", b"ra", b"dp")
#: Those of a task that was started or has ended.
SHOWN_LATER = (b"a", b"g", b"e", b"ds")
#: Those of such a task in which tasks differ that are otherwise alike: start, end, expiry and result.
OWN_FIELDS = (b"b", b"f", b"x", b"r")


def parse(task_id: str, raw: Iterable[tuple[bytes, bytes]], position: int | None = None) -> Record | None:
    """Parse the fields of a hash as Redis returns them; None if the task does not exist.

    Only these are set: the constructor, which sets every field, took three times as long.
    """
    record = object.__new__(Record)
    fields = vars(record)
    fields["id"], fields["position"] = task_id, position
    for name, value in raw:
        definition = _FIELDS.get(name)
        if definition is not None:
            attribute, decode = definition
            fields[attribute] = decode(value)
    return record if "status" in fields else None
