"""Small JSON submits, stored in groups: all that arrive while one script call is under way go into the next.

A thread validates and stores a whole group, so that a request costs neither a thread's turn nor Flask's. Whatever is
not plain goes to the application: options, idempotency keys, uploads, and every input that does not fit. Answers are
made by the functions of `server.web.responses` and `server.web.errors`.
"""

import logging
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from server.logs import event
from server.sdk.definition import TaskDefinition
from server.sdk.registry import definition, is_registered
from server.services.publish import first_record, store_and_publish
from server.services.submit import Accepted, Submission
from server.store import Store
from server.store.connection import store_error
from server.store.errors import CoatcheckError, StoreUnavailable
from server.store.record import NewTask
from server.store.submit import SubmitRequest
from server.web import responses
from server.web.errors import Problem, problem_reply
from server.web.gunicorn_worker.http1.head import Head
from server.web.gunicorn_worker.polls import Polls
from server.web.middleware import log_request, request_id_of
from server.web.reply import Reply

if TYPE_CHECKING:
    from server.web.gunicorn_worker.answering import Answering

#: Submits of one group: a script that takes longer would hold other clients of Redis up.
_MAX_GROUP = 256

#: Bytes of a body that is validated here.
_MAX_BODY = 16 * 1024

_SUBMIT = re.compile(r"/tasks/([A-Za-z0-9_-]+)")
_JSON = ("application/json", "application/json; charset=utf-8")

#: Fields with which a submit is more than its input.
_NOT_PLAIN = frozenset(
    {"origin", "cookie", "prefer", "cancel-after", "idempotency-key", "content-encoding", "traceparent", "tracestate"}
    | {"expect", "forwarded", "x-forwarded-prefix", "x-forwarded-host"}
)

log = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class _Plain:
    """What counts of the head of a plain submit."""

    path: str
    definition: TaskDefinition
    host: str
    authorization: str
    request_id: str


@dataclass(slots=True, eq=False)
class PlainSubmit:
    """One submit on its way. It stands for an exchange at its connection; `reply` is None where Flask is to answer."""

    connection: "Answering"
    plain: _Plain
    body: bytes
    owner: str
    request_id: str
    began: float = field(default_factory=time.perf_counter)
    reply: Reply | None = None

    def close(self) -> None:
        """Nobody wants the answer: the task is stored all the same."""

    def answer(self, reply: Reply, task_id: str = "") -> None:
        """Note the answer, and log the request."""
        reply.fields.update(responses.common_fields(self.request_id))
        log_request("POST", self.plain.path, reply.status, self.began, self.request_id, task_id)
        self.reply = reply


class Submits:
    """Stores the plain submits of one process, a group at a time. Everything but `_run` is done by the loop."""

    def __init__(
        self, store: Store, polls: Polls, post: Callable[..., None], submit: Callable[[Callable[[], None]], None]
    ) -> None:
        self._store = store
        self._polls = polls
        self._post = post
        self._submit = submit
        self._pending: list[PlainSubmit] = []
        self._busy = False

    def take(self, connection: "Answering", head: Head, body: bytes) -> PlainSubmit | None:
        """Take a submit into the next group; None where the application is to be asked."""
        if head.memo is None:
            head.memo = _plain(head) or False
        plain = head.memo
        if not isinstance(plain, _Plain) or len(body) > _MAX_BODY or not body.startswith(b"{"):
            return None
        caller = self._polls.caller(plain.authorization, plain.host)
        if caller is None or not caller.may_submit:
            return None
        taken = PlainSubmit(connection, plain, body, caller.owner, request_id_of(plain.request_id))
        self._pending.append(taken)
        if not self._busy:
            self._busy = True
            self._post(self._start)  # after what else has come in this turn
        return taken

    def _start(self) -> None:
        group, self._pending = self._pending[:_MAX_GROUP], self._pending[_MAX_GROUP:]
        self._submit(partial(self._run, group))

    def _done(self, group: list[PlainSubmit], outage: CoatcheckError | None) -> None:
        self._busy = bool(self._pending) and outage is None
        if outage is not None:  # those who wait have waited for the same Redis
            waiting, self._pending = self._pending, []
            for each in waiting:
                each.answer(problem_reply(outage, each.request_id))
            group = group + waiting
        elif self._busy:
            self._start()
        for each in group:
            each.connection.reply(each)

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
        """The task to store; None where the application has to say what is wrong."""
        store, kind = self._store, each.plain.definition
        try:
            given = kind.validate_json(each.body, allow_private=store.settings.allow_private_addresses)
            return Submission(store, kind, each.owner, each.request_id).prepare(given)
        except Exception:  # nothing is stored yet
            return None

    def _store_all(self, owner: str, items: list[tuple[PlainSubmit, NewTask]]) -> CoatcheckError | None:
        """Store one owner's tasks and note their answers. The outage, if there is one."""
        try:
            result = store_and_publish(self._store, SubmitRequest(owner, [task for _, task in items]))
            left = sum(isinstance(outcome, int) for outcome in result.outcomes)
            for (each, task), outcome in zip(items, result.outcomes, strict=True):
                if isinstance(outcome, CoatcheckError):
                    each.answer(problem_reply(outcome, each.request_id))
                    continue
                left -= 1  # what the later ones of the group have added
                accepted = Accepted(first_record(task, result.now_ms), outcome or None, result.unfinished - left)
                each.answer(responses.accepted_reply(self._store, accepted), task.id)
        except Exception as error:
            found = error if isinstance(error, CoatcheckError) else store_error(error)
            return self._refuse_all(items, found, error)
        return None

    def _refuse_all(
        self, items: list[tuple[PlainSubmit, NewTask]], found: CoatcheckError | None, reason: Any
    ) -> CoatcheckError | None:
        level = logging.WARNING if found is not None else logging.ERROR
        event(log, "submits.failed", level=level, error=found is None, count=len(items), reason=reason)
        problem = found or Problem("internal-error", "See the server's log for this request id.")
        for each, _ in items:
            if each.reply is None:
                each.answer(problem_reply(problem, each.request_id))
        return found if isinstance(found, StoreUnavailable) else None


def _plain(head: Head) -> _Plain | None:
    """What counts of a head, where it is a plain submit's."""
    match = _SUBMIT.fullmatch(head.target)
    if head.method != "POST" or match is None or not is_registered(match[1]):
        return None
    fields: dict[str, str] = {}
    for name, value in head.fields:
        key = name.lower()
        if key in fields or key in _NOT_PLAIN or "_" in key:
            return None
        fields[key] = value
    kind = definition(match[1])
    if kind.uploads or fields.get("content-type", "").lower() not in _JSON:
        return None
    host, authorization = fields.get("host", ""), fields.get("authorization", "")
    return _Plain(head.target, kind, host, authorization, fields.get("x-request-id", ""))
