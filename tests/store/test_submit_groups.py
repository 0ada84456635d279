"""Small submits are stored in groups, without a network: the test makes the loop's and the threads' calls itself."""

from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, cast

import pytest

from server.store import Store
from server.store.api_keys import Role
from server.store.stats import CounterBuffer
from server.web.addresses import Locator
from server.web.gunicorn_worker.http1.head import parse
from server.web.gunicorn_worker.polls import Polls
from server.web.gunicorn_worker.submits import PlainSubmit, SubmitGroups

HEAD = "POST /tasks/divide HTTP/1.1\r\nHost: shop\r\nContent-Type: application/json\r\nAuthorization: Bearer {}\r\n\r\n"


class Client:
    """A connection, as far as a group knows one. A broken one raises an error when it is answered."""

    client = "127.0.0.1"

    def __init__(self, *, broken: bool = False) -> None:
        self.statuses: list[int | None] = []
        self._broken = broken

    def reply(self, submit: PlainSubmit) -> None:
        """Note the status; None if the application must answer."""
        if self._broken:
            raise RuntimeError("broken")
        self.statuses.append(submit.reply and submit.reply.status)


class Groups:
    """The groups of one process, whose calls wait until `turn` makes them."""

    def __init__(self, store: Store) -> None:
        self._calls: deque[Callable[[], object]] = deque()
        self._store = store
        requests = CounterBuffer(lambda: store.counters, store.keys.http_requests)
        polls = Polls(
            cast(Any, None), store.api_keys, store.settings, self._calls.append, Locator(store.settings, ()), "http"
        )
        self.submits = SubmitGroups(store, polls, self._post, self._calls.append, self._calls.append, requests)
        key = store.api_keys.create("alice", Role.SUBMIT)
        assert store.api_keys.find(key)  # the process knows it from now on
        self._head = parse(HEAD.format(key).encode())

    def _post(self, call: Callable[..., None], *args: Any) -> None:
        self._calls.append(partial(call, *args))

    def send(self, client: Client, body: bytes = b'{"x": 1, "y": 2}') -> None:
        """Submit a task from a client."""
        assert self.submits.add(cast(Any, client), self._head, body) is not None

    def turn(self) -> None:
        """Make the next call, of the loop or of a thread."""
        call = self._calls.popleft()
        call()

    def finish(self) -> None:
        """Make all pending calls, and those that they cause."""
        while self._calls:
            self.turn()

    def script_calls(self) -> int:
        """The calls of the script that stores: each counts queued and throttled tasks once."""
        stats: Any = self._store.redis.info("commandstats")
        return int(stats.get("cmdstat_zcard", {"calls": 0})["calls"]) // 2


@pytest.fixture
def groups(store: Store) -> Groups:
    """Groups on an empty store."""
    store.redis.config_resetstat()
    return Groups(store)


def test_submits_that_arrive_in_one_turn_of_the_loop_share_a_script_call(groups: Groups) -> None:
    clients = [Client() for _ in range(5)]
    for client in clients:
        groups.send(client)
    groups.finish()

    assert [client.statuses for client in clients] == [[202]] * 5
    assert groups.script_calls() == 1


def test_submits_that_arrive_during_a_script_call_share_the_next_one(groups: Groups) -> None:
    first, later = Client(), [Client() for _ in range(4)]
    groups.send(first)
    groups.turn()  # the thread has its group
    for client in later:
        groups.send(client)
    groups.finish()

    assert [client.statuses for client in (first, *later)] == [[202]] * 5
    assert groups.script_calls() == 2


def test_an_invalid_submit_goes_to_the_application_and_the_others_of_its_group_are_stored(groups: Groups) -> None:
    wrong, right = Client(), Client()
    groups.send(wrong, b'{"x": "one"}')
    groups.send(right)
    groups.finish()

    assert (wrong.statuses, right.statuses) == ([None], [202])


def test_an_error_in_one_response_does_not_block_later_submits(groups: Groups) -> None:
    groups.send(Client(broken=True))
    with pytest.raises(RuntimeError, match="broken"):
        groups.finish()
    after = Client()
    groups.send(after)
    groups.finish()

    assert after.statuses == [202]
