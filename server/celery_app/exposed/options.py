"""The options of a Celery task as those of a task type. Options without an equivalent are logged at the start."""

import re
from collections.abc import Iterator

from celery import Task

from server.celery_app.message import priority_of
from server.sdk.definition import TimeLimits
from server.store.leases import Throttle

_SOFT, _HARD = 300.0, 330.0  # default time limits in seconds, as those of `@task`, for a Celery task without limits

_RATE = re.compile(r"([0-9.]+)(?:/([smh]))?")
_PER_MINUTE = {"s": 60.0, "m": 1.0, "h": 1 / 60}


def limits_of(task: Task) -> TimeLimits:
    """Return both limits of a task, also of one that has only one of them."""
    soft = float(task.soft_time_limit or task.app.conf.task_soft_time_limit or _SOFT)
    hard = float(task.time_limit or task.app.conf.task_time_limit or max(_HARD, soft * 1.1))
    return TimeLimits(soft if soft < hard else hard * 0.9, hard)


def throttle_of(task: Task) -> Throttle:
    """Return the rate limit: over all workers, where stock Celery has it for each worker."""
    return Throttle(per_minute=max(1, round(rate))) if (rate := _rate(task)) else Throttle()


def _rate(task: Task) -> float:
    """Return how many may start in a minute; 0 means no limit."""
    match = _RATE.fullmatch(str(task.rate_limit or ""))
    return float(match[1]) * _PER_MINUTE[match[2] or "s"] if match else 0.0


def priority_name(task: Task, number: int | None) -> str:
    """Return our priority for Celery's number: 0 is the highest on Redis, and the lowest on RabbitMQ."""
    if number is None:
        return "normal"
    on_redis = str(task.app.conf.broker_url or "").startswith(("redis", "sentinel"))
    return priority_of(number if on_redis else 9 - number)


def not_kept(task: Task) -> Iterator[str]:
    """Yield a sentence for each option that has no equivalent."""
    rate = _rate(task)
    if rate and rate != max(1, round(rate)):
        yield f"rate_limit {task.rate_limit} is kept as {max(1, round(rate))} a minute."
    if task.expires is not None:
        yield "expires is not kept: use the option start_within of a submit."
    if task.serializer not in (None, "json"):
        yield f"serializer {task.serializer} is not kept: arguments and results are JSON."
    for name in ("exchange", "routing_key"):
        if getattr(task, name, None):
            yield f"{name} is not kept: name a queue."
