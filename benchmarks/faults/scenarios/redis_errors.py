"""Redis answers "not now": each of its errors in turn, for some seconds, while tasks run."""

import itertools
import time

from outages import OUTAGES

from benchmarks.faults.fault_runs import Counts, Progress, beating, repeat
from benchmarks.faults.scenarios.scenario import Scenario
from benchmarks.faults.sides import Side, Submission

#: Seconds of one outage.
SECONDS = 3.0


def _part(side: Side, times: int, progress: Progress) -> Counts:
    outages = itertools.cycle(OUTAGES.values())

    def fault() -> None:
        with next(outages)(side):
            time.sleep(SECONDS)
            side.submit_once(Submission("beating", {"seconds": 0.1}))

    return repeat(side, times, fault, progress, submissions=beating(1), pause=0.5)


REDIS_ERRORS = Scenario(f"Redis answers {', '.join(OUTAGES)} in turn, for {SECONDS:.0f} s", _part, 70, 7, plain=True)
