"""The page of figures."""

import os
import platform
import re
import time
from importlib.metadata import version
from pathlib import Path

from benchmarks.speed.drawing import bars
from benchmarks.speed.figures import Finding, Topic, shown
from benchmarks.speed.plan import Plan

PAGE = Path("benchmarks/RESULTS.md")
PICTURES = PAGE.parent / "pictures"

_LIBRARIES = (
    "celery",
    "kombu",
    "redis",
    "flask",
    "gunicorn",
    "fastapi",
    "uvicorn",
    "flower",
    "pillow",
    "pyvips-binary",
)

_HEAD = """# Speed

Made by `{command}` on {date}. Each set-up has the same machine, cores, library versions and a Redis (Valkey with an
append-only file) of its own; they take turns, round by round, and a ratio is that of two figures of the same round. A
figure is the median of its rounds, with the least and the greatest beside it.

{machine}. {versions}.

- Load is made by wrk, on the same cores as what it loads: rates are lower than a server alone would have, ratios are
  what counts. The load average was {before:.1f} when the run began and {after:.1f} when it ended: {busy}
- "Tutorial" is what Flask's own pages have ("Background Tasks with Celery"), see `benchmarks/stock/tutorial.py`: no
  ownership, no validation, no record beyond Celery's result, and a task that is lost with its worker. This server's
  figures are with all that it promises.
- Pictures that are worked on are made up: coarse and fine structure, edges and grain. Photographs differ.

## What was to be reached
"""


def write(plan: Plan, topics: list[Topic], load_before: float) -> None:
    """Write the page and its pictures."""
    PICTURES.mkdir(exist_ok=True)
    lines = [_head(plan, load_before), "| what | goal | measured | |", "|---|---|---|---|"]
    lines += [_line(topic, finding) for topic in topics for finding in topic.findings]
    missed = [(topic, finding) for topic in topics for finding in topic.findings if not finding.met and finding.why]
    lines += ["", "Why, where it was missed:", ""] if missed else []
    lines += [f"- {topic.title}, {finding.goal}: {finding.why}" for topic, finding in missed]
    for topic in topics:
        lines += ["", f"## {topic.title}", "", *_table(topic), ""]
        lines += [f"- {note}" for note in topic.notes]
        picture = PICTURES / f"{_slug(topic.title)}.svg"
        picture.write_text(bars(topic))
        lines += ["", f"![{topic.title}]({picture.relative_to(PAGE.parent)})"]
    PAGE.write_text("\n".join(lines).rstrip() + "\n")


def _head(plan: Plan, before: float) -> str:
    after = os.getloadavg()[0]
    idle = before < 1
    busy = "nothing else ran." if idle else "other work ran beside it, so figures are low and their spread is wide."
    return _HEAD.format(
        command="make bench" if plan.name == "short" else f"make bench-{plan.name}",
        date=time.strftime("%Y-%m-%d"),
        machine=f"{os.cpu_count()} cores ({_processor()}), {platform.system()}, Python {platform.python_version()}",
        versions=", ".join(f"{name} {version(name)}" for name in _LIBRARIES),
        before=before,
        after=after,
        busy=busy,
    )


def _processor() -> str:
    found = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return found[1] if found else platform.machine()


def _line(topic: Topic, finding: Finding) -> str:
    word = {True: "met", False: "**missed**", None: ""}[finding.met]
    return f"| {topic.title} | {finding.goal} | {finding.figure} | {word} |"


def _table(topic: Topic) -> list[str]:
    lines = [f"| | median, {topic.unit} | least | greatest |", "|---|--:|--:|--:|"]
    for name, values in topic.series.items():
        lines.append(f"| {name} | {shown(topic.median(name))} | {shown(min(values))} | {shown(max(values))} |")
    return lines


def _slug(title: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")
