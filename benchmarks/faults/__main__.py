"""`python -m benchmarks.faults [--short] [--only PART] [--stock-share S] [--<part> N]`: cause all faults."""

import argparse
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.faults import report
from benchmarks.faults.parts import PARTS, Progress, Tally
from benchmarks.faults.sides import LEASE, Ours, Side, Stock
from benchmarks.faults.soak import RESULT_TTL, State, soak

FULL = {"worker-main": 100, "pool-child": 100, "web-worker": 50, "redis": 20, "rolling": 20, "soak": 100_000}
SHORT = {"worker-main": 4, "pool-child": 5, "web-worker": 5, "redis": 2, "rolling": 1, "soak": 2_000}


def main() -> int:
    """Cause all faults and write the page; 1 if this server lost a task or ran one twice at the same time."""
    arguments = _arguments()
    parts: list[tuple[str, str, Tally]] = []
    soaks: list[tuple[str, int, Tally, State, State]] = []
    for name in FULL:
        for kind in (Ours, Stock):
            share = arguments.stock_share if kind is Stock else 1
            count = round(getattr(arguments, name.replace("-", "_")) * share)
            if not count or arguments.only not in (None, name):
                continue
            if name == "soak":
                with _started(kind, workers=1, RESULT_TTL_SECONDS=str(RESULT_TTL)) as side:
                    soaks.append((side.name, count, *soak(side, count, _progress(name, side, count))))
            else:
                with _started(kind, workers=2, WEB_CONCURRENCY="2") as side:
                    parts.append((name, side.name, PARTS[name](side, count, _progress(name, side, count))))
            report.write(arguments.page, parts, soaks)
    print()
    ours = [tally for _, side, tally in parts if side == Ours.name] + [
        each[2] for each in soaks if each[0] == Ours.name
    ]
    return int(any(tally.lost or tally.overlapping for tally in ours))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks.faults", description=__doc__)
    parser.add_argument("--short", action="store_true", help="the short form of about two minutes, for CI")
    parser.add_argument("--stock-share", type=float, default=1.0, help="faults for plain Celery, as a share of ours")
    parser.add_argument("--only", choices=FULL, help="run one part")
    parser.add_argument("--page", type=Path, default=report.PAGE, help="the page to write")
    for name in FULL:
        parser.add_argument(f"--{name}", type=int, metavar="N", help="number of faults")
    arguments = parser.parse_args()
    for name, count in (SHORT if arguments.short else FULL).items():
        if getattr(arguments, name.replace("-", "_")) is None:
            setattr(arguments, name.replace("-", "_"), count)
    return arguments


def _started(kind: type[Side], workers: int, **settings: str) -> Side:
    folder = Path(tempfile.mkdtemp(prefix="faults-"))
    common = {"TASK_MODULES": "sample_tasks", "LEASE_SECONDS": str(LEASE), "SOFT_SHUTDOWN_SECONDS": "2"}
    side = kind(folder, **common, **settings)
    side.launch_web()
    for _ in range(workers):
        side.launch_worker()
    return side


def _progress(part: str, side: Side, most: int) -> Progress:
    began = time.monotonic()

    def show(done: int, tally: Tally) -> None:
        text = f"\r{side.name}, {part}: {done}/{most}, {tally.accepted} accepted, {time.monotonic() - began:.0f} s  "
        sys.stderr.write(text + ("\n" if done >= most else ""))
        sys.stderr.flush()

    return show


if __name__ == "__main__":
    sys.exit(main())
