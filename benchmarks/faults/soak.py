"""Many small tasks, and the memory, connections and keys that they leave."""

import threading
import time
from dataclasses import dataclass
from pathlib import Path

import httpx
from harness import Process, eventually

from benchmarks.faults.fault_runs import Counts, Progress
from benchmarks.faults.scenarios.scenario import Scenario
from benchmarks.faults.sides import Side

#: Seconds that results are kept, so that their keys are gone at the end.
RESULT_TTL = 5

#: Maximum number of queued tasks: the soak looks for leaks, not for the effect of a long queue.
MAX_UNFINISHED = 500

SOAK = Scenario(
    "soak",
    None,
    100_000,
    2_000,
    plain=True,
    workers=1,
    settings={"RESULT_TTL_SECONDS": str(RESULT_TTL), "WEB_CONCURRENCY": "1"},
)


@dataclass
class State:
    """Resident memory in MiB of Gunicorn's and the worker's processes, connections, and keys."""

    web_mib: float
    worker_mib: float
    redis_mib: float
    connections: int
    keys: int


def soak(side: Side, number: int, progress: Progress) -> tuple[Counts, State, State]:
    """Run `number` tasks; the counts, and the state after the first and after the last ones."""
    _run(side, min(1000, number), lambda *_: None)
    time.sleep(RESULT_TTL * 2)
    start = _state(side)
    counts = _run(side, number, progress)
    time.sleep(RESULT_TTL * 3)
    eventually(lambda: side.redis.client.dbsize() < 200, seconds=120, every=1)
    return counts, start, _state(side)


def _run(side: Side, number: int, progress: Progress) -> Counts:
    counts, before = Counts(), _ended(side)
    left, lock = [number], threading.Lock()

    def client() -> None:
        with httpx.Client(base_url=side.url, timeout=60) as http:
            while True:
                with lock:
                    if left[0] == 0:
                        return
                    left[0] -= 1
                while http.post("/tasks/nothing", json={}).status_code != 202:
                    time.sleep(0.2)
                with lock:
                    counts.accepted += 1
                while counts.accepted - (counts.caused) > MAX_UNFINISHED:
                    time.sleep(0.02)

    clients = [threading.Thread(target=client) for _ in range(4)]
    for each in clients:
        each.start()
    last_progress = time.monotonic()
    while counts.caused < number and time.monotonic() - last_progress < 60:
        time.sleep(0.2)
        ended = _ended(side) - before
        last_progress = time.monotonic() if ended > counts.caused else last_progress
        counts.caused = ended
        progress(ended, counts)
    for each in clients:
        each.join()
    counts.lost = number - counts.caused
    return counts


def _ended(side: Side) -> int:
    """The number of tasks that have run; the task `nothing` of both sides counts itself."""
    return int(side.redis.client.get("test:ended") or 0)


def _state(side: Side) -> State:
    assert side.web is not None
    info = side.redis.client.info()
    return State(
        web_mib=_resident(side.web),
        worker_mib=sum(_resident(worker) for worker in side.workers),
        redis_mib=info["used_memory"] / 2**20,
        connections=info["connected_clients"],
        keys=side.redis.client.dbsize(),
    )


def _resident(process: Process) -> float:
    """MiB of a process and its children; shared memory is counted once."""
    return sum(_pss(pid) for pid in [process.pid, *process.children()]) / 1024


def _pss(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
