"""Signing in with an API key: a browser keeps a signed cookie that names the key by its hash, never the key itself.

A session ends when its time is over, when it is signed out of, or when its key is revoked. It is as good as the key's
`Authorization` header for every route; but whoever has another site's page open sends it too, so what is not safe
(RFC 9110, 9.2.1) must say that it comes from a page of this server: browsers send `Origin` or `Sec-Fetch-Site`.
"""

import hashlib
import hmac
import time

from flask import Response, request

from server.store.api_keys import Caller, fingerprint
from server.web.current import store
from server.web.errors import Problem

COOKIE = "coatcheck"

#: Seconds for which one stays signed in.
LIFE = 7 * 86_400

_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


def sign_in(response: Response, key: str) -> bool:
    """Give the browser a session of this key; False where there is no such key."""
    if store().api_keys.find(key) is None:
        return False
    value = seal(fingerprint(key), int(time.time()) + LIFE)
    response.set_cookie(COOKIE, value, max_age=LIFE, httponly=True, samesite="Lax", secure=request.is_secure)
    return True


def sign_out(response: Response) -> None:
    """Take the session back."""
    response.delete_cookie(COOKIE, httponly=True, samesite="Lax", secure=request.is_secure)


def caller_of_session() -> Caller | None:
    """Who is signed in, or None.

    Raises:
        Problem: `forbidden` where the request would change something and comes from no page of this server.
    """
    found = unseal(request.cookies.get(COOKIE, ""))
    caller = store().api_keys.by_fingerprint(found) if found else None
    if caller is not None:
        require_own_page()
    return caller


def require_own_page() -> None:
    """See to it that a request that is not safe comes from a page of this server.

    Raises:
        Problem: `forbidden`.
    """
    if request.method in _SAFE_METHODS:
        return
    origin = request.headers.get("Origin")
    own = origin.partition("://")[2] == request.host if origin else _fetched_by_own_page()
    if not own:
        raise Problem("forbidden", "With a session, only this server's own pages may do that. Send the key itself.")


def _fetched_by_own_page() -> bool:
    return request.headers.get("Sec-Fetch-Site") == "same-origin"


def seal(name: str, until: int) -> str:
    """The cookie of a key's fingerprint."""
    text = f"{until}.{name}"
    return f"{text}.{_signature(text)}"


def unseal(value: str) -> str | None:
    """The fingerprint in a cookie, or None where it is not ours, or its time is over."""
    text, _, signature = value.rpartition(".")
    if not text or not hmac.compare_digest(signature.encode(), _signature(text).encode()):
        return None
    until, _, name = text.partition(".")
    return name if int(until) > time.time() else None


def _signature(text: str) -> str:
    """Under a label of its own: the same secret signs task ids."""
    return hmac.new(store().secret, b"session " + text.encode(), hashlib.sha256).hexdigest()
