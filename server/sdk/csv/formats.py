"""Recognizes files that are not tables, so that an image or a web page is refused instead of parsed."""

import json
import re

#: The offset and the bytes that identify a format, and its name.
_MAGIC = (
    (0, b"PK\x03\x04", "a ZIP archive (an Excel or OpenDocument file, perhaps)"),
    (0, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an Office file of the old kind (.xls, perhaps)"),
    (0, b"%PDF-", "a PDF"),
    (0, b"\x89PNG\r\n\x1a\n", "a PNG picture"),
    (0, b"\xff\xd8\xff", "a JPEG picture"),
    (0, b"GIF87a", "a GIF picture"),
    (0, b"GIF89a", "a GIF picture"),
    (0, b"PAR1\x15", "a Parquet file"),
    (0, b"ARROW1\x00", "an Arrow file"),
    (0, b"SQLite format 3\x00", "an SQLite database"),
    (0, b"{\\rtf", "an RTF document"),
    (0, b"\xfd7zXZ\x00", "an xz file"),
    (0, b"\x28\xb5\x2f\xfd", "a zstd file"),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (0, b"Rar!\x1a\x07", "a RAR archive"),
    (0, b"\x1f\x8b", "a gzip file inside a gzip file"),
    (4, b"1AY&SY", "a bzip2 file"),
    (257, b"ustar", "a tar archive"),
)

_HTML = re.compile(r"(?:\s|<!--.*?-->)*<(?:!doctype\s+html|html|head|body|table|div|p)\b", re.IGNORECASE | re.DOTALL)
_XML = re.compile(r"\s*<(?:\?xml|svg|rss|feed)\b")

#: The start of JSON that is cut off, or that has one value per line.
_JSON_OBJECTS = re.compile(r'\s*(?:\[\s*)?\{\s*(?:"(?:[^"\\\n]|\\.)*"\s*:|\}\s*$)|\s*\[\s*\[\s*[-"\d]')


def of_bytes(head: bytes) -> str | None:
    """Return the format of a file by its first bytes (unpacked, if it is gzipped), unless it may be text."""
    return next((name for offset, magic, name in _MAGIC if head.startswith(magic, offset)), None)


def of_text(sample: str, *, whole: bool) -> str | None:
    """Return the format of a text that is not a table; `whole` means that the sample is the complete text."""
    if _HTML.match(sample):
        return "HTML"
    if _XML.match(sample):
        return "XML"
    begin = sample.lstrip()[:1]
    if begin not in ("{", "["):
        return None
    if _JSON_OBJECTS.match(sample) or (whole and _is_json(sample)):
        return "JSON"
    return None


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True
