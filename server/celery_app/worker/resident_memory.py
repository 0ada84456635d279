"""The memory of this worker: its main process and its pool children."""

import os
from pathlib import Path


def resident_bytes() -> int | None:
    """Return the resident memory of this process and its children. Shared pages count in each. None without /proc."""
    own = Path(f"/proc/{os.getpid()}")
    try:
        children = (own / "task" / own.name / "children").read_text().split()
    except OSError:
        return None
    return sum(_resident(name) for name in (own.name, *children))


def _resident(pid: str) -> int:
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, IndexError):  # it has just ended
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")
