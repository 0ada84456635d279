"""Long polling: how many seconds a client waits for an answer, and how its request waits.

A waiting request would occupy one of a few threads. So it is parked: the application raises `Parked`, our worker keeps
the connection without a thread, and passes the same request to the application again when its task may have
changed, when its time is up, or when the server stops. Another WSGI server cannot park requests; there, the application
answers immediately.

Source of `Prefer` and `Preference-Applied`: RFC 7240.
"""

import math
import random
import re
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

from flask import Response, g, request

from server.store import Store
from server.store.api_keys import Caller
from server.store.connection import UNREACHABLE
from server.store.record import Status
from server.web.current import store, unwrapped
from server.web.errors import invalid

MAX_WAIT = 25  # maximum seconds to wait: below the 30 after which a PaaS's router gives up

#: A queued task's position changes without a message, so its waiting requests also check it periodically: at this
#: interval or longer, so that all of them together stay below this many checks a second.
_MIN_CHECK_INTERVAL, _MAX_CHECKS_PER_SECOND = 1.0, 100

_PAUSE = 0.05  # seconds between the first message about one of several tasks and the check of all of them

#: The messages that end a task, those that change its status object, and all messages.
ENDS = frozenset({*(status.value for status in Status if status.done), "dropped"})
CHANGES = frozenset({*(status.value for status in Status), "progress", "dropped"})
ALL = CHANGES | {"log", "output"}
HEARTBEAT = 15.0  # seconds without an event before a comment is sent as a heartbeat

#: Header fields of an event stream: no cache or proxy may delay it.
STREAM_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}

#: Milliseconds before the client of a stream reconnects; more if no slot was free.
_RETRY, _RETRY_WITHOUT_SLOT = 1000, 5000

#: Keys of the WSGI environment: the worker's slots for waiting requests, and the state of a parked request.
WAITING_SLOTS = "coatcheck.waiting_slots"
PARKED = "coatcheck.parked"

#: Attributes that a parked request keeps, because it is one line in the log. Its caller is authenticated again: the key
#: may have been revoked meanwhile.
_KEPT = ("began", "request_id", "trace", "span", "task_id", "watched", "query")

_PREFERRED = re.compile(r'(?:^|,)\s*wait\s*=\s*"?([0-9]+)"?\s*(?=[,;]|$)', re.IGNORECASE)


class WaitingSlots(Protocol):
    """Limits the number of waiting requests."""

    def acquire(self) -> bool:
        """Acquire a slot. Return False if none is free, or if the server stops."""

    def release(self) -> None:
        """Release a slot for another request."""

    def in_use(self) -> int:
        """Return the number of slots in use."""


class Body:
    """A client's stream of events, written piece by piece while its request is parked.

    It ends when the client's key is revoked.
    """

    def __init__(self, store: Store, viewer: Caller) -> None:
        self._store = store
        self._viewer = viewer
        self._written = time.monotonic()
        #: Whether `more` has returned the last piece.
        self.ended = False

    @property
    def due(self) -> float:
        """When to call `more` without a notification, by `time.monotonic()`: for the next heartbeat."""
        return self._written + HEARTBEAT

    def more(self) -> bytes:
        """Return the new events, or a heartbeat comment after a long silence; may be empty."""
        try:
            self.ended = not self._store.api_keys.is_valid(self._viewer)
            text = b"" if self.ended else b"".join(self.events())
        except UNREACHABLE:  # it is read again when Redis is back
            text = b""
        now = time.monotonic()
        if not text and now - self._written >= HEARTBEAT:
            text = b": still here\n"  # without an empty line, which some clients consider the end of an event
        if text:
            self._written = now
        return text

    def events(self) -> Iterable[bytes]:
        """Yield the events since the last call; set `ended` after the last one."""
        raise NotImplementedError


@dataclass(slots=True, eq=False)
class ParkedRequest:
    """A waiting request: the messages and the tasks that wake it, and its time limit (by `time.monotonic()`)."""

    slots: WaitingSlots
    task_ids: tuple[str, ...]
    messages: frozenset[str]
    deadline: float
    body: Body | None = None
    #: The wait that was asked for, the first answer, and the attributes to keep.
    seconds: int = 0
    first: Response = field(default_factory=Response)
    kept: dict[str, Any] = field(default_factory=dict)
    check_interval: float = math.inf
    released: bool = False
    #: Seconds to collect more messages after the first one: many tasks may end within a moment.
    pause: float = 0.0
    #: Returns cheaply whether the application would only park the request again; None if that needs the application.
    would_park_again: Callable[[], bool] | None = None

    @property
    def until(self) -> float:
        """When to check again without a notification."""
        return self.body.due if self.body else min(self.deadline, time.monotonic() + self.check_interval)

    @property
    def over(self) -> bool:
        """Return whether the time is up: then the current state is the answer."""
        return time.monotonic() >= self.deadline

    def check_periodically(self) -> None:
        """Check also without a notification, at a random interval, to spread the load."""
        interval = max(_MIN_CHECK_INTERVAL, self.slots.in_use() / _MAX_CHECKS_PER_SECOND)
        self.check_interval = interval * random.uniform(0.8, 1.2)

    def still_waits(self) -> bool:
        """Return whether the request certainly has no news for its client yet."""
        if self.over or self.would_park_again is None:
            return False
        try:
            return self.would_park_again()
        except Exception:  # the application has an answer to each of them
            return False

    def release(self) -> None:
        """Release the slot. May be called repeatedly."""
        if not self.released:
            self.released = True
            self.slots.release()


