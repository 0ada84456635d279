"""Causes a fault repeatedly while tasks run, and follows every accepted task to its end."""

import itertools
import statistics
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from ledger import attempts, overlapping

from benchmarks.faults.sides import Side, Submission

#: Seconds to wait for the tasks of one fault before the next one is caused.
TIMEOUT = 40.0

#: Seconds to wait at the end. Tasks that have not ended then count as lost.
LAST_TIMEOUT = 150.0


@dataclass
class Counts:
    """Counts of one scenario on one side. `recovery`: seconds from a fault to the end of all tasks accepted before."""

    caused: int = 0
    accepted: int = 0
    lost: int = 0
    twice: int = 0
    overlapping: int = 0
    recovery: list[float] = field(default_factory=list)
    status_codes: Counter[int] = field(default_factory=Counter)
    #: How the accepted tasks ended: `succeeded`, `canceled`, or the name of the problem.
    ends: Counter[str] = field(default_factory=Counter)

    @property
    def median(self) -> float:
        """The median time to recovery."""
        return statistics.median(self.recovery) if self.recovery else 0.0

    @property
    def worst(self) -> float:
        """The longest time to recovery."""
        return max(self.recovery, default=0.0)


Progress = Callable[[int, Counts], None]
Part = Callable[[Side, int, Progress], Counts]


def beating(seconds: float) -> list[Submission]:
    """Eight tasks that write to the ledger while they run."""
    return [Submission("beating", {"seconds": seconds})] * 8


def repeat(
    side: Side,
    times: int,
    fault: Callable[[], None],
    progress: Progress,
    *,
    submissions: Sequence[Submission],
    pause: float = 0,
) -> Counts:
    """Cause a fault repeatedly while these tasks run and wait, and wait until all have ended."""
    counts, late = Counts(), False
    for number in range(times):
        accepted = side.submitted(submissions)
        time.sleep(pause + 0.02 * (number % 10))  # another instant each time
        # Do not wait the full time again for a task that an earlier fault lost.
        late = not _cause(side, counts, fault, accepted, TIMEOUT / 4 if late else TIMEOUT) or late
        progress(number + 1, counts)
    return _close(side, counts)


def under_load(
    side: Side,
    times: int,
    fault: Callable[[], None],
    progress: Progress,
    *,
    submissions: Iterable[Submission],
    pause: float,
    every: float = 0.05,
) -> Counts:
    """Cause a fault while clients submit continuously, each one task in `every` seconds."""
    counts, stop, endless = Counts(), threading.Event(), itertools.cycle(submissions)

    def client() -> None:
        while not stop.is_set():
            side.submit_once(next(endless))
            time.sleep(every)

    clients = [threading.Thread(target=client) for _ in range(3)]
    for each in clients:
        each.start()
    for number in range(times):
        time.sleep(pause)
        _cause(side, counts, fault, side.accepted[-50:], TIMEOUT)
        progress(number + 1, counts)
    stop.set()
    for each in clients:
        each.join()
    return _close(side, counts)


def _cause(side: Side, counts: Counts, fault: Callable[[], None], before: list[str], seconds: float) -> bool:
    """Cause a fault, and wait for the tasks that were accepted before it. Return whether all ended in time."""
    began = time.monotonic()
    fault()
    counts.caused += 1
    side.replace_dead()
    unfinished = side.unfinished_after(before, seconds)
    if not unfinished:
        counts.recovery.append(time.monotonic() - began)
    counts.accepted = len(side.accepted)
    return not unfinished


def _close(side: Side, counts: Counts) -> Counts:
    counts.accepted = len(side.accepted)
    counts.lost = len(side.unfinished_after(side.accepted, LAST_TIMEOUT))
    same_time = set(overlapping(side))
    counts.overlapping = len(same_time)
    counts.twice = sum(len(each) > 1 for task_id, each in attempts(side).items() if task_id not in same_time)
    counts.ends, counts.status_codes = Counter(side.ends.values()), side.status_codes
    return counts
