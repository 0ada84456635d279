"""The body of an answer: unpacking it, and finding its format."""

import gzip
import io
import zlib
from email.message import Message
from typing import Literal
from urllib.parse import urlsplit

from server.sdk.errors import TaskError
from server.tasks.feeds.errors import unreadable

Format = Literal["json", "ndjson", "csv"]

_GZIP = b"\x1f\x8b"

#: Formats by the endings of files, and by media subtypes without `x-`.
_FORMATS: dict[str, Format] = {
    **dict.fromkeys(("csv", "tsv", "tab-separated-values"), "csv"),
    **dict.fromkeys(("ndjson", "jsonl", "jsonlines"), "ndjson"),
    "json": "json",
}


def unpacked(body: bytes, limit: int) -> bytes:
    """Return the content of a gzip file, or other bytes unchanged. The HTTP client handles `Content-Encoding`.

    Raises:
        TaskError: `feed-too-large`, or `feed-unreadable` if the file is damaged.
    """
    if not body.startswith(_GZIP):
        return body
    try:
        with gzip.open(io.BytesIO(body)) as file:
            content = file.read(limit + 1)
    except EOFError:
        raise unreadable("The gzip file is cut off.") from None
    except (OSError, zlib.error):
        raise unreadable("The gzip file is damaged.") from None
    if len(content) > limit:
        raise TaskError("feed-too-large", f"The gzip file has more than {limit} bytes unpacked.")
    return content


def format_of(header: Message, url: str) -> Format:
    """Return the format by the header's media type, else by the ending of the URL's path; JSON if both are unknown."""
    subtype = header.get_content_subtype().removeprefix("x-")
    if subtype in _FORMATS:
        return _FORMATS[subtype]
    if subtype.endswith("json"):
        return "json"
    return _FORMATS.get(urlsplit(url).path.lower().removesuffix(".gz").rpartition(".")[2], "json")


def charset_of(header: Message) -> str | None:
    """Return the charset of the header's media type; None for the usual ones, which are detected from the text."""
    charset = header.get_content_charset()
    return None if charset in ("utf-8", "utf8", "us-ascii") else charset
