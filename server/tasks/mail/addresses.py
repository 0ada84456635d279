"""E-mail addresses, with or without a display name: `ada@example.org`, `Ada <ada@example.org>`."""

import re
from email.headerregistry import Address
from typing import Annotated

import idna
from pydantic import AfterValidator, Field

MAX_MAILBOX_LENGTH = 500

_MAILBOX = re.compile(r'\s*(?:"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<plain>[^"<>]*?))\s*<(?P<spec>[^<>]*)>\s*')

#: Letters beyond ASCII are allowed; sending to such a name needs a mail server with SMTPUTF8.
_LOCAL = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~\u00a1-\U0010ffff-]{1,64}")
_DOMAIN = re.compile(r"[^\s@<>()\[\],;:\\\"]{1,250}")


def parse(text: str) -> Address:
    """Parse an address, or raise ValueError with a sentence for the client. The domain is returned in ASCII."""
    match = _MAILBOX.fullmatch(text)
    spec = match["spec"] if match else text.strip()
    name = (match["plain"] or re.sub(r"\\(.)", r"\1", match["quoted"] or "")) if match else ""
    local, _, domain = spec.rpartition("@")
    if (
        len(text) > MAX_MAILBOX_LENGTH
        or not _LOCAL.fullmatch(local)
        or not _DOMAIN.fullmatch(domain)
        or not name.isprintable()
    ):
        raise ValueError("This is not an e-mail address such as ada@example.org or Ada <ada@example.org>")
    return Address(name, local, _ascii(domain))


def _ascii(domain: str) -> str:
    if domain.isascii():
        return domain
    try:
        return idna.encode(domain, uts46=True).decode()
    except idna.IDNAError:
        raise ValueError("This is not an e-mail address: its domain cannot exist") from None


def _checked(text: str) -> str:
    parse(text)
    return text


Mailbox = Annotated[
    str, Field(min_length=3, max_length=MAX_MAILBOX_LENGTH, examples=["ada@example.org"]), AfterValidator(_checked)
]
