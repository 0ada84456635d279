"""The body of an answer: unpacking it, and finding its format."""

import re
import zlib
from typing import Literal
from urllib.parse import urlsplit

from server.sdk.errors import TaskError

Format = Literal["json", "ndjson", "csv"]

_GZIP = b"\x1f\x8b"
_WBITS = 31  # zlib's value for gzip
_CHUNK = 2**20

_MEDIA_TYPES: dict[str, Format] = {
    "text/csv": "csv",
    "application/csv": "csv",
    "text/tab-separated-values": "csv",
    "application/x-ndjson": "ndjson",
    "application/ndjson": "ndjson",
    "application/jsonl": "ndjson",
    "application/x-jsonl": "ndjson",
    "application/jsonlines": "ndjson",
    "application/x-jsonlines": "ndjson",
}
_ENDINGS: dict[str, Format] = {
    ".csv": "csv", ".tsv": "csv", ".json": "json", ".ndjson": "ndjson", ".jsonl": "ndjson"
}  # fmt: skip

_CHARSET = re.compile(r';\s*charset\s*=\s*"?([\w.:-]+)"?', re.IGNORECASE)


def unpacked(body: bytes, limit: int) -> bytes:
    """Return the content of a gzip file, or other bytes unchanged. The HTTP client handles `Content-Encoding`."""
    if not body.startswith(_GZIP):
        return body
    parts, size = [], 0
    while body:
        member = zlib.decompressobj(_WBITS)
        while not member.eof:
            try:
                part = member.decompress(body, _CHUNK)
            except zlib.error:
                raise TaskError("feed-unreadable", "The gzip file is damaged.") from None
            body = member.unconsumed_tail
            if not part and not body and not member.eof:
                raise TaskError("feed-unreadable", "The gzip file is cut off.")
            parts.append(part)
            size += len(part)
            if size > limit:
                raise TaskError("feed-too-large", f"The gzip file has more than {limit} bytes unpacked.")
        body = member.unused_data.lstrip(b"\0")
    return b"".join(parts)


def format_of(content_type: str, url: str) -> Format:
    """Return the format by media type, else by the ending of the URL's path; JSON if both are unknown."""
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type in _MEDIA_TYPES:
        return _MEDIA_TYPES[media_type]
    if media_type.endswith("json"):
        return "json"
    path = urlsplit(url).path.lower().removesuffix(".gz")
    return next((name for ending, name in _ENDINGS.items() if path.endswith(ending)), "json")


def charset_of(content_type: str) -> str | None:
    """Return the charset of a media type; None for the usual ones, which are detected from the text."""
    found = _CHARSET.search(content_type)
    return found[1] if found and found[1].lower() not in ("utf-8", "utf8", "us-ascii") else None
