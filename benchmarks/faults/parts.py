"""The faults. Each part causes one repeatedly while tasks run, and follows every accepted task to its end."""

import contextlib
import os
import statistics
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from signal import SIGKILL

from ledger import LEDGER, overlapping, runs

from benchmarks.faults.sides import Side

#: Seconds to wait for the tasks of one fault before the next one is caused.
TIMEOUT = 40.0

#: Seconds to wait at the end of a part. Tasks that have not ended then count as lost.
LAST_TIMEOUT = 150.0


@dataclass
class Tally:
    """Counts of one part on one side. `recovery`: seconds from a fault to the end of all tasks accepted before."""

    caused: int = 0
    accepted: int = 0
    lost: int = 0
    twice: int = 0
    overlapping: int = 0
    recovery: list[float] = field(default_factory=list)
    answers: Counter[int] = field(default_factory=Counter)

    @property
    def median(self) -> float:
        """The median time to recovery."""
        return statistics.median(self.recovery) if self.recovery else 0.0

    @property
    def worst(self) -> float:
        """The longest time to recovery."""
        return max(self.recovery, default=0.0)


Progress = Callable[[int, Tally], None]
Part = Callable[[Side, int, Progress], Tally]


def _repeat(side: Side, times: int, fault: Callable[[], None], progress: Progress, *, seconds: float) -> Tally:
    """Cause a fault repeatedly while tasks run and wait, and wait until all have ended."""
    tally, left = Tally(), list[str]()
    for number in range(times):
        accepted = side.submitted(8, seconds)
        tally.accepted += len(accepted)
        time.sleep(0.02 * (number % 10))  # another instant each time
        began = time.monotonic()
        fault()
        tally.caused += 1
        side.bury()
        # Do not wait the full time again for a task that an earlier fault lost.
        unfinished = side.unfinished_after(accepted, TIMEOUT if not left else TIMEOUT / 4)
        left += unfinished
        if not unfinished:
            tally.recovery.append(time.monotonic() - began)
        progress(number + 1, tally)
    return _close(side, tally, left)


def _close(side: Side, tally: Tally, left: list[str]) -> Tally:
    tally.lost = len(side.unfinished_after(left, LAST_TIMEOUT))
    same_time = set(overlapping(side))
    tally.overlapping = len(same_time)
    tally.twice = sum(len(each) > 1 for task_id, each in runs(side).items() if task_id not in same_time)
    side.redis.client.delete(LEDGER)
    return tally


def worker_main(side: Side, times: int, progress: Progress) -> Tally:
    """`kill -9` of a busy worker's main process; another worker runs, and the killed one is restarted."""

    def fault() -> None:
        side.workers[0].kill_main()

    return _repeat(side, times, fault, progress, seconds=0.2)


def pool_child(side: Side, times: int, progress: Progress) -> Tally:
    """`kill -9` of a busy child of a worker's pool."""

    def fault() -> None:
        side.workers[0].kill_one_child()

    return _repeat(side, times, fault, progress, seconds=0.2)


def redis(side: Side, times: int, progress: Progress) -> Tally:
    """`kill -9` of Redis, and a restart from its append-only file."""

    def fault() -> None:
        side.redis.process.kill()
        time.sleep(0.3)
        side.redis.start()

    return _repeat(side, times, fault, progress, seconds=0.5)


def _under_load(side: Side, times: int, fault: Callable[[], None], progress: Progress, pause: float) -> Tally:
    """Cause a fault while clients submit continuously."""
    tally, accepted, stop = Tally(), list[str](), threading.Event()

    def client() -> None:
        while not stop.is_set():
            status, task_id = side.offer("beating", {"seconds": 0.01})
            tally.answers[status] += 1
            accepted.extend([task_id] if task_id else [])
            time.sleep(0.05)

    clients = [threading.Thread(target=client) for _ in range(3)]
    for each in clients:
        each.start()
    for number in range(times):
        time.sleep(pause)
        before, began = list(accepted), time.monotonic()
        fault()
        tally.caused += 1
        side.bury()
        if not side.unfinished_after(before[-50:], TIMEOUT):
            tally.recovery.append(time.monotonic() - began)
        progress(number + 1, tally)
    stop.set()
    for each in clients:
        each.join()
    tally.accepted = len(accepted)
    return _close(side, tally, side.unfinished_after(accepted, TIMEOUT))


def web_worker(side: Side, times: int, progress: Progress) -> Tally:
    """`kill -9` of a Gunicorn worker while it accepts submits."""

    def fault() -> None:
        assert side.web is not None
        for pid in side.web.children()[-1:]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, SIGKILL)

    return _under_load(side, times, fault, progress, pause=0.4)


def rolling(side: Side, times: int, progress: Progress) -> Tally:
    """A rolling restart of everything except Redis, with SIGTERM to process groups, while clients submit."""
    return _under_load(side, times, side.roll, progress, pause=1.0)


PARTS: dict[str, Part] = {
    "worker-main": worker_main,
    "pool-child": pool_child,
    "web-worker": web_worker,
    "redis": redis,
    "rolling": rolling,
}
