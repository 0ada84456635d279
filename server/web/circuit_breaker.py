"""A circuit breaker for the store: while it does not answer, queued requests do not wait for it one after the other."""

import time

from server.store.errors import StoreUnavailable
from server.web.current import cached

#: Duration in seconds of a failed request that opens the circuit, and for how long it stays open.
_SLOW, _PERIOD = 0.4, 0.3


class CircuitBreaker:
    """The time until which requests are refused without asking the store."""

    def __init__(self) -> None:
        self._until = 0.0

    def record_failure(self, began: float) -> None:
        """Note that a request failed because of the store; `began` is a value of `time.perf_counter()`."""
        now = time.perf_counter()
        if now - began > _SLOW:
            self._until = now + _PERIOD

    def check(self) -> None:
        """Refuse a request that would only wait: the store has just failed to answer another one."""
        if time.perf_counter() < self._until:
            raise StoreUnavailable("The store cannot be reached.")


def circuit_breaker() -> CircuitBreaker:
    return cached("coatcheck.circuit_breaker", CircuitBreaker)
