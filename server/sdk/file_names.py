"""Names that come from outside: what a file may be called, and what is a media type."""

import re
from pathlib import PurePosixPath

_WORD = r"[A-Za-z0-9!#$&^_.+-]{1,127}"
_MEDIA_TYPE = re.compile(rf"{_WORD}/{_WORD}")
_WITH_PARAMETERS = re.compile(rf'{_WORD}/{_WORD}(; ?{_WORD}=({_WORD}|"[^"\\\x00-\x1f\x7f]*"))*')

#: Bytes of a file's name in UTF-8: what a blob store takes, less what stands in front of it there.
LONGEST = 200


def is_media_type(text: str, *, parameters: bool = False) -> bool:
    """Whether it is `type/subtype` (RFC 6838), with parameters such as `; charset=utf-8` where these may be."""
    return (_WITH_PARAMETERS if parameters else _MEDIA_TYPE).fullmatch(text) is not None


def file_name(text: str) -> str:
    """What a client calls a file, as a name without a path, control characters or great length; may be empty."""
    last = text.replace("\\", "/").rpartition("/")[2]
    name = "".join(char for char in last if char.isprintable()).strip()
    if name in (".", ".."):
        return ""
    suffix = PurePosixPath(name).suffix.encode()[: LONGEST // 4].decode(errors="ignore")
    if len(name.encode()) > LONGEST:
        name = name.encode()[: LONGEST - len(suffix.encode())].decode(errors="ignore") + suffix
    return name
