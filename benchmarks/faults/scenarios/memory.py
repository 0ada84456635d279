"""Tasks that leak, and tasks that ask for more memory than they may use, between others."""

from benchmarks.faults.fault_runs import Counts, Progress, beating, repeat
from benchmarks.faults.scenarios.scenario import Scenario
from benchmarks.faults.sides import Side, Submission


def _part(side: Side, times: int, progress: Progress) -> Counts:
    """The tasks are the fault: one runs out of memory, and two leave so much behind that their child is replaced."""
    greedy = [Submission("eats_memory", {}), *[Submission("leaks", {"megabytes": 100})] * 2]
    return repeat(side, times, lambda: None, progress, submissions=[*greedy, *beating(0.2)])


MEMORY = Scenario(
    "one task out of memory and two that leak 100 MB, between others",
    _part,
    50,
    3,
    settings={"WORKER_MEMORY_LIMIT": str(256 * 2**20)},
    ends=frozenset({"succeeded", "out-of-memory"}),
)
