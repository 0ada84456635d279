"""Web and workers whose clocks are minutes, hours or a day away from Redis's."""

import itertools

from clocks import shifted

from benchmarks.faults.fault_runs import Counts, Progress, beating, repeat
from benchmarks.faults.scenarios.scenario import Scenario
from benchmarks.faults.sides import Side, Submission

#: Seconds by which a worker's clock is ahead; the web's is behind by as much.
SHIFTS = (120, -120, 3600, -3600, 86_400, -86_400)


def _part(side: Side, times: int, progress: Progress) -> Counts:
    shifts, env = itertools.cycle(SHIFTS), side.env

    def fault() -> None:
        """Restart the web and one of two workers, each with a wrong clock."""
        shift = next(shifts)
        assert side.web is not None
        side.web.kill()
        side.env = shifted(side.folder, -shift, env)
        side.launch_web()
        side.env = shifted(side.folder, shift, env)
        side.workers[0].kill_main()
        side.replace_dead()

    # A clock that counted would cancel these, or start them minutes late.
    timed = [Submission("beating", {"seconds": 0.2}, {"delay": 3, "cancel_after": 35, "ttl": 60})] * 4
    return repeat(side, times, fault, progress, submissions=[*beating(0.2), *timed])


CLOCK_SKEW = Scenario("web and workers restarted with clocks 2 min, 1 h or 1 day off", _part, 30, 2)
