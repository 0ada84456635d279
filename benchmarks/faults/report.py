"""The page benchmarks/faults.md with all figures."""

import os
import platform
from importlib.metadata import version
from pathlib import Path

from benchmarks.faults.parts import Tally
from benchmarks.faults.sides import LEASE
from benchmarks.faults.soak import State

PAGE = Path("benchmarks/faults.md")

_NAMES = {
    "worker-main": "`kill -9` of a busy worker's main process",
    "pool-child": "`kill -9` of a busy pool child",
    "web-worker": "`kill -9` of a Gunicorn worker during submits",
    "redis": "`kill -9` of Redis, started again on its AOF",
    "rolling": "rolling restart under load (SIGTERM to whole process groups)",
}

_HEAD = """# Faults

Written by `make faults`. Each fault was caused on real processes while tasks ran. Every accepted task (202) was
followed to its end, and every start of a task's function was written to a ledger.

- *caused*: the number of faults.
- *lost*: accepted, and not ended 150 s after the last fault.
- *again*: started a second time after the first run had died. A kill of an idle process adds nothing here.
  *overlapping*: two runs of one task at the same time.
- *recovery*: seconds from the fault until all tasks accepted before it had ended. *late*: faults after which a task had
  not ended within 40 s (10 s from the second time on); they are not part of the recovery.

{machine}. Leases of {lease} s (the default is 30), a soft shutdown of 2 s. Plain Celery: `task_acks_late`,
`task_reject_on_worker_lost`, prefetch 1, `visibility_timeout` 30 s (the default of one hour makes more tasks late), the
same tasks and clients. A supervisor restarts the processes of both sides.
"""


def write(page: Path, parts: list[tuple[str, str, Tally]], soaks: list[tuple[str, int, Tally, State, State]]) -> None:
    """Write the page with all figures."""
    lines = [_HEAD.format(machine=_machine(), lease=LEASE)]
    lines += ["| fault | side | caused | accepted | lost | again | overlapping | late | recovery, median | worst |"]
    lines += ["|---|---|--:|--:|--:|--:|--:|--:|--:|--:|"]
    lines += [_row(part, side, tally) for part, side, tally in parts]
    lines += ["", *_answers(parts), "", *(_soak(soaks) if soaks else [])]
    page.write_text("\n".join(lines).rstrip() + "\n")


def _machine() -> str:
    versions = ", ".join(f"{name} {version(name)}" for name in ("celery", "kombu", "redis", "gunicorn"))
    return f"{os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}, {versions}"


def _row(part: str, side: str, tally: Tally) -> str:
    late = tally.caused - len(tally.recovery)
    numbers = [tally.caused, tally.accepted, tally.lost, tally.twice, tally.overlapping, late]
    cells = [_NAMES[part], side, *map(str, numbers), f"{tally.median:.1f} s", f"{tally.worst:.1f} s"]
    return "| " + " | ".join(cells) + " |"


def _answers(parts: list[tuple[str, str, Tally]]) -> list[str]:
    lines = ["Answers to clients during the rolling restarts (a refused connection is not an accepted task):"]
    lines += [""]
    for part, side, tally in parts:
        if part == "rolling":
            words = {0: "refused", -1: "broken off"}
            counts = ", ".join(
                f"{count} x {words.get(status, status)}" for status, count in sorted(tally.answers.items())
            )
            lines.append(f"- {side}: {counts}.")
    return lines


def _soak(soaks: list[tuple[str, int, Tally, State, State]]) -> list[str]:
    lines = [
        "## Soak",
        "",
        "Memory is the proportional set size, after 1,000 tasks and after the last ones had expired. Celery keeps the",
        "timer of a soft limit for 300 s, even if the task has ended: up to 0.8 kB for each task of the last five",
        "minutes. With a limit of 1 s, a worker's main process had 49 MiB after 5,000 tasks and 50 after 40,000.",
        "",
    ]
    lines += ["| side | tasks | lost | web MiB | worker MiB | Redis MiB | connections | keys |"]
    lines += ["|---|--:|--:|--:|--:|--:|--:|--:|"]
    for side, number, tally, start, end in soaks:
        pairs = [
            f"{start.web_mib:.0f} → {end.web_mib:.0f}",
            f"{start.worker_mib:.0f} → {end.worker_mib:.0f}",
            f"{start.redis_mib:.1f} → {end.redis_mib:.1f}",
            f"{start.connections} → {end.connections}",
            f"{start.keys} → {end.keys}",
        ]
        lines.append(f"| {side} | {number} | {tally.lost} | " + " | ".join(pairs) + " |")
    return lines
