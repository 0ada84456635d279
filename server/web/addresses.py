"""The server's address as its clients see it: below a prefix, behind a proxy, or as PUBLIC_URL says.

A WSGI wrapper sets the host, the scheme and `SCRIPT_NAME` of each request. Headers carry absolute URLs: routes write
paths without a prefix, and `make_absolute` completes them. Bodies carry absolute paths: `prefix()` and a path.
"""

import ipaddress
import re
from collections.abc import Collection, Iterable
from functools import lru_cache
from typing import Any, NamedTuple
from urllib.parse import quote

from flask import request
from werkzeug.datastructures import Headers
from werkzeug.sansio.utils import get_host

from server.settings import PREFIX, Settings
from server.web.current import unwrapped

#: Loopback addresses. A server without keys answers on these only.
LOOPBACK = ("127.0.0.1", "localhost", "::1")

#: Key of the WSGI environment: the host as it arrived. It marks a request that the wrapper has seen.
ARRIVED = "coatcheck.host"

_HOST = re.compile(r"([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?")
_PREFIX = re.compile(PREFIX)
_RULE_PART = re.compile(r"<(?:\w+:)?(\w+)>")
_LINK = re.compile(r"<(?=/)")
ADDRESS_FIELDS = ("Location", "Operation-Location", "Link")  # addresses in these header fields are absolute URLs


class RequestAddress(NamedTuple):
    """The address of a request: `prefix` is its `SCRIPT_NAME`, `path` the rest."""

    scheme: str
    host: str
    prefix: str
    path: str


class Forwarded(NamedTuple):
    """The address that a client used, as told by a proxy: the values of `X-Forwarded-Prefix`, `-Host` and `-Proto`."""

    prefix: str = ""
    host: str = ""
    proto: str = ""


def is_within(address: str, networks: Iterable[str]) -> bool:
    """Return whether an address is in one of these networks, each of which may be a single address."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return False
    ip = getattr(ip, "ipv4_mapped", None) or ip
    return any(ip in ipaddress.ip_network(network, strict=False) for network in networks)


class Locator:
    """Finds the address that a client used. `roots` are the first segments of the application's paths."""

    def __init__(self, settings: Settings, roots: Collection[str]) -> None:
        self._public = settings.public_address
        self._roots = roots
        self._trusted = settings.trusted_proxies
        self._is_exposed = settings.host not in LOOPBACK
        self._trusts = lru_cache(maxsize=1024)(self._is_trusted)

    def locate(self, arrived: RequestAddress, client: str, forwarded: Forwarded) -> RequestAddress:
        """Return the address that the client used; `client` is the address that the request came from."""
        scheme, host, prefix, path = arrived
        if self._public is not None:
            scheme, host, prefix = self._public
        elif any(forwarded):
            scheme, host, prefix = self._forwarded(arrived, client, forwarded)
        return RequestAddress(scheme, host, prefix, self._below(prefix, path))

    def _forwarded(self, arrived: RequestAddress, client: str, forwarded: Forwarded) -> tuple[str, str, str]:
        scheme, host, prefix, _ = arrived
        nearest, trusted = Forwarded(*map(_last, forwarded)), self._trusts(client)
        # Without TRUSTED_PROXIES, a server behind a platform's router must still know that its clients use HTTPS.
        if nearest.proto in ("http", "https") and (trusted or (self._is_exposed and not self._trusted)):
            scheme = nearest.proto
        if trusted and _HOST.fullmatch(nearest.host):
            host = nearest.host
        outer = nearest.prefix.rstrip("/")
        if trusted and _PREFIX.fullmatch(outer) and not f"{prefix}/".startswith(f"{outer}/"):
            prefix = outer + prefix
        return scheme, host, prefix

    def _is_trusted(self, client: str) -> bool:
        """Return whether this is a proxy of TRUSTED_PROXIES. A Unix socket has no address, and is one if any is."""
        if "*" in self._trusted or not client:
            return bool(self._trusted)
        return is_within(client, self._trusted)

    def _below(self, prefix: str, path: str) -> str:
        """Remove the prefix from a path if the proxy has not; `/tasks/…` below a prefix `/tasks` is a path of ours."""
        if not prefix or not f"{path}/".startswith(f"{prefix}/") or prefix.split("/")[1] in self._roots:
            return path
        return path[len(prefix) :] or "/"


