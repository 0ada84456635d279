"""The `coatcheck` command: parses its arguments and calls its parts."""

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module

from server import __version__
from server.cli import commands, doctor, keys


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code; by default the command of this process."""
    parser = argparse.ArgumentParser(prog="coatcheck", description="An asynchronous REST task server.")
    parser.add_argument("--version", action="version", version=f"coatcheck {__version__}")
    subcommands = parser.add_subparsers(dest="main", required=True)
    subcommands.add_parser("run", help="start everything on this machine: Valkey, web and worker")
    for name, program in {"web": "Gunicorn", "worker": "a Celery worker"}.items():
        text = f"start {program}; its own options may follow"
        subcommands.add_parser(name, help=text, add_help=False, prefix_chars="\0")
    keys.add_arguments(subcommands.add_parser("keys", help="create, list and revoke API keys"))
    subcommands.add_parser("doctor", help="check settings, Redis and files, and say what to change")
    options, more = parser.parse_known_args(arguments)
    if options.main in ("web", "worker"):
        os.execv(sys.executable, commands.web(more) if options.main == "web" else commands.worker(more))
    if more:
        parser.error(f"unrecognized arguments: {' '.join(more)}")
    if options.main == "doctor":
        return doctor.run()
    return keys.run(options) if options.main == "keys" else _run()


def _run() -> int:
    """Import the runner on first use: only `coatcheck run` needs its packages."""
    try:
        code: int = import_module("server.cli.run").main()
    except ModuleNotFoundError as error:
        print(f"coatcheck run needs {error.name}: pip install 'coatcheck[run]'", file=sys.stderr)
        return 1
    return code


if __name__ == "__main__":
    sys.exit(main())
