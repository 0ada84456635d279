"""The kinds of faults, one module each with its cause. A new one: a module with a `Kind`, and a line in `KINDS`."""

from benchmarks.faults.kinds.clock_skew import CLOCK_SKEW
from benchmarks.faults.kinds.deploys import DEPLOY, RESTART
from benchmarks.faults.kinds.full_disk import FULL_DISK
from benchmarks.faults.kinds.kills import POOL_CHILD, REDIS, WEB_WORKER, WORKER_MAIN
from benchmarks.faults.kinds.kind import Kind
from benchmarks.faults.kinds.memory import MEMORY
from benchmarks.faults.kinds.redis_errors import REDIS_ERRORS
from benchmarks.faults.kinds.slow_clients import SLOW_CLIENTS

__all__ = ["KINDS", "Kind"]

#: Every kind by its name on the command line, in the order of the page.
KINDS: dict[str, Kind] = {
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
