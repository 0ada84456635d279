"""`kill -9` of each process."""

import contextlib
import os
import time
from signal import SIGKILL

from benchmarks.faults.fault_runs import Counts, Progress, beating, repeat, under_load
from benchmarks.faults.scenarios.scenario import Scenario
from benchmarks.faults.sides import Side, Submission


def _worker_main(side: Side, times: int, progress: Progress) -> Counts:
    def fault() -> None:
        side.workers[0].kill_main()  # another one runs, and this one is restarted

    return repeat(side, times, fault, progress, submissions=beating(0.2))


def _pool_child(side: Side, times: int, progress: Progress) -> Counts:
    def fault() -> None:
        side.workers[0].kill_one_child()

    return repeat(side, times, fault, progress, submissions=beating(0.2))


def _redis(side: Side, times: int, progress: Progress) -> Counts:
    def fault() -> None:
        side.redis.process.kill()
        time.sleep(0.3)
        side.redis.start()

    return repeat(side, times, fault, progress, submissions=beating(0.5))


def _web_worker(side: Side, times: int, progress: Progress) -> Counts:
    def fault() -> None:
        assert side.web is not None
        for pid in side.web.children()[-1:]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, SIGKILL)

    # One of nine has a key, which may still be in use at the next one: then the response is 200, with the earlier task.
    submissions = [*beating(0.01), Submission("beating", {"seconds": 0.01}, {"unique": "one", "start_within": 60})]
    return under_load(side, times, fault, progress, submissions=submissions, pause=0.4)


WORKER_MAIN = Scenario("`kill -9` of a busy worker's main process", _worker_main, 100, 4, plain=True)
POOL_CHILD = Scenario("`kill -9` of a busy pool child", _pool_child, 100, 5, plain=True)
WEB_WORKER = Scenario("`kill -9` of a Gunicorn worker during submits", _web_worker, 50, 5, plain=True)
REDIS = Scenario("`kill -9` of Redis, started again on its AOF", _redis, 20, 2, plain=True)
