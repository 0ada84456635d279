"""Requests that the loop answers itself, because they never wait: polls of cached tasks, and liveness checks.

All other requests go to the application: keys that are not in memory, sessions, other origins, conditions that are not
exactly one tag, queries, every error. Both paths build their answers with the functions of
`server.web.responses`.
"""

import contextlib
import re
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from server.settings import Settings
from server.store.api_keys import LOCAL, ApiKeys, Caller, Role, fingerprint
from server.store.connection import UNREACHABLE
from server.store.record import Status
from server.store.stats import CounterBuffer
from server.web import responses
from server.web.addresses import Forwarded, Locator, RequestAddress
from server.web.gunicorn_worker.http1.head import Head
from server.web.gunicorn_worker.status_cache import Entry, Offer, StatusCache
from server.web.middleware import is_local, log_request, request_id_of
from server.web.reply import Reply

#: The end of a target, which may begin with a prefix.
_PLAIN = re.compile(r".*?(/health/live|/tasks/([0-9a-f-]{36})(/result)?)")

#: Seconds before the keys expire from memory: a thread starts to reload them, and the loop stops using them.
_REFRESH_BEFORE, _MARGIN = 1.0, 0.05

#: Header fields that could change the answer, of a poll or of a submit.
_NOT_PLAIN = frozenset({"origin", "cookie", "prefer", "content-encoding", "range", "cancel-after", "idempotency-key"})


class Arrival:
    """A plain request as it arrived: its path, its header fields, and the address in the header fields of a proxy."""

    __slots__ = (
        "_address",
        "_client",
        "_forwarded",
        "_target",
        "authorization",
        "fields",
        "host",
        "path",
        "request_id",
    )

    def __init__(self, target: str, path: str, fields: Mapping[str, str]) -> None:
        self.path = path
        self.fields = fields
        self.host = fields.get("host", "")
        self.authorization = fields.get("authorization", "")
        self.request_id = fields.get("x-request-id", "")
        self._target = target
        self._forwarded = Forwarded(*(fields.get(f"x-forwarded-{name}", "") for name in Forwarded._fields))
        self._client = ""
        self._address: RequestAddress | None = None

    def address(self, locator: Locator, scheme: str, client: str) -> RequestAddress:
        """Return the address that the client used. Heads are cached, and so is the last address of each."""
        if self._address is None or self._client != client:
            arrived = RequestAddress(scheme, self.host, "", self._target)
            self._client, self._address = client, locator.locate(arrived, client, self._forwarded)
        return self._address


@dataclass(slots=True, eq=False)
class Plain:
    """The parts of a plain request that determine its answer."""

    arrival: Arrival
    #: The method and route, as in the metrics.
    route: str
    task_id: str
    result: bool
    etag: str


