"""The scenarios, one module each with its cause. A new one: a module with a `Scenario`, and a line in `SCENARIOS`."""

from benchmarks.faults.scenarios.clock_skew import CLOCK_SKEW
from benchmarks.faults.scenarios.deploys import DEPLOY, RESTART
from benchmarks.faults.scenarios.full_disk import FULL_DISK
from benchmarks.faults.scenarios.kills import POOL_CHILD, REDIS, WEB_WORKER, WORKER_MAIN
from benchmarks.faults.scenarios.memory import MEMORY
from benchmarks.faults.scenarios.redis_errors import REDIS_ERRORS
from benchmarks.faults.scenarios.scenario import Scenario
from benchmarks.faults.scenarios.slow_clients import SLOW_CLIENTS

__all__ = ["SCENARIOS", "Scenario"]

#: Every scenario by its name on the command line, in the order of the page.
SCENARIOS: dict[str, Scenario] = {
    "worker-main": WORKER_MAIN,
    "pool-child": POOL_CHILD,
    "web-worker": WEB_WORKER,
    "redis": REDIS,
    "redis-errors": REDIS_ERRORS,
    "full-disk": FULL_DISK,
    "slow-clients": SLOW_CLIENTS,
    "clock-skew": CLOCK_SKEW,
    "memory": MEMORY,
    "rolling": RESTART,
    "deploy": DEPLOY,
}
