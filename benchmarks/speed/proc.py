"""CPU and memory of processes, from `/proc` (Linux)."""

import os
from pathlib import Path

_CLOCK_HZ = os.sysconf("SC_CLK_TCK")


def group(leader: int) -> list[int]:
    """List the processes of a group."""
    pids = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[2]) == leader:
            pids.append(int(path.parent.name))
    return sorted(pids)


def cpu(pid: int) -> float:
    """Seconds of CPU of a process, including its ended children."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / _CLOCK_HZ


def cpu_of_group(leader: int) -> float:
    """Seconds of CPU of a process group."""
    return sum(cpu(pid) for pid in group(leader))


def memory(pid: int) -> float:
    """Megabytes of a process's proportional set size (PSS)."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024
    raise ValueError(f"no Pss of {pid}")


def children(pid: int) -> list[int]:
    """List the children of a process."""
    listed = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in listed]
