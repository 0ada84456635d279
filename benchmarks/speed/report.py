"""The page benchmarks/RESULTS.md and its charts."""

import os
import platform
import re
import time
from importlib.metadata import version
from pathlib import Path

from benchmarks.speed.drawing import bars
from benchmarks.speed.plan import Plan
from benchmarks.speed.ratios import Finding, Topic, shown

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
    "rq",
    "dramatiq",
    "taskiq",
    "huey",
    "pillow",
    "pyvips-binary",
)

_HEAD = """# Speed

Written by `{command}` on {date}. All set-ups use the same machine, cores and library versions, and each has its own
Redis (a Valkey with an append-only file). They run in turns, and a ratio compares two figures of the same round. A
figure is the median of its rounds; minimum and maximum are next to it.

{machine}. {versions}.

- wrk generates the load on the same cores as the servers. Rates are lower than on a separate machine; compare ratios.
  The load average was {before:.1f} at the start of the run and {after:.1f} at its end: {busy}
- "Tutorial" is the application of Flask's documentation ("Background Tasks with Celery"), in
  `benchmarks/stock/tutorial.py`: no owners, no validation, no record except Celery's result, and a task is lost with
  its worker. This server's figures include everything that it promises.
- Images are synthetic: coarse and fine structure, edges and grain. Photographs differ.

## Goals
"""


def write(plan: Plan, topics: list[Topic], load_before: float) -> None:
    """Write the page and its charts."""
    PICTURES.mkdir(exist_ok=True)
    lines = [_head(plan, load_before), "| measured | goal | figure | |", "|---|---|---|---|"]
    lines += [_line(topic, finding) for topic in topics for finding in topic.findings]
    missed = [(topic, finding) for topic in topics for finding in topic.findings if not finding.met and finding.reason]
    lines += ["", "Reasons for missed goals:", ""] if missed else []
    lines += [f"- {topic.title}, {finding.goal}: {finding.reason}" for topic, finding in missed]
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
    busy = "nothing else ran." if idle else "other programs ran at the same time, so figures are low and vary widely."
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
    match = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return match[1] if match else platform.machine()


def _line(topic: Topic, finding: Finding) -> str:
    word = {True: "met", False: "**missed**", None: ""}[finding.met]
    return f"| {topic.title} | {finding.goal} | {finding.figure} | {word} |"


def _table(topic: Topic) -> list[str]:
    more = (" guarantees |", "---|") if topic.remarks else ("", "")
    lines = [f"| | median, {topic.unit} | minimum | maximum |{more[0]}", f"|---|--:|--:|--:|{more[1]}"]
    for name, values in topic.series.items():
        remark = f" {topic.remarks[name]} |" if topic.remarks else ""
        lines.append(f"| {name} | {shown(topic.median(name))} | {shown(min(values))} | {shown(max(values))} |{remark}")
    return lines


def _slug(title: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")
