"""Temporary failures of a feed's server: how long to wait, and when to give up."""

import time
from email.utils import parsedate_to_datetime

from server.sdk.context import Context
from server.sdk.errors import RetryLater, TaskError
from server.sdk.http import Response

_WAITS = (0.5, 1.0, 2.0, 4.0)  # seconds before each retry of a failed page
_MAX_LIMITED = 20  # maximum waits per page for a server that limits its clients

#: Seconds that a task may wait in its worker. For a longer wait because of a rate limit, it is retried later.
_MAX_BLOCKING_SECONDS = 60.0
#: Maximum number of seconds before such a retry; the task fails if the server asks for more.
_MAX_RETRY_SECONDS = 3700.0
_MAX_LATER_RETRIES = 5  # maximum number of times that a task is retried later because of a rate limit
_MIN_TIMESTAMP = 1_000_000_000  # a smaller number means seconds from now


class TemporaryFailure(Exception):
    """A temporary failure; `wait` is the number of seconds that the server asks for."""

    def __init__(self, sentence: str, wait: float = 0.0, *, limited: bool = False) -> None:
        super().__init__(sentence)
        self.wait = wait
        self.limited = limited


def temporary_failure(response: Response) -> TemporaryFailure | None:
    """Return the failure in a response: a rate limit (429, or 403 with nothing remaining) or a server error (5xx)."""
    spent = _header(response, "Remaining") == "0"
    if response.status == 429 or (response.status == 403 and (spent or "Retry-After" in response.headers)):
        return TemporaryFailure(
            f"The server answered {response.status}: its rate limit is reached.", _wait(response), limited=True
        )
    if response.status >= 500:
        return TemporaryFailure(f"The server answered {response.status}.", _wait(response))
    return None


def retry_delay(ctx: Context, failure: TemporaryFailure, tried: int, left: float) -> float:
    """Return the seconds to wait before the next try.

    Raises:
        RetryLater: the wait is too long to occupy a worker.
        TaskError: `feed-rate-limited` or `feed-unreachable`: there is no next try.
    """
    error_type = "feed-rate-limited" if failure.limited else "feed-unreachable"
    backoff = _WAITS[min(tried, len(_WAITS) - 1)]
    pause = max(backoff, failure.wait)
    error = TaskError(error_type, str(failure))
    if pause > min(_MAX_BLOCKING_SECONDS, left):
        if failure.limited and pause <= _MAX_RETRY_SECONDS and ctx.retries < _MAX_LATER_RETRIES:
            raise RetryLater(pause) from TaskError(error_type, f"{failure} The task tries again in {pause:.0f} s.")
        raise error
    if tried >= (_MAX_LIMITED if failure.limited else len(_WAITS)):
        raise error
    return pause


def _header(response: Response, name: str) -> str:
    headers = response.headers
    return (headers.get(f"X-RateLimit-{name}") or headers.get(f"RateLimit-{name}") or "").strip()


def _wait(response: Response) -> float:
    """Return the seconds from `Retry-After` (a number or a date), or until the limit's reset."""
    text = response.headers.get("Retry-After", "").strip()
    if text.isascii() and text.isdecimal():
        return float(text)
    if text:
        try:
            return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
        except (ValueError, OverflowError):
            return 0.0
    reset = _header(response, "Reset")
    if _header(response, "Remaining") != "0" or not (reset.isascii() and reset.isdecimal()):
        return 0.0
    return max(0.0, float(reset) - time.time() + 0.5) if float(reset) > _MIN_TIMESTAMP else float(reset)
