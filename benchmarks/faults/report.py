"""The page benchmarks/faults.md with all figures."""

import os
import platform
from dataclasses import dataclass
from datetime import date
from importlib.metadata import version
from pathlib import Path

from benchmarks.faults.fault_runs import Counts
from benchmarks.faults.scenarios.scenario import Scenario
from benchmarks.faults.sides import LEASE
from benchmarks.faults.soak import State

PAGE = Path("benchmarks/faults.md")

_HEAD = """# Faults

Written by `make faults` on {today}. Each fault was caused on real processes while tasks ran. Every accepted task (202)
was followed to its end, and every start of a task's function was written to a ledger.

- *caused*: the number of faults.
- *ends*: how the accepted tasks ended: `succeeded`, or the problem with which they failed. A task that asks for too
  much memory must fail, and so must one whose type the next release lacks.
- *lost*: accepted, and not ended 150 s after the last fault.
- *again*: started a second time after the first run had died. A kill of an idle process adds nothing here.
  *overlapping*: two runs of one task at the same time.
- *recovery*: the median of the seconds from the beginning of a fault until all tasks accepted before it had ended.
  *worst*: their maximum. *late*: faults after which a task had not ended within 40 s (10 s from the second time on);
  they are not part of the recovery.

{machine}. Leases of {lease} s (the default is 30), a soft shutdown of 2 s. Plain Celery: `task_acks_late`,
`task_reject_on_worker_lost`, prefetch 1, `visibility_timeout` 30 s (the default of one hour makes more tasks late), the
same tasks and clients. A supervisor restarts the processes of both sides.
"""


@dataclass(frozen=True)
class Row:
    """A scenario on one side, and its counts."""

    scenario: Scenario
    side: str
    counts: Counts

    @property
    def kept(self) -> bool:
        """Whether every accepted task ran to an end that it may have, never twice at the same time."""
        return not self.counts.lost and not self.counts.overlapping and self.counts.ends.keys() <= self.scenario.ends


@dataclass(frozen=True)
class Soak:
    """The soak on one side: its counts, and the states after the first and after the last tasks."""

    side: str
    number: int
    counts: Counts
    start: State
    end: State

    @property
    def kept(self) -> bool:
        """Whether every accepted task ended."""
        return not self.counts.lost


def write(page: Path, rows: list[Row], soaks: list[Soak]) -> None:
    """Write the page with all figures."""
    lines = [_HEAD.format(machine=_machine(), lease=LEASE, today=date.today().isoformat())]
    lines += ["| fault | side | caused | accepted | ends | lost | again | overlapping | late | recovery | worst |"]
    lines += ["|---|---|--:|--:|---|--:|--:|--:|--:|--:|--:|"]
    lines += [_row(row) for row in rows]
    lines += ["", *_status_codes(rows), "", *(_soak(soaks) if soaks else [])]
    page.write_text("\n".join(lines).rstrip() + "\n")


def _machine() -> str:
    versions = ", ".join(f"{name} {version(name)}" for name in ("celery", "kombu", "redis", "gunicorn"))
    load = f"load average {os.getloadavg()[2]:.0f}"
    return f"{os.cpu_count()} cores, {load}, {platform.system()}, Python {platform.python_version()}, {versions}"


def _row(row: Row) -> str:
    counts = row.counts
    late = counts.caused - len(counts.recovery)
    ends = ", ".join(f"{count} {end.lower()}" for end, count in counts.ends.most_common())
    numbers = [counts.lost, counts.twice, counts.overlapping, late]
    cells = [row.scenario.title, row.side, str(counts.caused), str(counts.accepted), ends, *map(str, numbers)]
    cells += [f"{counts.median:.1f} s", f"{counts.worst:.1f} s"] if counts.recovery else ["none", "none"]
    return f"| {' | '.join(cells)} |"


def _status_codes(rows: list[Row]) -> list[str]:
    lines = ["Answers to submits, where not all were a 202 (a refused connection is not an accepted task):", ""]
    labels = {0: "refused", -1: "broken off"}
    for row in rows:
        if row.counts.status_codes.keys() - {202}:
            texts = [
                f"{count} x {labels.get(status, status)}" for status, count in sorted(row.counts.status_codes.items())
            ]
            lines.append(f"- {row.scenario.title}, {row.side}: {', '.join(texts)}.")
    return lines


def _soak(soaks: list[Soak]) -> list[str]:
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
    for soak in soaks:
        start, end = soak.start, soak.end
        pairs = [
            f"{start.web_mib:.0f} → {end.web_mib:.0f}",
            f"{start.worker_mib:.0f} → {end.worker_mib:.0f}",
            f"{start.redis_mib:.1f} → {end.redis_mib:.1f}",
            f"{start.connections} → {end.connections}",
            f"{start.keys} → {end.keys}",
        ]
        lines.append(f"| {soak.side} | {soak.number} | {soak.counts.lost} | " + " | ".join(pairs) + " |")
    return lines