class Polls:
    """Answers plain requests from memory."""

    def __init__(
        self,
        cache: StatusCache,
        keys: ApiKeys,
        settings: Settings,
        submit: Callable[[Callable[[], None]], None],
        locator: Locator,
        scheme: str,
    ) -> None:
        self._cache = cache
        self._keys = keys
        self._settings = settings
        #: Runs a function in a thread.
        self._submit = submit
        self._refreshing = False
        self._locator = locator
        self._scheme = scheme
        #: Answers by route and status, which only the loop counts: no lock, and no text to build.
        self._answered: defaultdict[tuple[str, int], int] = defaultdict(int)

    def answer(self, head: Head, client: str) -> Reply | None:
        """Return the answer, or None if the application must answer; `client` is the address that it came from."""
        if head.derived is None:
            head.derived = _plain(head) or False
        plain = head.derived
        if not plain:
            return None
        began = time.perf_counter()
        if (address := self.address(plain.arrival, client)) is None:
            return None
        reply = self._live(plain) if not plain.task_id else self._poll(plain, address)
        if reply is None:
            return None
        request_id = request_id_of(plain.arrival.request_id)
        reply.fields.update(responses.common_fields(request_id))
        self._answered[plain.route, reply.status] += 1
        log_request(head.method, plain.arrival.path, reply.status, began, request_id, plain.task_id)
        return reply

    def report(self, request_counts: CounterBuffer) -> None:
        """Add the answers since the last call to the counts of the process."""
        for (route, status), number in self._answered.items():
            request_counts.add(f"{route}:{status // 100}", number)
        self._answered.clear()

    def address(self, arrival: Arrival, client: str) -> RequestAddress | None:
        """Return the address that the client used, or None if its path is another one, because of a prefix."""
        address = arrival.address(self._locator, self._scheme, client)
        return address if address.path == arrival.path else None

    def offer(self, head: Head) -> Offer | None:
        """Return the instructions for caching the record that the application reads for this request."""
        plain = head.derived
        return self._cache.offer(plain.task_id) if isinstance(plain, Plain) and plain.task_id else None

    def _live(self, plain: Plain) -> Reply:
        text, etag = responses.encoded(responses.LIVE)
        return responses.reply(text, etag, matches=plain.etag == etag)

    def _poll(self, plain: Plain, address: RequestAddress) -> Reply | None:
        entry = self._cache.get(plain.task_id)
        if entry is None or (caller := self.caller(plain.arrival, address)) is None:
            return None
        record = entry.record
        assert record is not None
        if record.owner != caller.owner and not caller.is_admin:
            return None
        return (self._result if plain.result else self._status)(plain, entry, address.prefix)

    def caller(self, arrival: Arrival, address: RequestAddress) -> Caller | None:
        """Return the caller of a plain request, or None if the application must authenticate it."""
        if not self._keys_are_current():
            return None
        keys = self._keys
        if arrival.authorization:
            scheme, _, key = arrival.authorization.partition(" ")
            caller = keys.cached(fingerprint(key.strip())) if scheme.lower() == "bearer" else None
            is_plain = caller is not None and caller.role is not Role.METRICS and not caller.rate_limit
            return caller if is_plain else None
        is_here = all(is_local(self._settings, host) for host in (arrival.host, address.host))
        return LOCAL if is_here and not keys.any() else None

    def _keys_are_current(self) -> bool:
        """Return whether the keys in memory are current; a thread reloads them before they expire."""
        seconds = self._keys.in_memory_for()
        if 0 < seconds < _REFRESH_BEFORE and not self._refreshing:
            self._refreshing = True
            self._submit(self._refresh)
        return seconds > _MARGIN

    def _refresh(self) -> None:
        try:
            with contextlib.suppress(*UNREACHABLE):
                self._keys.refresh()
        finally:
            self._refreshing = False

    def _status(self, plain: Plain, entry: Entry, prefix: str, status: int = 200) -> Reply:
        record = entry.record
        assert record is not None
        fields = responses.retry_after_field(record, entry.to_start, self._cache.clock)
        text, etag = entry.encoded(prefix)
        return responses.reply(text, etag, status, fields, matches=plain.etag == etag)

    def _result(self, plain: Plain, entry: Entry, prefix: str) -> Reply | None:
        record = entry.record
        assert record is not None
        if not record.status.done:
            return self._status(plain, entry, prefix, 202)
        if record.status is not Status.SUCCEEDED or record.result is None:
            return None
        text, etag = responses.encoded(responses.envelope(record, prefix))
        return responses.reply(text, etag, fields={"Vary": "Accept"}, matches=plain.etag == etag)


def read_arrival(head: Head, path: str) -> Arrival | None:
    """Read the header fields of a request for this path. Return None if they make it more than a plain one."""
    fields: dict[str, str] = {}
    for name, value in head.fields:
        key = name.lower()
        if key in fields or key in _NOT_PLAIN or "_" in key:
            return None
        fields[key] = value
    return Arrival(head.target, path, fields)


def _plain(head: Head) -> Plain | None:
    """Decide from the head alone whether a request is plain."""
    match = _PLAIN.fullmatch(head.target)
    if head.method != "GET" or head.has_body or match is None:
        return None
    path, task_id, result = match.groups()
    arrival = read_arrival(head, path)
    if arrival is None or arrival.fields.get("accept", "*/*") != "*/*":
        return None
    etag = arrival.fields.get("if-none-match", "")
    if etag and not re.fullmatch(r'"[0-9a-f]+"', etag):
        return None
    route = path if not task_id else f"/tasks/{{task_id}}{result or ''}"
    return Plain(arrival, f"GET {route}", task_id or "", result is not None, etag)
