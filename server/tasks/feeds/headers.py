"""Request headers of a feed. They contain secrets by name only: the values are in the settings.

A secret belongs to one host, so that a client who may fetch feeds cannot send it to a server of their own.
"""

import re
from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

from server.sdk.errors import TaskError
from server.settings import Settings
from server.tasks.feeds.settings import FeedSecret, FeedSettings

MAX_HEADERS = 20
MAX_LENGTH = 2000
_REFERENCE = re.compile(r"\$\{([A-Za-z0-9_.-]{1,64})\}")  # `${name}` in a header's value
_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")
_VALUE = re.compile(r"[\x20-\x7e]*")

#: Headers that the request sets itself.
_OURS = frozenset(
    (
        *("host", "connection", "content-length", "transfer-encoding", "accept-encoding", "te", "upgrade", "trailer"),
        *("if-none-match", "if-modified-since", "if-match", "if-unmodified-since", "if-range", "range", "expect"),
    )
)

#: Headers whose values are secrets: a literal value would be stored with the task and shown with its input.
_SENSITIVE = re.compile(r"auth|cookie|token|secret|password|api-?key|access-?key|credential", re.IGNORECASE)


def check(headers: Mapping[str, str]) -> Mapping[str, str]:
    """Refuse headers that cannot be sent, or that would store a secret with the task."""
    for name, value in headers.items():
        if not _NAME.fullmatch(name) or not _VALUE.fullmatch(value) or len(value) > MAX_LENGTH:
            raise ValueError(
                f"The header {name[:50]!r} cannot be sent: use ASCII letters, and 2,000 characters at most"
            )
        if name.lower() in _OURS:
            raise ValueError(f"The header {name} is set by the server; leave it out")
        if _SENSITIVE.search(name) and not _REFERENCE.search(value):
            raise ValueError(
                f"The value of {name} would be stored with the task. Name a secret instead, such as "
                "`Bearer ${github}`; the server's operator sets it in FEED_SECRETS"
            )
    return headers


#: Returns the headers for a URL.
HeadersFor = Callable[[str], dict[str, str]]


def resolve(headers: Mapping[str, str], url: str, owner: str, settings: Settings) -> HeadersFor:
    """Look up the secrets that the headers of a feed at `url` name; a header is sent only to its secrets' host.

    Raises:
        TaskError: `feed-secret`: this owner has no such secret, or it belongs to another host.
    """
    configured, allow_http = settings.part(FeedSettings).feed_secrets, settings.allow_private_addresses
    secrets: dict[str, FeedSecret] = {}
    for name in {name for value in headers.values() for name in _REFERENCE.findall(value)}:
        secret = configured.get(name)
        if secret is None or (secret.owners and owner not in secret.owners):
            raise TaskError(
                "feed-secret", f"You have no secret {name!r}. The server's operator sets it in FEED_SECRETS."
            )
        if not _belongs(secret, url, allow_http):
            raise TaskError("feed-secret", f"The secret {name!r} may only be sent to https://{secret.host}.")
        secrets[name] = secret

    def headers_for(url: str) -> dict[str, str]:
        return {
            name: _REFERENCE.sub(lambda match: secrets[match[1]].value, value)
            for name, value in headers.items()
            if all(_belongs(secrets[each], url, allow_http) for each in _REFERENCE.findall(value))
        }

    return headers_for


def _belongs(secret: FeedSecret, url: str, allow_http: bool) -> bool:
    """Return whether a secret may be sent to a URL: its own host, over HTTPS unless private addresses are allowed."""
    parts = urlsplit(url)
    is_own = secret.host.lower() in ((parts.hostname or "").lower(), parts.netloc.lower())
    return is_own and (parts.scheme == "https" or allow_http)
