"""Small JSON submits, stored in groups: all that arrive before the loop has answered one group are in the next.

A thread validates and stores a whole group, so that a request costs neither a switch to a thread nor Flask's overhead.
All other submits go to the application: those with options, idempotency keys, uploads, or invalid input. The functions
of `server.web.responses` and `server.web.errors` build the answers.
"""

import logging
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from server.logs import event
from server.logs.spans import Span
from server.logs.trace import Trace, parse_trace
from server.sdk.definition import TaskDefinition
from server.sdk.registry import definition, is_registered
from server.services.submit import Accepted, Submission, first_record, store_and_publish
from server.store import Store
from server.store.connection import store_error
from server.store.errors import CoatcheckError, StoreUnavailable
from server.store.record import NewTask
from server.store.stats import CounterBuffer
from server.store.submit import SubmitRequest
from server.web import responses
from server.web.addresses import RequestAddress, base_url, make_absolute
from server.web.errors import Problem, problem_reply
from server.web.gunicorn_worker.http1.head import Head
from server.web.gunicorn_worker.polls import Arrival, Polls, read_arrival
from server.web.middleware import begin_span, end_span, log_request, request_id_of
from server.web.reply import Reply

if TYPE_CHECKING:
    from server.web.gunicorn_worker.answering import Answering

#: Maximum submits in one group: a longer script call would block Redis for other clients.
_MAX_GROUP = 256

#: Maximum bytes of a body that is validated here.
_MAX_BODY = 16 * 1024

#: The end of a target, which may begin with a prefix.
_SUBMIT = re.compile(r".*?(/tasks/([A-Za-z0-9_-]+))")
_JSON = ("application/json", "application/json; charset=utf-8")

log = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class _Plain:
    """The parts of a plain submit's head that are used."""

    arrival: Arrival
    definition: TaskDefinition
    trace: Trace


@dataclass(slots=True, eq=False)
class PlainSubmit:
    """One submit in progress, in place of an exchange. `reply` is None if Flask must answer it."""

    connection: "Answering"
    plain: _Plain
    body: bytes
    owner: str
    address: RequestAddress
    request_id: str
    request_counts: CounterBuffer
    span: Span
    began: float = field(default_factory=time.perf_counter)
    reply: Reply | None = None
    task_id: str = ""

    def close(self) -> None:
        """Ignore that the client has disconnected: the task is stored all the same."""

    def answer(self, reply: Reply, task_id: str = "") -> None:
        """Set the answer, with the fields of every response."""
        reply.fields.update(responses.common_fields(self.request_id))
        make_absolute(reply.fields, base_url(self.address.scheme, self.address.host, self.address.prefix))
        end_span(self.span, reply.status, task_id)
        self.reply, self.task_id = reply, task_id

    def send(self) -> None:
        """Count, log and answer the request, in the loop: it writes the log lines of a turn together."""
        if self.reply is not None:
            status = self.reply.status
            self.request_counts.add(f"POST /tasks/{{name}}:{status // 100}")
            path = self.plain.arrival.path
            log_request("POST", path, status, self.began, self.request_id, self.task_id, self.span.trace.id)
        self.connection.reply(self)


