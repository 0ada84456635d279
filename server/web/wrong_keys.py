"""Wrong API keys by address: after some of them, an address is told to wait.

Nobody finds a key of 256 random bits by trying. The answer is for a client with a revoked key, which would otherwise
ask as often as it can. Right keys are found first, so that others behind the same proxy are served.
"""

import math
import threading
import time
from collections.abc import Mapping

from server.web.current import cached

#: Wrong keys that an address may send to a process in so many seconds.
ALLOWED, PERIOD = 20, 60.0

#: Addresses that a process remembers, the newest ones.
_MAX_ADDRESSES = 10_000


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
    """The wrong keys of the current application."""
    return cached("coatcheck.wrong_keys", WrongKeys)


def fields(seconds: int) -> Mapping[str, str]:
    """The fields of an answer that tells a client to wait (draft-ietf-httpapi-ratelimit-headers)."""
    return {
        "Retry-After": str(seconds),
        "RateLimit-Policy": f'"wrong-keys";q={ALLOWED};w={PERIOD:.0f}',
        "RateLimit": f'"wrong-keys";r=0;t={seconds}',
    }
