"""Two days of tasks, written by the store's own scripts with a clock that the demo sets.

Only Redis's clock is replaced: each script asks a key for the time instead of `TIME`. So the records, indexes and
statistics are those that a server would have made.
"""

import json
import math
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from unittest import mock

import redis

from server.services.submit import store_and_publish
from server.store import Store, ids
from server.store.record import NewTask, Status
from server.store.submit import SubmitRequest

_DAY = 86_400
_CLOCK = "demo:clock"

#: Names, with their weights.
Weighted = tuple[tuple[float, str], ...]


@dataclass(frozen=True)
class Sort:
    """A sort of task: its owner, its input, its duration in seconds, and how it fails."""

    task: str
    owner: str
    weight: float
    input_of: Callable[[random.Random], dict[str, Any]]
    seconds: float
    failures: float = 0.01
    detail: str = "The input does not fit."
    tags: Weighted = ()


_STREETS = ("Torstraße 81, 10119 Berlin", "Am Kaiserkai 10, 20457 Hamburg", "Landstraße 4, 4020 Linz")


def _stock(dice: random.Random) -> dict[str, Any]:
    return {"sku": f"SKU-{dice.randrange(70_000, 90_000)}", "pieces": dice.randrange(300)}


def _address(dice: random.Random) -> dict[str, Any]:
    return {"address": dice.choice(_STREETS)}


def _invoice(dice: random.Random) -> dict[str, Any]:
    return {"invoice": f"INV-{dice.randrange(20_000, 21_000)}", "amount": dice.randrange(500, 40_000) / 100}


def _customer(dice: random.Random) -> dict[str, Any]:
    return {"customer": dice.randrange(500_000, 600_000)}


def _pages(dice: random.Random) -> dict[str, Any]:
    return {"shop": dice.choice(["de", "at", "ch"]), "pages": dice.randrange(20, 97)}


def _report(dice: random.Random) -> dict[str, Any]:
    return {"quarter": "2026 Q3", "region": dice.choice(["north", "south"])}


_REFUSED = "examples.demo.tasks.GatewayError: the payment gateway refused the connection"
_SLOW = "examples.demo.tasks.CrmTimeout: the CRM did not answer within 10 s"

SORTS = (
    Sort("update_stock", "warehouse", 40, _stock, 0.009),
    Sort("geocode", "crm", 18, _address, 0.14),
    Sort("charge_invoice", "billing", 14, _invoice, 0.024, 0.02, _REFUSED, ((3, "web"), (1, "black-friday"))),
    Sort("sync_customer", "crm", 12, _customer, 0.4, 0.05, _SLOW),
    Sort("import_orders", "shop", 3, _pages, 38.0, 0.04, "KeyError: 'vat_id'"),
    Sort("render_report", "ops", 1, _report, 4.2),
)


class PastStore(Store):
    """A store whose scripts use the demo's clock."""

    @cached_property
    def redis(self) -> "redis.Redis":
        """The client, which changes each script before it is registered."""
        client = super().redis
        register = client.register_script

        def changed(text: str) -> Any:
            return register(text.replace("redis.call('TIME')", f"cjson.decode(redis.call('GET', '{_CLOCK}'))"))

        client.register_script = changed  # type: ignore[method-assign, assignment]
        return client

    def set_clock(self, moment: float) -> None:
        """Set the time in seconds since 1970."""
        seconds = int(moment)
        self.redis.set(_CLOCK, json.dumps([seconds, int((moment - seconds) * 1_000_000)]))


def write_history(store: PastStore, count: int, queue_of: Callable[[str], str]) -> None:
    """Submit, run and end `count` tasks of the last two days."""
    dice = random.Random(18)
    # A submit has a deadline by the clock, which jumps here.
    with mock.patch.object(store.submits, "_deadline_ms", lambda: 2**53):
        for moment in _arrivals(dice, count):
            sort = dice.choices(SORTS, [each.weight for each in SORTS])[0]
            _live(store, dice, sort, moment, queue_of(sort.task))
    store.redis.delete(_CLOCK)
    # No worker has fetched the messages of these tasks.
    queues = {queue_of(sort.task) for sort in SORTS}
    lists = [key for queue in queues for key in store.redis.scan_iter(f"{queue}*") if store.redis.type(key) == b"list"]
    store.redis.delete(*lists)


