"""Checks of names from outside: file names and media types."""

import mimetypes
import re
from pathlib import PurePosixPath

_WORD = r"[A-Za-z0-9!#$&^_.+-]{1,127}"
_MEDIA_TYPE = re.compile(rf"{_WORD}/{_WORD}")
_WITH_PARAMETERS = re.compile(rf'{_WORD}/{_WORD}(; ?{_WORD}=({_WORD}|"[^"\\\x00-\x1f\x7f]*"))*')
ANY_BYTES = "application/octet-stream"  # the media type of a file in an unknown format
MAX_FILE_NAME_LENGTH = 200  # in UTF-8 bytes: the blob store's limit without the key's prefix


def is_media_type(text: str, *, parameters: bool = False) -> bool:
    """Whether the text is a media type (RFC 6838), with parameters such as `; charset=utf-8` if allowed."""
    return (_WITH_PARAMETERS if parameters else _MEDIA_TYPE).fullmatch(text) is not None


def media_type_of(name: str) -> str:
    """Return the media type for the suffix of a file's name."""
    return mimetypes.guess_type(name)[0] or ANY_BYTES


def file_name(text: str) -> str:
    """Clean a client's file name: no path, no control characters, limited length. May return ""."""
    last = text.replace("\\", "/").rpartition("/")[2]
    name = "".join(char for char in last if char.isprintable()).strip()
    if name in (".", ".."):
        return ""
    suffix = PurePosixPath(name).suffix.encode()[: MAX_FILE_NAME_LENGTH // 4].decode(errors="ignore")
    if len(name.encode()) > MAX_FILE_NAME_LENGTH:
        name = name.encode()[: MAX_FILE_NAME_LENGTH - len(suffix.encode())].decode(errors="ignore") + suffix
    return name
