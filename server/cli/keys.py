"""`coatcheck keys`: create, list and revoke API keys, and print the secret of an owner's webhooks."""

import argparse
import sys

from server.settings import SettingsError, load
from server.store import Store
from server.store.api_keys import Role, check_owner
from server.store.connection import UNREACHABLE


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the subcommands and their arguments."""
    commands = parser.add_subparsers(dest="command", required=True)
    create = commands.add_parser("create", help="create a key and print it once")
    create.add_argument("--owner", required=True)
    create.add_argument("--role", choices=[role.value for role in Role], default=Role.SUBMIT.value)
    commands.add_parser("list", help="list owners, roles and the beginning of each key")
    commands.add_parser("revoke", help="revoke a key").add_argument("shown", help="the key, or its beginning as listed")
    secret = commands.add_parser("webhook-secret", help="print the secret that signs an owner's webhooks")
    secret.add_argument("--owner", required=True)
    secret.add_argument("--rotate", action="store_true", help="create a new one; the previous one also signs for a day")


def run(options: argparse.Namespace) -> int:
    """Run a subcommand and return its exit code."""
    try:
        return _run(Store(load()), options)
    except (SettingsError, ValueError) as error:
        print(f"keys: {error}", file=sys.stderr)
    except UNREACHABLE:
        print("keys: Redis is unreachable. Start the server (`make run`) or set REDIS_URL.", file=sys.stderr)
    return 1


def _run(store: Store, options: argparse.Namespace) -> int:
    if options.command == "create":
        print(store.api_keys.create(options.owner, Role(options.role)))
        print("Store it now: the key is not shown again.", file=sys.stderr)
    elif options.command == "list":
        for entry in store.api_keys.entries():
            print(f"{entry['shown']}…  {entry['owner']}  {entry['role']}")
    elif options.command == "webhook-secret":
        check_owner(options.owner)
        secrets = store.webhook_secrets
        print(secrets.rotate(options.owner) if options.rotate else secrets.current(options.owner))
    elif store.api_keys.revoke(options.shown) == 0:
        print("keys: no key begins like this. `coatcheck keys list` shows all keys.", file=sys.stderr)
        return 1
    return 0
