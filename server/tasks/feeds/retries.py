"""Answers that mean "not now": how long to wait, and when to stop trying."""

import time
from email.utils import parsedate_to_datetime

from server.sdk.context import Context
from server.sdk.errors import RetryLater, TaskError
from server.sdk.http import Answer

#: Seconds before each further try of a page that fails.
_WAITS = (0.5, 1.0, 2.0, 4.0)

#: A server that limits its clients is waited for this many times a page.
_MAX_LIMITED = 20

#: Seconds: a longer wait is not worth a worker's place, so the task comes back; none is longer than an hour or so.
_LONGEST_IN_PLACE = 60.0
_LONGEST_WAIT = 3700.0

#: A task that was sent away this many times has had its chance.
_MAX_RETURNS = 5

_EPOCH_BEGINS = 1_000_000_000  # a smaller number is seconds from now


class Passing(Exception):
    """Trouble that may be over in a moment; `wait` is how long the server wants to be left alone, in seconds."""

    def __init__(self, sentence: str, wait: float = 0.0, *, limited: bool = False) -> None:
        super().__init__(sentence)
        self.wait = wait
        self.limited = limited


def refused_for_now(answer: Answer) -> Passing | None:
    """The trouble that an answer is: over its rate limit (429, or 403 with nothing remaining), or broken (5xx)."""
    spent = _remaining(answer) == "0"
    if answer.status == 429 or (answer.status == 403 and (spent or "Retry-After" in answer.headers)):
        return Passing(f"The server answered {answer.status}: its rate limit is reached.", _wait(answer), limited=True)
    if answer.status >= 500:
        return Passing(f"The server answered {answer.status}.", _wait(answer))
    return None


def patience_of(ctx: Context, trouble: Passing, tried: int, left: float) -> float:
    """The seconds to wait before the next try.

    Raises:
        RetryLater: the wait is too long for a worker to sit through.
        TaskError: `feed-rate-limited` or `feed-unreachable`: there is no next try.
    """
    kind = "feed-rate-limited" if trouble.limited else "feed-unreachable"
    backoff = _WAITS[min(tried, len(_WAITS) - 1)]
    pause = max(backoff, trouble.wait)
    failure = TaskError(kind, str(trouble))
    if pause > min(_LONGEST_IN_PLACE, left):
        if trouble.limited and pause <= _LONGEST_WAIT and ctx.retries < _MAX_RETURNS:
            raise RetryLater(pause) from TaskError(kind, f"{trouble} The task tries again in {pause:.0f} s.")
        raise failure
    if tried >= (_MAX_LIMITED if trouble.limited else len(_WAITS)):
        raise failure
    return pause


def _remaining(answer: Answer) -> str:
    headers = answer.headers
    return (headers.get("X-RateLimit-Remaining") or headers.get("RateLimit-Remaining") or "").strip()


def _wait(answer: Answer) -> float:
    """Seconds by `Retry-After` (a number or a date), or by the moment at which the limit is lifted."""
    text = answer.headers.get("Retry-After", "").strip()
    if text.isascii() and text.isdecimal():
        return float(text)
    if text:
        try:
            return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
        except (ValueError, OverflowError):
            return 0.0
    reset = (answer.headers.get("X-RateLimit-Reset") or answer.headers.get("RateLimit-Reset") or "").strip()
    if _remaining(answer) != "0" or not (reset.isascii() and reset.isdecimal()):
        return 0.0
    return max(0.0, float(reset) - time.time() + 0.5) if float(reset) > _EPOCH_BEGINS else float(reset)