#: Returns the current answer, and whether it is worth sending; the first call has no argument.
Check = Callable[[ParkedRequest | None], tuple[Response, bool]]


class Parked(BaseException):
    """Passes this request to the worker. Not an `Exception`, so that no handler turns it into an answer."""

    def __init__(self, request: ParkedRequest) -> None:
        super().__init__()
        self.request = request


def read_wait() -> int:
    """Return the seconds that the client will wait; 0 if it did not ask.

    Unknown preferences are ignored: RFC 7240 makes no preference an error.

    Raises:
        Problem: `invalid-input` for a wrong `wait` in the query.
    """
    if not request.environ.get("QUERY_STRING") and "HTTP_PREFER" not in request.environ:
        return 0
    text = request.args.get("wait")
    if text is None:
        match = _PREFERRED.search(request.headers.get("Prefer", ""))
        text = match[1] if match else "0"
    elif not re.fullmatch("[0-9]+", text):
        raise invalid("Input should be a whole number of seconds", "query", "wait")
    return MAX_WAIT if len(text) > 9 else min(int(text), MAX_WAIT)


def waits() -> bool:
    """Return whether the client of this request is ready to wait; refuse a wrong `wait`."""
    return parked_request() is not None or read_wait() > 0


def parked_request() -> ParkedRequest | None:
    """Return the state of this request if it has been parked before."""
    parked: ParkedRequest | None = unwrapped(request).environ.get(PARKED)
    return parked


def restore(parked: ParkedRequest) -> None:
    """Restore the attributes that this request had when it was parked."""
    for name, value in parked.kept.items():
        setattr(g, name, value)


def acquire_slot(
    slots: WaitingSlots | None, task_ids: tuple[str, ...], messages: frozenset[str], seconds: float
) -> ParkedRequest | None:
    """Acquire a slot to wait in. Return None if none is free."""
    if slots is None or not slots.acquire():
        return None
    pause = _PAUSE if len(task_ids) > 1 else 0.0
    return ParkedRequest(slots, task_ids, messages, time.monotonic() + seconds, pause=pause)


def long_poll(messages: frozenset[str], check: Check, seconds: int | None = None) -> Response:
    """Answer with `check` as soon as it has news, or when the time is up: `seconds`, or those that the client asks for.

    The task is `g.task_id`, or the tasks are `g.watched`, once `check` has been called without an argument.

    Raises:
        Parked: to the worker.
    """
    parked = parked_request()
    if parked is None:
        return _first_check(messages, check, read_wait() if seconds is None else seconds)
    try:
        response, settled = check(parked)
    except UNREACHABLE:
        if parked.over:
            raise
    else:
        if settled or parked.over:
            return _applied(response, parked.seconds)
    raise Parked(parked)


def _first_check(messages: frozenset[str], check: Check, seconds: int) -> Response:
    response, settled = check(None)
    if seconds == 0:
        return response
    if settled:
        return _applied(response, seconds)
    parked = acquire_slot(request.environ.get(WAITING_SLOTS), g.get("watched") or (g.task_id,), messages, seconds)
    if parked is None:
        return response
    parked.seconds, parked.first = seconds, response
    if messages is ENDS and not g.get("watched"):
        task_id, tasks = g.task_id, store().tasks
        parked.would_park_again = lambda: not tasks.has_ended(task_id)
    parked.kept = {name: getattr(g, name) for name in _KEPT if name in g}
    raise Parked(parked)


def event_stream(body: Body, task_id: str = "", messages: frozenset[str] = ALL, pause: float = 0.0) -> Response:
    """Answer with server-sent events: the current ones, and later ones while the request is parked.

    `body` is called `pause` seconds after one of these messages about the task, and when it is due. If no slot is free,
    only the current events are sent, and the client reconnects later.
    """
    slots = request.environ.get(WAITING_SLOTS)
    # An iterator, as the length of the stream is not known: `b""` would announce a length of 0.
    text = iter(()) if request.method == "HEAD" else _stream(slots, body, task_id, messages, pause)
    return Response(text, headers=STREAM_HEADERS, content_type="text/event-stream; charset=utf-8")


def _stream(
    slots: WaitingSlots | None, body: Body, task_id: str, messages: frozenset[str], pause: float
) -> Iterator[bytes]:
    first = body.more()
    parked = None if body.ended else acquire_slot(slots, (task_id,) if task_id else (), messages, math.inf)
    is_parked = False
    try:
        yield b"retry: %d\n%s" % (_RETRY if parked or body.ended else _RETRY_WITHOUT_SLOT, first)
        if parked is not None:
            parked.body, parked.pause, is_parked = body, pause, True
            raise Parked(parked)
    finally:
        if parked is not None and not is_parked:  # the client has disconnected
            parked.release()


def _applied(response: Response, seconds: int) -> Response:
    response.headers["Preference-Applied"] = f"wait={seconds}"
    return response
