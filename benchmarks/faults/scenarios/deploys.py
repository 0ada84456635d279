"""Rolling restarts under load: of the same release, and of one with other task types, queues and settings."""

import itertools

from releases import NEW, OLD, load_releases, write_release

from benchmarks.faults.fault_runs import Counts, Progress, beating, under_load
from benchmarks.faults.scenarios.scenario import Scenario
from benchmarks.faults.sides import Side, Submission

#: The settings of the two releases.
_SETTINGS = (
    {"LEASE_SECONDS": "5", "SOFT_SHUTDOWN_SECONDS": "2", "WORKER_CONCURRENCY": "2"},
    {"LEASE_SECONDS": "4", "SOFT_SHUTDOWN_SECONDS": "1", "WORKER_CONCURRENCY": "3"},
)


def _restart(side: Side, times: int, progress: Progress) -> Counts:
    return under_load(side, times, side.roll, progress, submissions=beating(0.01), pause=1.0)


def _deploy(side: Side, times: int, progress: Progress) -> Counts:
    releases = itertools.cycle(zip((NEW, OLD), _SETTINGS[::-1], strict=True))

    def fault() -> None:
        text, settings = next(releases)
        write_release(side, text)
        side.env |= settings
        side.roll()

    load_releases(side)
    write_release(side, OLD)
    side.roll()
    submissions = [Submission(name, {}) for name in ("stays", "moved", "gone", "added")]
    submissions += [Submission("stays", {"seconds": 2}), Submission("gone", {}, {"delay": 5})]
    # One task in six takes 2 s, and the workers have four slots: at the usual pace they would never catch up.
    return under_load(side, times, fault, progress, submissions=submissions, pause=2.0, every=0.5)


RESTART = Scenario("rolling restart under load (SIGTERM to whole process groups)", _restart, 20, 1, plain=True)
DEPLOY = Scenario(
    "rolling deploy under load, with other task types, queues and settings",
    _deploy,
    20,
    1,
    settings={"UNKNOWN_TYPE_SECONDS": "3"},
    ends=frozenset({"succeeded", "unknown-task-type"}),
)
