"""Tasks whose inputs have secrets."""

import hashlib
import logging
import sys
from typing import Any

from celery import shared_task
from pydantic import BaseModel, SecretBytes, SecretStr

from server import expose
from server.sdk.context import Context, Upload
from server.sdk.registry import task


class Account(BaseModel):
    """A login with a secret by its type, and one by its name in an object that accepts any key."""

    user: str
    pin: SecretStr | None = None
    more: dict[str, Any] = {}


def digest(text: str | bytes) -> str:
    """Return a hash, with which a test recognizes the secret that a task was given."""
    return hashlib.sha256(text.encode() if isinstance(text, str) else text).hexdigest()


@task(retries=1, retry_backoff=0.1, retry_on=(ConnectionError,))
def signs_in(
    ctx: Context, host: str, code: SecretStr, api_key: str = "", accounts: list[Account] | None = None, how: str = ""
) -> list[str]:
    """Return hashes of the secrets that came in, or fail in a way that shows them."""
    secret = code.get_secret_value()
    if how == "raises":
        try:
            raise ValueError(f"{host} refuses {secret!r}")
        except ValueError as error:
            raise RuntimeError(f"no way in with {secret} and {api_key}") from error
    if how == "refuses":
        raise ValueError(f"The code {secret} is not one of {host}")
    if how == "tells":
        print(f"printed {secret}", flush=True)
        print(f"to the other output {api_key}", file=sys.stderr, flush=True)
        logging.getLogger("some.library").warning("connects with %s", secret)
        ctx.log(f"line of {secret}")
        ctx.progress(1, 1, f"used {secret}")
    if how == "later" and not ctx.retries:
        raise ConnectionError(f"{secret} was too early")
    secrets = [secret, api_key]
    for account in accounts or []:
        secrets += [account.pin.get_secret_value() if account.pin else "", str(account.more.get("db_password", ""))]
    return [digest(each) for each in secrets if each]


@task
def passes_on(ctx: Context, code: SecretStr, account: Account) -> str:
    """Submit another task with the secrets that came in. Return its id."""
    return ctx.submit("signs_in", host="shop.example.org", code=code, accounts=[account])


@task()
def unlocks(file: Upload, key_file_passphrase: SecretBytes) -> str:
    """Return a hash of the secret."""
    return digest(key_file_passphrase.get_secret_value())


@shared_task
def charge(order: int, card: dict[str, str], token: str) -> int:
    """Charge an order to a card."""
    return order


expose(charge)
