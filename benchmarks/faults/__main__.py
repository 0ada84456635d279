"""`python -m benchmarks.faults [--short] [--only SCENARIO] [--stock-share S] [--<scenario> N]`: cause all faults."""

import argparse
import contextlib
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.faults import report
from benchmarks.faults.fault_runs import Counts, Progress
from benchmarks.faults.scenarios import SCENARIOS
from benchmarks.faults.scenarios.scenario import Scenario
from benchmarks.faults.sides import LEASE, Ours, Side, Stock
from benchmarks.faults.soak import SOAK, soak

_ALL = {**SCENARIOS, "soak": SOAK}


def main() -> int:
    """Cause all faults and write the page; 1 if a task of this server was lost, overlapped, or ended as it may not."""
    arguments = _arguments()
    rows: list[report.Row] = []
    soaks: list[report.Soak] = []
    for name, scenario in _ALL.items():
        for server in (Ours, Stock) if scenario.plain else (Ours,):
            share = arguments.stock_share if server is Stock else 1
            count = round(getattr(arguments, name.replace("-", "_")) * share)
            if not count or arguments.only not in (None, name):
                continue
            with _started(server, scenario) as side:
                show = _progress(name, side, count)
                if scenario.part:
                    rows.append(report.Row(scenario, side.name, scenario.part(side, count, show)))
                else:
                    soaks.append(report.Soak(side.name, count, *soak(side, count, show)))
            report.write(arguments.page, rows, soaks)
    print()
    return int(not all(each.kept for each in (*rows, *soaks) if each.side == Ours.name))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks.faults", description=__doc__)
    parser.add_argument("--short", action="store_true", help="the short form of some minutes, for CI")
    parser.add_argument("--share", type=float, default=1.0, help="faults, as a share of the full numbers")
    parser.add_argument("--stock-share", type=float, default=0.1, help="faults for plain Celery, as a share of ours")
    parser.add_argument("--only", choices=_ALL, help="run one scenario")
    parser.add_argument("--page", type=Path, default=report.PAGE, help="the page to write")
    for name in _ALL:
        parser.add_argument(f"--{name}", type=int, metavar="N", help="number of faults")
    arguments = parser.parse_args()
    for name, scenario in _ALL.items():
        if getattr(arguments, name.replace("-", "_")) is None:
            count = scenario.short if arguments.short else round(scenario.full * arguments.share)
            setattr(arguments, name.replace("-", "_"), count)
    return arguments


@contextlib.contextmanager
def _started(server: type[Side], scenario: Scenario) -> Iterator[Side]:
    """Start the web process and the workers of a side, and end them."""
    common = {"TASK_MODULES": "sample_tasks", "LEASE_SECONDS": str(LEASE), "SOFT_SHUTDOWN_SECONDS": "2"}
    with scenario.folder() as folder:
        settings = {name: value.format(folder=folder) for name, value in scenario.settings.items()}
        with server(folder, **common, **{"WEB_CONCURRENCY": "2", **settings}) as side:
            side.launch_web()
            for _ in range(scenario.workers):
                side.launch_worker()
            yield side


def _progress(part: str, side: Side, total: int) -> Progress:
    began = time.monotonic()

    def show(done: int, counts: Counts) -> None:
        text = f"\r{side.name}, {part}: {done}/{total}, {counts.accepted} accepted, {time.monotonic() - began:.0f} s  "
        sys.stderr.write(text + ("\n" if done >= total else ""))
        sys.stderr.flush()

    return show


if __name__ == "__main__":
    sys.exit(main())
