"""Holding an answer back: how many seconds a client will wait, and where its request waits meanwhile.

A request that waits would hold one of a few threads. So it is parked: the application raises `Parked`, our Gunicorn
worker keeps the connection without a thread, and gives the same request to the application again when its task may have
changed, when its time is over, or when the server stops. A WSGI server that cannot park answers immediately: waiting is
a courtesy.

Source of `Prefer` and `Preference-Applied`: RFC 7240.
"""

import math
import random
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

from flask import Response, g, request

from server.store.connection import UNREACHABLE
from server.store.record import Status
from server.web.errors import Problem

#: Seconds that an answer is held at most: below the 30 at which a PaaS's router gives up.
MAX_WAIT = 25

#: A task's place in the queue changes without a message, so a client that waits for a queued task looks unasked: after
#: this many seconds at least, and so rarely that all of them together look this many times a second at most.
_LOOK_EVERY, _LOOKS_A_SECOND = 1.0, 100

#: The words at which a task has ended, those at which its status object is another, and all that are published.
ENDS = frozenset({*(status.value for status in Status if status.done), "dropped"})
CHANGES = frozenset({*(status.value for status in Status), "progress", "dropped"})
ALL = CHANGES | {"log"}

#: Fields of a stream of events: neither a cache nor a proxy may hold it back.
STREAM_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}

#: Milliseconds before the client of a stream reconnects; more if the server had no room.
_RETRY, _RETRY_WITHOUT_ROOM = 1000, 5000

#: Keys of the WSGI environment: the worker's places for requests that wait, and what is known of a parked request.
PLACES = "coatcheck.places"
PARKED = "coatcheck.parked"

#: What a request that comes back keeps, for it is one line in the log. Who makes it is found anew: its key may have
#: been revoked while it waited.
_KEPT = ("began", "request_id", "task_id")

_PREFERRED = re.compile(r'(?:^|,)\s*wait\s*=\s*"?([0-9]+)"?\s*(?=[,;]|$)', re.IGNORECASE)


class Places(Protocol):
    """Room for requests that wait."""

    def enter(self) -> bool:
        """Take a place; False where all are taken, or the server stops."""

    def leave(self) -> None:
        """Give the place back."""

    def taken(self) -> int:
        """How many places are taken."""


class Body(Protocol):
    """A body that is written bit by bit, while its request is parked."""

    #: Whether `more` has given the last of it.
    ended: bool

    @property
    def due(self) -> float:
        """When `more` is to be called without a notification, by `time.monotonic()`."""

    def more(self) -> bytes:
        """What there is to write now; may be empty."""


@dataclass(slots=True, eq=False)
class ParkedRequest:
    """A request that waits: for which words about which task, if any, and until when (by `time.monotonic()`)."""

    places: Places
    task_id: str
    words: frozenset[str]
    deadline: float
    body: Body | None = None
    #: What was asked for, what the answer was at first, and what is to be known of the request later.
    seconds: int = 0
    first: Response = field(default_factory=Response)
    kept: dict[str, Any] = field(default_factory=dict)
    look_every: float = math.inf
    left: bool = False

    @property
    def until(self) -> float:
        """When to look again without a notification."""
        return self.body.due if self.body else min(self.deadline, time.monotonic() + self.look_every)

    @property
    def over(self) -> bool:
        """Whether the time is up: what there is now is the answer."""
        return time.monotonic() >= self.deadline

    def look_often(self) -> None:
        """Look now and then without a notification; not all at the same time."""
        self.look_every = max(_LOOK_EVERY, self.places.taken() / _LOOKS_A_SECOND) * random.uniform(0.8, 1.2)

    def leave(self) -> None:
        """Give the place back. May be called again."""
        if not self.left:
            self.left = True
            self.places.leave()


#: Gives the answer as it is now, and whether it is worth sending; without an argument for the first time.
Look = Callable[[ParkedRequest | None], tuple[Response, bool]]


class Parked(BaseException):
    """Leave this request to the worker. Not an `Exception`, so that nothing on the way makes an answer of it."""

    def __init__(self, request: ParkedRequest) -> None:
        super().__init__()
        self.request = request


def read_wait() -> int:
    """Seconds that the answer is held at most; 0 where the client did not ask.

    A preference that is none of ours is passed over: RFC 7240 makes no preference an error.

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
        errors = [{"loc": ["query", "wait"], "msg": "Input should be a whole number of seconds"}]
        raise Problem("invalid-input", "Invalid value for wait.", errors=errors)
    return MAX_WAIT if len(text) > 9 else min(int(text), MAX_WAIT)


def waits() -> bool:
    """Whether the client of this request is ready to wait.

    Raises:
        Problem: `invalid-input` for a wrong `wait` in the query.
    """
    return returned() is not None or read_wait() > 0


def returned() -> ParkedRequest | None:
    """What is known of this request, where it has been parked."""
    parked: ParkedRequest | None = request.environ.get(PARKED)
    return parked


def recall(parked: ParkedRequest) -> None:
    """Make this request what it was when it was parked."""
    for name, value in parked.kept.items():
        setattr(g, name, value)


def enter(places: Places | None, task_id: str, words: frozenset[str], seconds: float) -> ParkedRequest | None:
    """Take a place to wait in, or None where there is no room."""
    if places is None or not places.enter():
        return None
    return ParkedRequest(places, task_id, words, time.monotonic() + seconds)


def long_poll(words: frozenset[str], look: Look) -> Response:
    """What `look` answers as soon as it says that it is worth sending, or as it is when the time is up.

    The task is `g.task_id`, once `look` has been called without an argument.

    Raises:
        Parked: to the worker.
    """
    parked = returned()
    if parked is None:
        return _first_look(words, look)
    try:
        response, settled = look(parked)
    except UNREACHABLE:
        if parked.over:
            raise
    else:
        if settled or parked.over:
            return _applied(response, parked.seconds)
    raise Parked(parked)


def _first_look(words: frozenset[str], look: Look) -> Response:
    seconds = read_wait()
    response, settled = look(None)
    if seconds == 0:
        return response
    if settled:
        return _applied(response, seconds)
    parked = enter(request.environ.get(PLACES), g.task_id, words, seconds)
    if parked is None:
        return response
    parked.seconds, parked.first = seconds, response
    parked.kept = {name: getattr(g, name) for name in _KEPT if name in g}
    raise Parked(parked)


def event_stream(body: Body, task_id: str = "") -> Response:
    """Answer with server-sent events: those of now, and later ones while the request is parked.

    `body` is asked whenever something is published about the task, and when it is due. If there is no room to park the
    request, only the current events are sent, and the client reconnects later.
    """
    text = b"" if request.method == "HEAD" else _stream(request.environ.get(PLACES), body, task_id)
    return Response(text, headers=STREAM_HEADERS, content_type="text/event-stream; charset=utf-8")


def _stream(places: Places | None, body: Body, task_id: str) -> Iterator[bytes]:
    first = body.more()
    parked = None if body.ended else enter(places, task_id, ALL, math.inf)
    given = False
    try:
        yield b"retry: %d\n%s" % (_RETRY if parked or body.ended else _RETRY_WITHOUT_ROOM, first)
        if parked is not None:
            parked.body, given = body, True
            raise Parked(parked)
    finally:
        if parked is not None and not given:  # the client has gone before
            parked.leave()


def _applied(response: Response, seconds: int) -> Response:
    response.headers["Preference-Applied"] = f"wait={seconds}"
    return response
