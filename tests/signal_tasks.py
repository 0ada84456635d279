"""Tasks, and receivers of Celery's signals that record them."""

import json
import os
import time
from typing import Any

import redis
from celery import signals

from server import Context, task

_heard = redis.Redis.from_url(os.environ["REDIS_URL"]) if "REDIS_URL" in os.environ else None


def hear(name: str, **details: Any) -> None:
    """Add a line to the list `heard`."""
    if _heard is not None:
        _heard.rpush("heard", json.dumps({"signal": name, "pid": os.getpid(), **details}))


@signals.before_task_publish.connect
def before(sender: str, headers: dict[str, Any], properties: dict[str, Any], routing_key: str, **_: Any) -> None:
    """Note whether the record exists already."""
    assert _heard is not None
    stored = bool(_heard.exists(f"coatcheck:t:{headers['id']}"))
    more = {"priority": properties["priority"], "queue": routing_key, "stored": stored}
    hear("before_task_publish", id=headers["id"], task=sender, eta=headers["eta"], **more)


@signals.after_task_publish.connect
def after(sender: str, headers: dict[str, Any], **_: Any) -> None:
    """Note it."""
    hear("after_task_publish", id=headers["id"], task=sender)


@signals.task_retry.connect
def retried(sender: Any, request: Any, reason: Any, **_: Any) -> None:
    """Note the reason."""
    hear("task_retry", id=request.id, task=sender.name, reason=repr(reason.exc), when=reason.when)


@signals.task_revoked.connect
def revoked(sender: Any, request: Any, terminated: bool, expired: bool, **_: Any) -> None:
    """Note whether its child was killed, and whether its time was over."""
    hear("task_revoked", id=request.id, task=sender.name, terminated=terminated, expired=expired)


@task(retries=1, retry_on=(OSError,), retry_backoff=0.1)
def second_time_lucky(ctx: Context) -> int:
    """Fail once."""
    if ctx.retries == 0:
        raise OSError("the first time")
    return ctx.retries


@task()
def stops_on_cancel(ctx: Context) -> None:
    """Stop when it is asked to."""
    for _ in range(3000):
        ctx.progress(1, 2)
        time.sleep(0.01)


@task()
def ignores_cancel() -> None:
    """Do not notice that it is asked to stop."""
    time.sleep(60)