class SubmitGroups:
    """Stores the plain submits of one process, a group at a time. The loop calls everything but `_run`."""

    def __init__(
        self,
        store: Store,
        polls: Polls,
        post: Callable[..., None],
        after_reads: Callable[[Callable[[], None]], object],
        submit: Callable[[Callable[[], None]], None],
        request_counts: CounterBuffer,
    ) -> None:
        """`post` makes the loop run a call; `after_reads` does so when it has read what has arrived; `submit` runs a
        function in a thread.
        """
        self._store = store
        self._polls = polls
        self._post = post
        self._after_reads = after_reads
        self._submit = submit
        self._request_counts = request_counts
        self._pending: list[PlainSubmit] = []
        self._busy = False

    def add(self, connection: "Answering", head: Head, body: bytes) -> PlainSubmit | None:
        """Add a submit to the next group. Return None if the application must answer it."""
        if head.derived is None:
            head.derived = _plain(head) or False
        plain = head.derived
        if not plain or len(body) > _MAX_BODY or not body.startswith(b"{"):
            return None
        if (address := self._polls.address(plain.arrival, connection.client)) is None:
            return None
        caller = self._polls.caller(plain.arrival, address)
        if caller is None or not caller.may_submit:
            return None
        span = begin_span("POST", "/tasks/<name>", plain.arrival.path, plain.trace)
        request_id = request_id_of(plain.arrival.request_id)
        counts = self._request_counts
        submit = PlainSubmit(connection, plain, body, caller.owner, address, request_id, counts, span)
        self._pending.append(submit)
        if not self._busy:
            self._busy = True
            self._after_reads(self._start)
        return submit

    def _start(self) -> None:
        group, self._pending = self._pending[:_MAX_GROUP], self._pending[_MAX_GROUP:]
        self._submit(partial(self._run, group))

    def _done(self, group: list[PlainSubmit], outage: CoatcheckError | None) -> None:
        if outage is not None:  # the waiting submits wait for the same Redis
            waiting, self._pending = self._pending, []
            for each in waiting:
                each.answer(problem_reply(outage, each.request_id, each.address.prefix))
            group = group + waiting
        try:
            for each in group:
                each.send()
        finally:
            self._busy = bool(self._pending)
            if self._busy:  # with the next submits of the clients that have just got their answers
                self._after_reads(self._start)

    # -- in a thread

    def _run(self, group: list[PlainSubmit]) -> None:
        outage: CoatcheckError | None = None
        try:
            by_owner: dict[str, list[tuple[PlainSubmit, NewTask]]] = {}
            for each in group:
                if (task := self._prepare(each)) is not None:
                    by_owner.setdefault(each.owner, []).append((each, task))
            for owner, items in by_owner.items():
                outage = self._store_all(owner, items) or outage
        finally:
            self._post(self._done, group, outage)

    def _prepare(self, each: PlainSubmit) -> NewTask | None:
        """Return the task to store, or None if the application must report an error."""
        store, declared = self._store, each.plain.definition
        try:
            task_input = declared.validate_json(each.body, allow_private=store.settings.allow_private_addresses)
            return Submission(store, declared, each.owner, each.request_id, trace=each.span.trace).prepare(task_input)
        except Exception:  # nothing has been stored
            return None

    def _store_all(self, owner: str, items: list[tuple[PlainSubmit, NewTask]]) -> CoatcheckError | None:
        """Store one owner's tasks and set their answers. Return the outage, if there is one."""
        try:
            result = store_and_publish(self._store, SubmitRequest(owner, [task for _, task in items]))
            left = sum(isinstance(outcome, int) for outcome in result.outcomes)
            for (each, task), outcome in zip(items, result.outcomes, strict=True):
                if isinstance(outcome, CoatcheckError):
                    each.answer(problem_reply(outcome, each.request_id, each.address.prefix))
                    continue
                left -= 1  # what later submits of the group have added
                accepted = Accepted(
                    first_record(self._store, task, result.now_ms), outcome or None, result.unfinished - left
                )
                each.answer(responses.accepted_reply(self._store, accepted, each.address.prefix), task.id)
        except Exception as error:
            failure = error if isinstance(error, CoatcheckError) else store_error(error)
            return self._refuse_all(items, failure, error)
        return None

    def _refuse_all(
        self, items: list[tuple[PlainSubmit, NewTask]], failure: CoatcheckError | None, reason: Any
    ) -> CoatcheckError | None:
        level = logging.WARNING if failure is not None else logging.ERROR
        event(log, "submits.failed", level=level, error=failure is None, count=len(items), reason=reason)
        problem = failure or Problem("internal-error", "See the server's log for this request id.")
        for each, _ in items:
            if each.reply is None:
                each.answer(problem_reply(problem, each.request_id, each.address.prefix))
        return failure if isinstance(failure, StoreUnavailable) else None


def _plain(head: Head) -> _Plain | None:
    """Return the used parts of a head if it belongs to a plain submit."""
    match = _SUBMIT.fullmatch(head.target)
    if head.method != "POST" or match is None or not is_registered(match[2]):
        return None
    arrival, declared = read_arrival(head, match[1]), definition(match[2])
    if arrival is None or declared.uploads or declared.unique:
        return None
    fields = arrival.fields
    if fields.get("content-type", "").lower() not in _JSON or "host" not in fields:
        return None
    trace = parse_trace(fields.get("traceparent", ""), fields.get("tracestate", ""))
    return _Plain(arrival, declared, trace)
