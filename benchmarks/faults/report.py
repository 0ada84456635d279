"""The page of figures."""

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

Made by `make faults`, with plain Celery as often as *caused* says. Each fault was caused on real processes while tasks
ran; every accepted task (202) was followed to its end, and every start of a task's function was written to a ledger.

- *lost*: accepted, and not ended 150 s after the last fault.
- *again*: started a second time after the first run was dead; a kill that hit an idle process adds nothing here.
  *overlapping*: two runs seen alive at the same time.
- *recovery*: seconds from the fault until all that had been accepted before it was done. *late*: faults after which
  something was still undone when the waiting was given up, after 40 s (10 s from the second time on); they are not in
  the recovery.

{machine}. Leases of {lease} s (the default is 30), a soft shutdown of 2 s. Plain Celery: `task_acks_late`,
`task_reject_on_worker_lost`, prefetch 1, `visibility_timeout` 30 s (its default, an hour, would only make more of its
tasks late), tasks and clients the same. Both sides are started again by a supervisor where they die.
"""


def write(page: Path, parts: list[tuple[str, str, Tally]], soaks: list[tuple[str, int, Tally, State, State]]) -> None:
    """Write the page."""
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
    lines = ["What clients were answered during the rolling restarts (a connection that was refused was not accepted):"]
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
        "Memory is proportional set size, after 1,000 tasks and after the last ones had expired. Celery's timer of a",
        "soft limit stays in the worker's heap until its time, 300 s, though the task has ended: up to 0.8 kB for each",
        "task of the last five minutes. With a limit of 1 s a worker's main process had 49 MiB after 5,000 tasks, and",
        "50 after 40,000.",
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
