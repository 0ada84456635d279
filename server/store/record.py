"""The record: one Redis hash per task, the truth about it.

The names of its fields are one letter or two, because they lie in memory a million times:

    o owner     n task_type       s status      q queue      p priority   i input (JSON)    h request id
    b started   f finished   x expires     u due        (all in milliseconds since 1970; submitted is in the id)
    d deliveries  a retries  c crashes     w lease_token of the run: `<worker>/<nonce>`     m tag of its message
    g progress (JSON)        r result (JSON)   e error (JSON)   z output files (JSON)  k ttl in seconds
    t tags (JSON)            up has uploads    cr cancel asked for (ms)      ro retry of
    dp ids whose files it takes
    ds the runs before, a line each: start (ms), ms that it took, how it ended, why     sq no longer scheduled
    wh webhook (URL)         wt its tries (JSON, see `webhooks.py`)
    af run of its schedule that it waits for          hm its message until then (JSON)
    fl why it failed, for admins (JSON, see `server.services.failures`)
    v how many entries its log has had: `events:<id>`, a list that begins with the first progress or line
"""

import json
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from server.store import ids

Fields = dict[bytes, bytes]

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
        return self in (Status.SUCCEEDED, Status.FAILED, Status.CANCELED)

    @property
    def celery_state(self) -> str:
        """Celery's name for it, as `AsyncResult.state` gives it."""
        return _CELERY_STATES[self]


_CELERY_STATES = {
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


@dataclass(frozen=True, slots=True)
class Message:
    """A task's message in a Redis queue: `list_key` is where it goes, `tag` its delivery tag."""

    list_key: str
    payload: bytes
    tag: str


@dataclass(frozen=True, slots=True)
class Throttle:
    """Maximum tasks of a type that run at a time and start per minute, in total or per owner; 0 means no limit."""

    max_running: int = 0
    per_minute: int = 0
    per_owner: bool = False

    @property
    def scope(self) -> str:
        """Return the form of the scripts' argument."""
        return "owner" if self.per_owner else ""


#: No limit at all.
FREE = Throttle()

#: What a broker that is not this Redis gets: the record alone is stored, the message follows.
NO_MESSAGE = Message("", b"", "")


@dataclass(frozen=True, slots=True)
class NewTask:
    """A validated submit, ready to be stored. `input` is JSON; `due_ms` 0 means at once; `ttl` in seconds."""

    id: str
    owner: str
    task_type: str
    input: bytes
    queue: str = DEFAULT_QUEUE
    priority: str = "normal"
    request_id: str = ""
    has_uploads: bool = False
    due_ms: int = 0
    ttl: int | None = None
    tags: tuple[str, ...] = ()
    cancel_at_ms: int = 0
    retry_of: str = ""
    waits_for: tuple[str, ...] = ()
    webhook: str = ""

    @property
    def rank(self) -> int:
        """Return 0 for high, 1 for normal, 2 for low."""
        return PRIORITIES.index(self.priority)

    def fields(self) -> list[str | bytes | int]:
        """Names and values as `HSET` takes them, beside those that the script itself writes."""
        fields: list[str | bytes | int] = ["i", self.input]
        if self.priority != "normal":
            fields += ["p", self.priority]
        if self.request_id:
            fields += ["h", self.request_id]
        if self.has_uploads:
            fields += ["up", 1]
        if self.ttl is not None:
            fields += ["k", self.ttl]
        if self.tags:
            fields += ["t", json.dumps(self.tags)]
        if self.retry_of:
            fields += ["ro", self.retry_of]
        if self.webhook:
            fields += ["wh", self.webhook]
        if self.waits_for:
            fields += ["dp", ",".join(self.waits_for)]
        return fields


@dataclass(frozen=True, slots=True)
class PastAttempt:
    """An attempt that was followed by another: its start (ms since 1970), duration, end, and the reason in words."""

    started_ms: int
    ms: int
    ending: AttemptEnd
    why: str = ""

    @property
    def ended_ms(self) -> int:
        """Return milliseconds since 1970; for a lost attempt, the time when that was noticed."""
        return self.started_ms + self.ms


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Record:
    """A task at the time when it was read. Times are milliseconds since 1970, or None if they are not reached."""

    id: str
    owner: str
    task_type: str
    status: Status
    queue: str = DEFAULT_QUEUE
    priority: str = "normal"
    input: bytes = b"{}"
    request_id: str = ""
    started_ms: int | None = None
    finished_ms: int | None = None
    expires_ms: int | None = None
    due_ms: int | None = None
    deliveries: int = 0
    retries: int = 0
    progress: dict[str, Any] | None = None
    result: bytes | None = None
    error: dict[str, Any] | None = None
    files: list[dict[str, Any]] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)
    has_uploads: bool = False
    ttl: int | None = None
    retry_of: str = ""
    waits_for: list[str] = field(default_factory=list)
    webhook: str = ""
    #: The most recent of them, if there are many.
    earlier_attempts: list[PastAttempt] = field(default_factory=list)
    #: The time when it was queued, if it was scheduled before.
    queued_ms: int | None = None
    #: Its position in the queue (1 is next), if it was read and the task is queued.
    position: int | None = None

    @property
    def submitted_ms(self) -> int:
        """Return the time of submission, which the id contains."""
        return ids.milliseconds(self.id)

    @property
    def rank(self) -> int:
        """Return 0 for high, 1 for normal, 2 for low."""
        return PRIORITIES.index(self.priority)


def parse(task_id: str, raw: Fields, position: int | None = None) -> Record:
    """Parse a hash as Redis returns it."""

    def number(name: bytes) -> int | None:
        return int(raw[name]) if name in raw else None

    def value(name: bytes) -> Any:
        return json.loads(raw[name]) if name in raw else None

    return Record(
        id=task_id,
        owner=raw[b"o"].decode(),
        task_type=raw[b"n"].decode(),
        status=Status(raw[b"s"].decode()),
        queue=raw[b"q"].decode(),
        priority=raw.get(b"p", b"normal").decode(),
        input=raw.get(b"i", b"{}"),
        request_id=raw.get(b"h", b"").decode(),
        started_ms=number(b"b"),
        finished_ms=number(b"f"),
        expires_ms=number(b"x"),
        due_ms=number(b"u"),
        deliveries=number(b"d") or 0,
        retries=number(b"a") or 0,
        progress=value(b"g"),
        result=raw.get(b"r"),
        error=value(b"e"),
        files=value(b"z") or [],
        tags=value(b"t") or [],
        has_uploads=b"up" in raw,
        ttl=number(b"k"),
        retry_of=raw.get(b"ro", b"").decode(),
        webhook=raw.get(b"wh", b"").decode(),
        earlier_attempts=[_past_attempt(line) for line in raw.get(b"ds", b"").splitlines()],
        queued_ms=number(b"sq"),
        position=position,
        waits_for=[each for each in raw.get(b"dp", b"").decode().split(",") if each],
    )


def _past_attempt(line: bytes) -> PastAttempt:
    """Parse a line of `ds`. The reason may be cut within a character."""
    started, took, ending, why = line.decode(errors="ignore").split(" ", 3)
    return PastAttempt(int(started), int(took), AttemptEnd(ending), why)
