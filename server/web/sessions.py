"""Sign-in with an API key: the browser keeps a signed cookie with the hash of the key, never the key itself.

A session ends when it expires, at sign-out, or when its key is revoked. It is accepted like the key's `Authorization`
header on every route. Since browsers also send it with requests from other sites, unsafe requests (RFC 9110, 9.2.1)
must show with `Origin` or `Sec-Fetch-Site` that they come from a page of this server.
"""

import hashlib
import hmac
import time
from dataclasses import dataclass
from typing import Any

from flask import Response, request

from server.store.api_keys import OWNER, PROXY, Caller, Role, fingerprint
from server.web.addresses import is_within, prefix
from server.web.current import store, unwrapped
from server.web.errors import Problem

COOKIE = "coatcheck"

#: Key of the WSGI environment: the user, or None, that the application around this one has found.
HOST_USER = "coatcheck.user"

#: Session length in seconds: on a device that stays signed in, and otherwise (then it also ends with the browser).
KEPT_LIFE, LIFE = 30 * 86_400, 12 * 3600


@dataclass(frozen=True, slots=True)
class HostUser:
    """A user of the application around this one."""

    name: str
    is_admin: bool


SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


def sign_in(response: Response, key: str, *, keep: bool = False) -> bool:
    """Give the browser a session of this key. Return False if the key does not exist."""
    if store().api_keys.find(key) is None:
        return False
    life = KEPT_LIFE if keep else LIFE
    value = seal(fingerprint(key), int(time.time()) + life)
    age = life if keep else None
    response.set_cookie(COOKIE, value, max_age=age, **_attributes())
    return True


def sign_out(response: Response) -> None:
    response.delete_cookie(COOKIE, **_attributes())


def _attributes() -> dict[str, Any]:
    """The cookie's attributes: other applications of the same host must not receive it."""
    return {"path": prefix() or "/", "httponly": True, "samesite": "Lax", "secure": request.is_secure}


def caller_of_session() -> Caller | None:
    """Return the caller of the session, or None; refuse an unsafe request of another site's page."""
    key_fingerprint = unseal(request.cookies.get(COOKIE, ""))
    caller = store().api_keys.by_fingerprint(key_fingerprint) if key_fingerprint else None
    if caller is not None:
        require_own_page()
    return caller


def caller_of_proxy() -> Caller | None:
    """Return the caller that a trusted proxy names, or None; refuse an unsafe request of another site's page."""
    settings = store().settings
    name = request.headers.get(settings.auth_proxy_header, "") if settings.auth_proxy_header else ""
    proxies = settings.auth_proxy_addresses or ("127.0.0.1", "::1")
    if not name or not is_within(request.remote_addr or "", proxies):
        return None
    require_own_page()
    return _named(name, name in settings.auth_proxy_admins)


def caller_of_host() -> Caller | None:
    """Return the user of the application around this one as a caller, or None.

    Raises:
        Problem: `forbidden` for a name that cannot be an owner's, and for an unsafe request that a browser sends from
            another site. Clients that are not browsers send neither `Origin`, which is checked for every request, nor
            `Sec-Fetch-Site`.
    """
    user: HostUser | None = unwrapped(request).environ.get(HOST_USER)
    if user is None:
        return None
    if request.method not in SAFE_METHODS and request.headers.get("Sec-Fetch-Site") not in (None, "same-origin"):
        raise Problem("forbidden", "Only pages of this server may do this.")
    return _named(user.name, user.is_admin)


def _named(name: str, is_admin: bool) -> Caller:
    if not OWNER.fullmatch(name):
        raise Problem("forbidden", "The user's name is not an owner's: 64 letters, digits and _ . @ -.")
    return Caller(name, Role.ADMIN if is_admin else Role.SUBMIT, PROXY)


def require_own_page() -> None:
    """Require that an unsafe request comes from a page of this server. Raises the problem `forbidden`."""
    if request.method in SAFE_METHODS:
        return
    origin = request.headers.get("Origin")
    if origin:
        is_own_page = origin.partition("://")[2] == request.host
    else:
        is_own_page = request.headers.get("Sec-Fetch-Site") == "same-origin"
    if not is_own_page:
        raise Problem("forbidden", "With a session, only this server's pages may do this. Send the API key instead.")


def seal(name: str, until: int) -> str:
    """Make the cookie for a key's fingerprint."""
    text = f"{until}.{name}"
    return f"{text}.{_signature(text)}"


def unseal(value: str) -> str | None:
    """Read the fingerprint in a cookie. Return None if the signature is invalid or the cookie has expired."""
    text, _, signature = value.rpartition(".")
    if not text or not hmac.compare_digest(signature.encode(), _signature(text).encode()):
        return None
    until, _, name = text.partition(".")
    return name if int(until) > time.time() else None


def _signature(text: str) -> str:
    """Sign with a separate label, because the same secret signs task ids."""
    return hmac.new(store().secret, b"session " + text.encode(), hashlib.sha256).hexdigest()
