"""Holding an answer back: how many seconds a client will wait, and where its request waits meanwhile.

A request that waits would hold one of a few threads. So it is parked: the application raises `Parked`, the worker
process (`worker.py`) keeps the connection without a thread, and gives the same request to the application
again when its task may have changed, when its time is over, or when the server stops. Under a WSGI server that cannot
park (Flask's test client), a few requests wait in their threads.

Source of `Prefer` and `Preference-Applied`: RFC 7240.
"""

import math
import random
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from flask import Response, g, request

from server.store.connection import UNREACHABLE
from server.web.errors import Problem
from server.web.gunicorn_worker.waiters import Waiters, Watch, waiters

#: Seconds that an answer is held at most: below the 30 at which a PaaS's router gives up.
LONGEST = 25

#: Who waits for a queued task looks unasked, for a place in the queue changes without a word: after so many seconds at
#: the least, and so rarely that all who wait together look so many times a second at the most.
_LOOK_EVERY, _LOOKS_A_SECOND = 1.0, 100

#: Keys of the WSGI environment: the worker's lot, and the ticket of a request that was parked.
LOT = "coatcheck.lot"
TICKET = "coatcheck.ticket"

#: What a request that comes back keeps, for it is one line in the log. Who makes it is found anew: its key may have
#: been revoked while it waited.
_KEPT = ("began", "request_id", "task_id")

_PREFERRED = re.compile(r'(?:^|,)\s*wait\s*=\s*"?([0-9]+)"?\s*(?=[,;]|$)', re.IGNORECASE)


class Lot(Protocol):
    """Where requests are parked."""

    def enter(self) -> bool:
        """Take a place; False where all are taken, or the server stops."""

    def leave(self) -> None:
        """Give the place back."""

    def taken(self) -> int:
        """How many places are taken, about."""


class Body(Protocol):
    """A body that is written bit by bit, while its request is parked."""

    #: Whether `more` has given the last of it.
    ended: bool

    @property
    def due(self) -> float:
        """When `more` is to be called without a ring, by `time.monotonic()`."""

    def more(self) -> bytes:
        """What there is to write now; may be empty."""


@dataclass(slots=True, eq=False)
class Ticket:
    """A parked request's: what it listens to, and until when (by `time.monotonic()`) it may be parked."""

    lot: Lot
    watch: Watch
    deadline: float
    body: Body | None = None
    #: What was asked for, what the answer was at first, and what is to be known of the request later.
    seconds: int = 0
    first: Response = field(default_factory=Response)
    kept: dict[str, Any] = field(default_factory=dict)
    look_every: float = math.inf
    closed: bool = False

    @property
    def until(self) -> float:
        """When to look again, told or not."""
        return self.body.due if self.body else min(self.deadline, time.monotonic() + self.look_every)

    @property
    def over(self) -> bool:
        """Whether the time is up: what there is now is the answer."""
        return time.monotonic() >= self.deadline

    def look_often(self) -> None:
        """Look now and then, told or not; not all at the same time."""
        self.look_every = max(_LOOK_EVERY, self.lot.taken() / _LOOKS_A_SECOND) * random.uniform(0.8, 1.2)

    def close(self) -> None:
        """Free the place. May be called again, by one thread after the other."""
        if not self.closed:
            self.closed = True
            self.watch.close()
            self.lot.leave()


#: Gives the answer as it is now, and whether it is worth waiting for; without a ticket for the first time.
Look = Callable[[Ticket | None], tuple[Response, bool]]


class Parked(BaseException):
    """Leave this request with its ticket. Not an `Exception`, so that nothing on the way makes an answer of it."""

    def __init__(self, ticket: Ticket) -> None:
        super().__init__()
        self.ticket = ticket


class _Threads:
    """The lot of a server that has none: a request waits in its thread, and few may."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._free = threading.BoundedSemaphore(most)

    def enter(self) -> bool:
        """Take a place, if there is one."""
        return self._free.acquire(blocking=False)

    def leave(self) -> None:
        """Give it back."""
        self._free.release()

    def taken(self) -> int:
        """No more than this."""
        return self._most


THREADS = _Threads(4)


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
        raise Problem("invalid-input", "Look at: wait.", errors=errors)
    return LONGEST if len(text) > 9 else min(int(text), LONGEST)


def waits() -> bool:
    """Whether the client of this request is ready to wait.

    Raises:
        Problem: `invalid-input` for a wrong `wait` in the query.
    """
    return returned() is not None or read_wait() > 0


def returned() -> Ticket | None:
    """The ticket of this request, where it has been parked."""
    ticket: Ticket | None = request.environ.get(TICKET)
    return ticket


def recall(ticket: Ticket) -> None:
    """Make this request what it was when it was parked."""
    for name, value in ticket.kept.items():
        setattr(g, name, value)


def lot_of_request() -> Lot:
    """Where this request can wait."""
    lot: Lot = request.environ.get(LOT) or THREADS
    return lot


def enter(lot: Lot, listening: Waiters, task_id: str, words: frozenset[str], seconds: float) -> Ticket | None:
    """A ticket, or None where there is no room."""
    if not lot.enter():
        return None
    return Ticket(lot, listening.watch(task_id, words), time.monotonic() + seconds)


def pause(ticket: Ticket) -> None:
    """Wait until the ticket's watch is rung or it is time to look. Does not return where the request can be parked.

    Raises:
        Parked: to the worker.
    """
    if ticket.lot is not THREADS:
        raise Parked(ticket)
    rung = threading.Event()
    ticket.watch.call = rung.set
    if not ticket.watch.rung:
        rung.wait(max(0.0, ticket.until - time.monotonic()))
    ticket.watch.call = None
    ticket.watch.rung = False


def hold(words: frozenset[str], look: Look) -> Response:
    """What `look` answers as soon as it says that it is worth waiting for, or as it is when the time is up.

    The task is `g.task_id`, once `look` has been called without a ticket.

    Raises:
        Parked: to the worker.
    """
    ticket = returned()
    if ticket is None:
        seconds = read_wait()
        response, settled = look(None)
        if seconds == 0:
            return response
        if settled:
            return _applied(response, seconds)
        ticket = enter(lot_of_request(), waiters(), g.task_id, words, seconds)
        if ticket is None:
            return response
        ticket.seconds, ticket.first = seconds, response
        ticket.kept = {name: getattr(g, name) for name in _KEPT if name in g}
        pause(ticket)
    return _hold(ticket, look)


def _hold(ticket: Ticket, look: Look) -> Response:
    parked = False
    try:
        while True:
            try:
                response, settled = look(ticket)
            except UNREACHABLE:
                if ticket.over:
                    raise
            else:
                if settled or ticket.over:
                    return _applied(response, ticket.seconds)
            pause(ticket)
    except Parked:
        parked = True
        raise
    finally:
        if not parked:
            ticket.close()


def _applied(response: Response, seconds: int) -> Response:
    response.headers["Preference-Applied"] = f"wait={seconds}"
    return response
