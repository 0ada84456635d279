"""Rules for accepted URLs and addresses."""

import ipaddress
import re
import socket
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import httpx

MAX_URL_LENGTH = 2048  # maximum length of a URL in characters
NOT_PUBLIC = "The URL's host has no public address."

Reason = Literal["refused", "unreachable", "timeout", "too-large"]
Address = ipaddress.IPv4Address | ipaddress.IPv6Address

#: Always refused: addresses without a use for clients, and the metadata services of clouds, which give out credentials.
#: The last line has IPv4 addresses inside IPv6 (mapped, translated, NAT64, 6to4, Teredo). Source: the IANA
#: special-purpose address registries.
_NEVER = tuple(
    ipaddress.ip_network(text)
    for text in (
        *("0.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4", "240.0.0.0/4", "192.88.99.0/24", "192.0.0.0/24"),
        *("168.63.129.16/32", "100.100.100.200/32", "fd00:ec2::254/128"),
        *("::/128", "fe80::/10", "fec0::/10", "ff00::/8"),
        *("::ffff:0:0/96", "::ffff:0:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32"),
    )
)
#: Host names as httpx normalizes them. httpx itself accepts more than valid names.
_NAME = re.compile(rb"[a-z0-9_.-]+")

_GLOBAL_V6 = ipaddress.ip_network("2000::/3")


class FetchError(Exception):
    """The reason for a missing or incomplete response.

    The message is for the client; it reveals no addresses or names that the client did not send.
    """

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def is_allowed(address: Address, allow_private: bool) -> bool:
    if any(address in network for network in _NEVER):
        return False
    return allow_private or (address.is_global and (address.version == 4 or address in _GLOBAL_V6))


def check_url(url: str, *, allow_private: bool) -> "httpx.URL":
    """Parse a client's URL, without a connection; raises FetchError if clients may not use it."""
    import httpx  # noqa: PLC0415

    if len(url) > MAX_URL_LENGTH:
        raise FetchError("refused", f"A URL has {MAX_URL_LENGTH} characters at most.")
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL:
        raise FetchError("refused", "This is not a URL.") from None
    if parsed.scheme not in ("http", "https"):
        raise FetchError("refused", "A URL must begin with http:// or https://.")
    if parsed.userinfo:
        raise FetchError("refused", "A URL must not hold a user name or a password.")
    if not parsed.host:
        raise FetchError("refused", "The URL has no host.")
    literal = _literal(parsed.host)
    if (literal is None and not _NAME.fullmatch(parsed.raw_host)) or (parsed.port or 0) >= 2**16:
        raise FetchError("refused", "This is not a URL.")
    if literal is not None and not is_allowed(literal, allow_private):
        raise FetchError("refused", NOT_PUBLIC)
    return parsed


def _literal(host: str) -> Address | None:
    """Parse a host as an address, in any form that a resolver accepts (`127.1`, `0x7f000001`)."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        pass
    try:
        return ipaddress.IPv4Address(socket.inet_aton(host))
    except (OSError, ValueError):  # a UnicodeError is a ValueError
        return None