class Located:
    """The WSGI wrapper. A request that passes through it twice is not changed again."""

    def __init__(self, application: Any, locator: Locator) -> None:
        self._application = application
        self._locator = locator

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Set the address that the client used, and call the application."""
        if ARRIVED not in environ:
            self._locate(environ)
        body: Iterable[bytes] = self._application(environ, start_response)
        return body

    def _locate(self, environ: dict[str, Any]) -> None:
        host = environ[ARRIVED] = environ.get("HTTP_HOST", "")
        arrived = RequestAddress(environ["wsgi.url_scheme"], host, environ.get("SCRIPT_NAME", ""), environ["PATH_INFO"])
        forwarded = Forwarded(*(environ.get(f"HTTP_X_FORWARDED_{name.upper()}", "") for name in Forwarded._fields))
        address = self._locator.locate(arrived, environ.get("REMOTE_ADDR", ""), forwarded)
        environ |= {"wsgi.url_scheme": address.scheme, "SCRIPT_NAME": address.prefix, "PATH_INFO": address.path}
        if address.host:
            environ["HTTP_HOST"] = address.host


def prefix() -> str:
    """Return the prefix of this request, for the addresses in a body."""
    return quoted(unwrapped(request).environ.get("SCRIPT_NAME", ""))


def base() -> str:
    """Return the address below which the client of this request sees the application's paths."""
    environ = unwrapped(request).environ
    return base_url(
        environ["wsgi.url_scheme"], environ.get("HTTP_HOST"), environ.get("SCRIPT_NAME", ""), _server(environ)
    )


def host_of(environ: dict[str, Any]) -> str:
    """Return the host that a client named, or the server's own; empty if it is invalid."""
    return _valid_host(environ["wsgi.url_scheme"], environ.get("HTTP_HOST"), _server(environ))


def _server(environ: dict[str, Any]) -> tuple[str, int]:
    return environ.get("SERVER_NAME", ""), int(environ.get("SERVER_PORT") or 80)


_valid_host = lru_cache(maxsize=256)(get_host)


@lru_cache(maxsize=256)
def base_url(scheme: str, host: str | None, prefix: str, server: tuple[str, int] | None = None) -> str:
    """Build the address below which a client sees the application's paths; without a valid host, only the prefix."""
    valid_host = _valid_host(scheme, host, server)
    return f"{scheme}://{valid_host}{quoted(prefix)}" if valid_host else quoted(prefix)


def quoted(prefix: str) -> str:
    """Percent-encode a prefix as it is in `SCRIPT_NAME`."""
    return quote(prefix.rstrip("/").encode("latin-1", "replace"), safe="/:@!$&'()*+,;=~") if prefix else ""


def make_absolute(fields: dict[str, str] | Headers, base: str) -> None:
    """Complete the addresses in header fields, which are paths without a prefix."""
    for name in ADDRESS_FIELDS:
        if (value := fields.get(name)) is None:
            continue
        if name == "Link":
            fields[name] = _LINK.sub(lambda _: f"<{base}", value)
        elif value.startswith("/"):
            fields[name] = base + value


def template(rule: str) -> str:
    """Return the path of a URL rule as in OpenAPI: `/tasks/{task_id}` for `/tasks/<task_id>`."""
    return _RULE_PART.sub(r"{\1}", rule)


def _last(value: str) -> str:
    """Return the value that the nearest proxy has added to a list."""
    return value.rpartition(",")[2].strip()
