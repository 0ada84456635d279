"""A full disk: it has Redis's append-only file, the uploads, the temporary files and all logs."""

import contextlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from outages import disk_error

from benchmarks.faults.fault_runs import Counts, Progress, beating, repeat
from benchmarks.faults.scenarios.scenario import Scenario
from benchmarks.faults.sides import Side, Submission

#: Seconds for which the disk is full.
SECONDS = 3.0


@contextlib.contextmanager
def _small_disk() -> Iterator[Path]:
    """A folder in memory of 256 MB; a plain one where mounts are not permitted."""
    folder = Path(tempfile.mkdtemp(prefix="faults-"))
    command = ["mount", "-t", "tmpfs", "-o", "size=256m", "none", str(folder)]
    mounted = subprocess.run(command, capture_output=True, check=False).returncode == 0
    if not mounted:
        print("No disk can be mounted: Redis will fail to save a snapshot instead.", file=sys.stderr)
    try:
        yield folder
    finally:
        if mounted:
            subprocess.run(["umount", "--lazy", str(folder)], check=True)


@contextlib.contextmanager
def _full(side: Side) -> Iterator[None]:
    """Fill the disk; on a disk that cannot be filled, make Redis fail to save a snapshot."""
    if not side.folder.is_mount():
        with disk_error(side):
            yield
        return
    ballast = side.folder / "ballast"
    with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(bytes(2**20)):
            pass
    try:
        yield
    finally:
        ballast.unlink()


def _part(side: Side, times: int, progress: Progress) -> Counts:
    def fault() -> None:
        with _full(side):
            time.sleep(SECONDS)
            side.submit_once(Submission("beating", {"seconds": 0.1}))

    files = [Submission("saves", {"size": 300_000})] * 4
    return repeat(side, times, fault, progress, submissions=[*beating(1), *files], pause=0.5)


FULL_DISK = Scenario(
    f"a full disk for {SECONDS:.0f} s, under Redis, files and logs",
    _part,
    20,
    1,
    settings={"BLOB_URL": "file://{folder}/files", "TMPDIR": "{folder}"},
    folder=_small_disk,
)