def _arrivals(dice: random.Random, count: int) -> Iterator[float]:
    """Times in order: more by day than by night, and a rush in the last hour."""
    now = time.time() - 5
    moments = []
    while len(moments) < count:
        ago = dice.uniform(0, 2 * _DAY)
        by_day = 0.55 - 0.45 * math.cos(2 * math.pi * ((now - ago) % _DAY) / _DAY)
        if dice.random() < by_day or ago < 3600:
            moments.append(now - ago)
    moments += [now - dice.uniform(0, 3600) for _ in range(count // 5)]
    return iter(sorted(moments))


def _live(store: PastStore, dice: random.Random, sort: Sort, moment: float, queue: str) -> None:
    """One task from its submit to its end."""
    task_id = ids.new(sort.owner, store.secret, int(moment * 1e9))
    tags = (dice.choices([name for _, name in sort.tags], [w for w, _ in sort.tags])[0],) if sort.tags else ()
    new = NewTask(task_id, sort.owner, sort.task, json.dumps(sort.input_of(dice)).encode(), queue, tags=tags)
    store.set_clock(moment)
    store_and_publish(store, SubmitRequest(sort.owner, [new]))
    if dice.random() < 0.01:
        store.set_clock(moment + 2)
        store.tasks.cancel(task_id)
        return
    started = moment + dice.expovariate(1 / _mean_wait(moment))
    store.set_clock(started)
    token = f"demo-worker/{task_id}"
    store.tasks.claim(task_id, token)
    store.tasks.progress(task_id, token, None, f"{sort.task} started")
    store.set_clock(started + sort.seconds * dice.lognormvariate(0, 0.4))
    if dice.random() < _share(sort, moment):
        error = {"type": "/problems/task-error", "title": "The task's function raised an error", "detail": sort.detail}
        store.tasks.finish(task_id, token, Status.FAILED, e=json.dumps(error), fl=_report(sort))
    else:
        store.tasks.finish(task_id, token, Status.SUCCEEDED, r=b"null")


def _report(sort: Sort) -> str:
    """Why it failed, as the worker writes it (see `server.services.failures`)."""
    exception, _, message = sort.detail.partition(": ")
    if not message:
        exception, message = "ValueError", sort.detail
    line, code = _raising(sort.task, exception.rpartition(".")[2])
    frame = f'  File "examples/demo/tasks.py", line {line}, in {sort.task}\n    {code}'
    text = f"Traceback (most recent call last):\n{frame}\n{exception}: {message}"
    return json.dumps(
        {
            "exception": exception,
            "message": message,
            "traceback": text,
            "place": f"demo/tasks.py:{line}",
            "worker": "celery@web-7f2c",
        }
    )


def _raising(name: str, exception: str) -> tuple[int, str]:
    """The line of a task that raises this exception, so that past failures are grouped with those to come."""
    lines = Path(__file__).with_name("tasks.py").read_text().splitlines()
    begin = next(at for at, line in enumerate(lines) if line.startswith(f"def {name}("))
    at = next((at for at in range(begin, len(lines)) if f"raise {exception}(" in lines[at]), begin + 2)
    return at + 1, lines[at].strip()


def _mean_wait(moment: float) -> float:
    """The mean wait in seconds: it has grown for 40 minutes, because more is submitted than the workers end."""
    return 0.2 + 6 * max(0.0, 1 - (time.time() - moment) / 2400)


def _share(sort: Sort, moment: float) -> float:
    """The share of failures; the payment gateway has been down for half an hour."""
    return 0.4 if sort.task == "charge_invoice" and time.time() - moment < 1800 else sort.failures
