"""A scenario: its name on the page, how it is caused, and how often."""

import contextlib
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.faults.fault_runs import Part


@contextlib.contextmanager
def plain_folder() -> Iterator[Path]:
    """A new folder, which is kept: it has the logs."""
    yield Path(tempfile.mkdtemp(prefix="faults-"))


@dataclass(frozen=True)
class Scenario:
    """A fault. `full` and `short` are the numbers of faults of the two forms.

    The soak has no part: it compares states (`soak.py`).
    """

    title: str
    part: Part | None
    full: int
    short: int
    #: Whether plain Celery is measured too: not if the tasks or options exist only here.
    plain: bool = False
    workers: int = 2
    #: `{folder}` is replaced.
    settings: dict[str, str] = field(default_factory=dict)
    folder: Callable[[], contextlib.AbstractContextManager[Path]] = plain_folder
    #: The ends that the tasks of this scenario may have.
    ends: frozenset[str] = frozenset({"succeeded"})
