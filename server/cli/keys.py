"""`coatcheck keys`: create, list and revoke API keys, and print the secret of an owner's webhooks."""

import argparse
import sys

from server.services.status import timestamp
from server.settings import SettingsError, load
from server.store import Store
from server.store.api_keys import (
    MAX_LIFETIME,
    MAX_NOTE,
    MAX_RATE_LIMIT,
    MAX_WEIGHT,
    ApiKey,
    Role,
    check_owner,
    id_of,
)
from server.store.audit import COMMAND_LINE, Act
from server.store.connection import UNREACHABLE


def add_arguments(parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(dest="command", required=True)
    create = commands.add_parser("create", help="create a key and print it once")
    create.add_argument("--owner", required=True)
    create.add_argument("--role", choices=[role.value for role in Role], default=Role.SUBMIT.value)
    create.add_argument("--note", default="", help="what will use it")
    create.add_argument("--expires-in", type=int, metavar="SECONDS", help="without it, the key does not expire")
    create.add_argument("--rate-limit", type=int, metavar="N", help="requests per minute; without it, no limit")
    create.add_argument("--weight", type=int, default=1, metavar="N", help="share of turns in a queue, 1 to 100")
    commands.add_parser("list", help="list id, owner, role, last use, expiry and note of each key")
    commands.add_parser("revoke", help="revoke a key").add_argument("shown", help="the key, its id or its beginning")
    secret = commands.add_parser("webhook-secret", help="print the secret that signs an owner's webhooks")
    secret.add_argument("--owner", required=True)
    secret.add_argument("--rotate", action="store_true", help="create a new one; the previous one also signs for a day")


def run(options: argparse.Namespace) -> int:
    try:
        return _run(Store(load()), options)
    except (SettingsError, ValueError) as error:
        print(f"keys: {error}", file=sys.stderr)
    except UNREACHABLE:
        print("keys: Redis is unreachable. Start the server (`make run`) or set REDIS_URL.", file=sys.stderr)
    return 1


def _run(store: Store, options: argparse.Namespace) -> int:
    if options.command == "create":
        _check(options)
        key = store.api_keys.create(
            options.owner, Role(options.role), options.note, options.expires_in, options.rate_limit, options.weight
        )
        store.audit.record(Act("make_key", COMMAND_LINE, target=id_of(key)))
        print(key)
        print("Store it now: the key is not shown again.", file=sys.stderr)
    elif options.command == "list":
        for entry in store.api_keys.entries():
            print(_line(entry))
    elif options.command == "webhook-secret":
        check_owner(options.owner)
        secrets = store.webhook_secrets
        print(secrets.rotate(options.owner) if options.rotate else secrets.current(options.owner))
    elif revoked := store.api_keys.revoke(options.shown):
        for each in revoked:
            store.audit.record(Act("revoke_key", COMMAND_LINE, target=each.id))
    else:
        print("keys: no key begins like this. `coatcheck keys list` shows all keys.", file=sys.stderr)
        return 1
    return 0


def _check(options: argparse.Namespace) -> None:
    """Refuse what `POST /keys` refuses, and a note that is not text of one line."""
    for name, maximum in {"expires-in": MAX_LIFETIME, "rate-limit": MAX_RATE_LIMIT, "weight": MAX_WEIGHT}.items():
        number = getattr(options, name.replace("-", "_"))
        if number is not None and not 1 <= number <= maximum:
            raise ValueError(f"--{name} must be from 1 to {maximum}")
    if len(options.note) > MAX_NOTE or not options.note.isprintable():
        raise ValueError(f"--note must be one line of at most {MAX_NOTE} characters")


def _line(key: ApiKey) -> str:
    used = f"last used {timestamp(key.used_ms)}" if key.used_ms else "not used"
    expires = f"expires {timestamp(key.expires_ms)}" if key.expires_ms else "does not expire"
    return "  ".join(filter(None, (key.id, f"{key.shown}…", key.owner, key.role, used, expires, key.note)))
