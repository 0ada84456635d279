"""The commands that start a process, as in the Procfile but from any folder."""

import sys
from collections.abc import Sequence
from pathlib import Path

_ENTRY = "server.cli.entry"
_CONFIG = "gunicorn.conf.py"


def web(options: Sequence[str] = ()) -> list[str]:
    return [sys.executable, "-m", "gunicorn", "--config", str(_config()), *options, _ENTRY]


def worker(options: Sequence[str] = ()) -> list[str]:
    quiet = ["--loglevel", "INFO", "--without-gossip", "--without-mingle"]
    return [sys.executable, "-m", "celery", "--quiet", "-A", _ENTRY, "worker", *quiet, *options]


def _config() -> Path:
    """Gunicorn's settings: in this folder of the wheel, or in the root of the repository."""
    here = Path(__file__).parent / _CONFIG
    return here if here.is_file() else Path(__file__).parents[2] / _CONFIG
