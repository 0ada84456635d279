"""The `coatcheck` command."""

import argparse
import sys

from server.cli import keys, run


def main() -> int:
    """Run a command; its exit code."""
    parser = argparse.ArgumentParser(prog="coatcheck", description="An asynchronous REST task server.")
    commands = parser.add_subparsers(dest="main", required=True)
    commands.add_parser("run", help="start everything on this machine: Valkey, web and worker")
    keys.add_arguments(commands.add_parser("keys", help="create, list and revoke API keys"))
    options = parser.parse_args()
    return run.main() if options.main == "run" else keys.run(options)


if __name__ == "__main__":
    sys.exit(main())
