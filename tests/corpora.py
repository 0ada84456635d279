"""Runs the tasks on every file of a folder, and reports the outcomes: `make test-corpora FOLDER=pictures`.

Pictures are read by `thumbnail` and `image_info`, documents by `pdf_preview`, tables by `csv_stats`; files with other
names are counted and skipped. A file may be done, or refused with an error of the task; the exit status is 1 if one
crashed its process, raised any other error, or took longer than SECONDS (30).
"""

import multiprocessing
import os
import resource
import shutil
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from server.sdk.errors import TaskError
from server.tasks.documents import pdf_preview
from server.tasks.images import image_info
from server.tasks.images.tasks import TASKS
from server.tasks.tables.tasks import csv_stats
from tests.images.pictures import Desk

_SECONDS = float(os.environ.get("SECONDS", "30"))
_MEMORY = 512 * 2**20


class LocalFile:
    """A file of this machine, in the form of an upload."""

    media_type = "application/octet-stream"

    def __init__(self, path: Path) -> None:
        self._path = path
        self.filename = path.name
        self.size = path.stat().st_size

    def read(self) -> bytes:
        return self._path.read_bytes()

    @contextmanager
    def open(self) -> Iterator[Any]:
        with self._path.open("rb") as file:
            yield file

    @contextmanager
    def path(self) -> Iterator[Path]:
        yield self._path


def picture(file: Any) -> str:
    info = image_info(file)
    TASKS["thumbnail"](Desk(), file)
    return f"{info.format} {info.width}x{info.height} {info.mode}"


def document(file: Any) -> str:
    preview = pdf_preview(Desk(), file)
    return f"{preview.pages} pages"


def table(file: Any) -> str:
    stats = csv_stats(Desk(), file)
    return f"{stats.rows} rows, {stats.column_count} columns"


#: To try the files of another task, add a function that runs it and returns a summary, and the suffixes of its files.
READERS: dict[Callable[[Any], str], str] = {
    picture: ".jpg .jpeg .jpe .png .apng .gif .webp .avif .heic .heif .tif .tiff .bmp",
    document: ".pdf",
    table: ".csv .tsv .tab .txt",
}


@dataclass(frozen=True)
class End:
    """The outcome of one file: `outcome` is done, refused, error, crash or timeout."""

    outcome: str
    detail: str
    seconds: float


def reader_of(path: Path) -> Callable[[Any], str] | None:
    """Return the function that runs a task on files of this name."""
    return next((reader for reader, names in READERS.items() if path.suffix.lower() in names.split()), None)


def run_in_process(reader: Callable[[Any], str], path: Path, seconds: float = _SECONDS) -> End:
    """Run the task in its own process, with a worker's memory limit."""
    ours, theirs = multiprocessing.Pipe(duplex=False)
    began = time.monotonic()
    child = multiprocessing.get_context("fork").Process(target=_run, args=(reader, path, theirs))
    child.start()
    theirs.close()
    outcome, detail = ("timeout", f"longer than {seconds:g} s")
    if ours.poll(seconds):
        try:
            outcome, detail = ours.recv()
        except EOFError:
            child.join()
            outcome, detail = "crash", f"exit code {child.exitcode}"
    child.kill()
    child.join()
    return End(outcome, detail, time.monotonic() - began)


def _run(reader: Callable[[Any], str], path: Path, answer: Connection) -> None:
    resource.setrlimit(resource.RLIMIT_DATA, (_data_bytes() + _MEMORY,) * 2)
    try:
        end = "done", reader(LocalFile(path))
    except TaskError as error:
        end = "refused", f"{error.type}: {error.detail}"
    except Exception as error:
        end = "error", repr(error)
    answer.send(end)


def _data_bytes() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmData"))


def main(folder: Path) -> int:
    """Run the tasks on every file, print a line for each that is not done, and the totals."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    ends: Counter[str] = Counter()
    width = shutil.get_terminal_size().columns
    for path in paths:
        reader = reader_of(path)
        if reader is None:
            ends["left out"] += 1
            continue
        end = run_in_process(reader, path)
        ends[end.outcome] += 1
        if end.outcome != "done":
            print(f"{end.outcome:8}{end.seconds:6.1f} s  {path.relative_to(folder)}  {end.detail}"[: max(width, 200)])
    print(", ".join(f"{count} {outcome}" for outcome, count in ends.most_common()) or "no files")
    return 1 if ends.keys() & {"error", "crash", "timeout"} else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
