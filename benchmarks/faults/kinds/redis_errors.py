"""Redis answers "not now": each of its errors in turn, for some seconds, while tasks run."""

import itertools
import time

from outages import OUTAGES

from benchmarks.faults.kinds.kind import Kind
from benchmarks.faults.sides import Offer, Side
from benchmarks.faults.tally import Progress, Tally, beating, repeat

#: Seconds of one outage.
SECONDS = 3.0


def _part(side: Side, times: int, progress: Progress) -> Tally:
    outages = itertools.cycle(OUTAGES.values())

    def fault() -> None:
        with next(outages)(side):
            time.sleep(SECONDS)
            side.offer(Offer("beating", {"seconds": 0.1}))

    return repeat(side, times, fault, progress, offers=beating(1), pause=0.5)


REDIS_ERRORS = Kind(f"Redis answers {', '.join(OUTAGES)} in turn, for {SECONDS:.0f} s", _part, 70, 7, plain=True)
