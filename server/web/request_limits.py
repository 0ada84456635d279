"""Limits of requests: those of a key, and wrong API keys by address.

A key of 256 random bits cannot be guessed. An address must wait because a client with a revoked key would otherwise
ask as often as it can. Valid keys are checked first, so that others behind the same proxy are served.
"""

import math
import threading
import time
from collections.abc import Mapping

from server.store.api_keys import RATE_PERIOD, Caller
from server.web.current import cached, store
from server.web.errors import Problem, rate_limit

ALLOWED, PERIOD = 20, 60.0  # wrong keys that an address may send to a process, and the seconds of that limit

_MAX_ADDRESSES = 10_000  # addresses that a process remembers, the newest ones


class WrongKeys:
    """When each address sent its first wrong key of the current period, and how many since."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[str, tuple[float, int]] = {}

    def count(self, address: str) -> int:
        """Count a wrong key. Return the seconds that the address should wait, or 0."""
        now = time.monotonic()
        with self._lock:
            began, number = self._counts.pop(address, (now, 0))
            if now - began >= PERIOD:
                began, number = now, 0
            if len(self._counts) >= _MAX_ADDRESSES:
                del self._counts[next(iter(self._counts))]
            self._counts[address] = began, number + 1
        return math.ceil(began + PERIOD - now) if number >= ALLOWED else 0


def wrong_keys() -> WrongKeys:
    return cached("coatcheck.wrong_keys", WrongKeys)


def count_request(caller: Caller) -> Mapping[str, str]:
    """Count a request of a key over all processes, and refuse one too many. Return the fields of its answer."""
    limit = caller.rate_limit or 0
    count, seconds = store().api_keys.count_request(caller)
    fields = rate_limit(limit, count, "key", window=RATE_PERIOD, reset=seconds)
    if count > limit:
        raise Problem("too-many-requests", headers={"Retry-After": str(seconds), **fields})
    return fields


def wait_fields(seconds: int) -> Mapping[str, str]:
    """Build the fields of an answer that tells an address with wrong keys to wait."""
    limit = rate_limit(ALLOWED, ALLOWED, "wrong-keys", window=int(PERIOD), reset=seconds)
    return {"Retry-After": str(seconds), **limit}
