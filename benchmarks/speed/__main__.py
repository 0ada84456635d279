"""`python -m benchmarks.speed [--full] [--only PART]`: run all parts and write the page."""

import argparse
import os
import sys

from benchmarks.speed import load, report
from benchmarks.speed.clients import clients
from benchmarks.speed.growth import growth
from benchmarks.speed.images import images
from benchmarks.speed.memory import memory, start
from benchmarks.speed.peers import peers
from benchmarks.speed.plan import FULL, SHORT
from benchmarks.speed.queue import queue
from benchmarks.speed.ratios import Topic
from benchmarks.speed.store import store
from benchmarks.speed.web import web

PARTS = {
    "web": web,
    "clients": clients,
    "queue": queue,
    "peers": peers,
    "images": images,
    "memory": memory,
    "growth": growth,
    "store": store,
    "start": start,
}


def main() -> int:
    """Measure and write the page; 1 if wrk is missing."""
    parser = argparse.ArgumentParser(prog="benchmarks.speed", description=__doc__)
    parser.add_argument("--full", action="store_true", help="the full form, about half an hour")
    parser.add_argument("--only", choices=PARTS, help="run one part and print it, without writing the page")
    arguments = parser.parse_args()
    if not load.installed():
        print(load.MISSING, file=sys.stderr)
        return 1
    plan, before = FULL if arguments.full else SHORT, os.getloadavg()[0]
    topics: list[Topic] = []
    for name, part in PARTS.items():
        if arguments.only in (None, name):
            topics += part(plan)
            if not arguments.only:  # after each part, so that a later one that fails costs only itself
                report.write(plan, topics, before)
    if arguments.only:
        _print(topics)
    else:
        print(f"{report.PAGE} is written.")
    return 0


def _print(topics: list[Topic]) -> None:
    for topic in topics:
        print(f"\n{topic.title}, {topic.unit}")
        for name in topic.series:
            print(f"  {name:<40} {topic.median(name):,.2f}")
        for finding in topic.findings:
            print(f"  {'met   ' if finding.met else 'MISSED'} {finding.goal}: {finding.figure}")
        for note in topic.notes:
            print(f"  ({note})")


if __name__ == "__main__":
    sys.exit(main())
