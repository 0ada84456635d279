"""Builds the PEP 3333 environment of a request."""

import os
import sys
from functools import lru_cache
from typing import Any
from urllib.parse import unquote_to_bytes, urlsplit

from server.web.gunicorn_worker.http1.head import Head, Refused
from server.web.long_poll import WAITING_SLOTS, WaitingSlots

Environ = dict[str, Any]


class Environs:
    """Builds the environments of one worker's requests."""

    def __init__(self, cfg: Any, slots: WaitingSlots) -> None:
        self._base: Environ = {
            "wsgi.errors": sys.stderr,
            "wsgi.version": (1, 0),
            "wsgi.multithread": True,
            "wsgi.multiprocess": cfg.workers > 1,
            "wsgi.run_once": False,
            "wsgi.input_terminated": True,
            "wsgi.url_scheme": "https" if cfg.is_ssl else "http",
            "SERVER_SOFTWARE": "gunicorn",
            "SCRIPT_NAME": os.environ.get("SCRIPT_NAME", ""),
            WAITING_SLOTS: slots,
        }

    def make(self, head: Head, client: Any, server: Any, body: Any) -> Environ:
        """Return the environment of one request.

        Raises:
            Refused: the path is not below `SCRIPT_NAME`.
        """
        environ = self._base.copy()
        path, query, authority = _split(head.target)
        environ["REQUEST_METHOD"] = head.method
        environ["RAW_URI"] = head.target
        environ["QUERY_STRING"] = query
        environ["SERVER_PROTOCOL"] = f"HTTP/{head.version}"
        environ["wsgi.input"] = body
        environ["REMOTE_ADDR"], environ["REMOTE_PORT"] = address_of(client)
        environ["SERVER_NAME"], environ["SERVER_PORT"] = address_of(server)
        for name, value in head.fields:
            if (key := _key(name)) is None:
                continue
            if key in environ:
                environ[key] = f"{environ[key]},{value}"
            else:
                environ[key] = value
        if authority:  # RFC 9112, 3.2.2: it overrides `Host`
            environ["HTTP_HOST"] = authority
        environ["PATH_INFO"] = _below(environ["SCRIPT_NAME"], path)
        return environ


@lru_cache(maxsize=1024)
def _key(name: str) -> str | None:
    """Return the key of a field; None for a name with `_`, which could pass for another with `-`."""
    if "_" in name:
        return None
    key = name.upper().replace("-", "_")
    return key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}"


def _split(target: str) -> tuple[str, str, str]:
    """Return path, query, and the authority of an absolute target."""
    if target.startswith("/"):
        path, _, query = target.partition("?")
        return path, query, ""
    if target == "*":
        return "*", "", ""
    try:
        parts = urlsplit(target)
    except ValueError:
        raise Refused(400) from None
    if not parts.netloc or "@" in parts.netloc:
        raise Refused(400)
    return parts.path or "/", parts.query, parts.netloc


def address_of(address: Any) -> tuple[str, str]:
    """Return host and port of a TCP address; a Unix socket has neither."""
    return (address[0], str(address[1])) if isinstance(address, tuple) else ("", "")


def _below(prefix: str, path: str) -> str:
    if not f"{path}/".startswith(f"{prefix}/"):
        raise Refused(400)
    path = path[len(prefix) :]
    return unquote_to_bytes(path).decode("latin-1") if "%" in path else path
