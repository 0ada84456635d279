"""Reads the ledger of the sample tasks: the process that started each task, and how long it lived."""

from collections import defaultdict
from dataclasses import dataclass

from harness import Service

#: As in `sample_tasks`, whose import would register them in the test's own process.
LEDGER = "test:ledger"


@dataclass
class Attempt:
    """One start of a task's function; `last` is the newest line of that process about it."""

    pid: int
    start: float
    last: float
    ended: bool = False


def attempts(service: Service) -> dict[str, list[Attempt]]:
    """The attempts of each task, in order of start."""
    by_task: dict[str, list[Attempt]] = defaultdict(list)
    for line in service.redis.client.lrange(LEDGER, 0, -1):
        task_id, word, at, pid = line.decode().split()
        if word == "start":
            by_task[task_id].append(Attempt(int(pid), float(at), float(at)))
        else:
            attempt = next(attempt for attempt in reversed(by_task[task_id]) if attempt.pid == int(pid))
            attempt.last = float(at)
            attempt.ended = word == "end"
    return by_task


def starts(service: Service, task_id: str) -> int:
    """The number of starts of the task's function."""
    return len(attempts(service).get(task_id, []))


def overlapping(service: Service) -> list[str]:
    """Tasks with two attempts that ran at the same time."""
    return [
        task_id
        for task_id, each in attempts(service).items()
        if any(later.start < earlier.last for i, earlier in enumerate(each) for later in each[i + 1 :])
    ]
