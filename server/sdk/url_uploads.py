"""Uploads by URL: the worker downloads them once for each attempt, before it calls the task's function.

The function gets the same `Upload` class for every source, with size and name. If a download fails, the function is not
called.
"""

import hashlib
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from email.message import Message
from typing import Any, BinaryIO, cast

from server.sdk.errors import TaskError
from server.sdk.file_names import ANY_BYTES, file_name, is_media_type, media_type_of
from server.sdk.http import FetchError, RequestLimits, Response, request
from server.sdk.uploads import UNNAMED, Upload, uploads_in
from server.settings import Settings

_MEMORY_FILE = 2**20
_GENERIC_TYPES = (ANY_BYTES, "binary/octet-stream")


@contextmanager
def fetched_uploads(
    arguments: Mapping[str, Any], settings: Settings, max_bytes: int | None, seconds: float
) -> Iterator[None]:
    """Download all uploads by URL among a function's arguments. The block's end deletes the files.

    Each may have `max_bytes` (None: `MAX_UPLOAD_BYTES`) and take `seconds`. Together they may have `MAX_UPLOAD_BYTES`.

    Raises:
        TaskError: `upload-unreachable` or `too-large`.
    """
    limit = max_bytes or settings.max_upload_bytes
    remaining = max(limit, settings.max_upload_bytes)
    with ExitStack() as files:
        for upload in (each for _, each in uploads_in(arguments) if each.url):
            file = files.enter_context(tempfile.SpooledTemporaryFile(_MEMORY_FILE))
            upload.fetched = cast(BinaryIO, file)
            limits = RequestLimits(seconds=seconds, bytes=min(limit, remaining))
            _fetch(upload, upload.fetched, limits, settings.allow_private_addresses)
            remaining -= upload.size
        yield


def _fetch(upload: Upload, file: BinaryIO, limits: RequestLimits, allow_private: bool) -> None:
    url = upload.url
    name = _last_segment(url) if upload.filename == UNNAMED else upload.filename
    digest = hashlib.sha256()
    try:
        with request("GET", url, limits=limits, allow_private=allow_private) as response:
            if not 200 <= response.status <= 299:
                raise TaskError("upload-unreachable", f"{name}: its server answered {response.status}.")
            for chunk in response.chunks():
                digest.update(chunk)
                file.write(chunk)
            if upload.filename == UNNAMED:
                upload.filename = _filename(response)
            upload.media_type = upload.media_type or _media_type(response, upload.filename)
    except FetchError as error:
        if error.reason == "too-large":
            raise TaskError("too-large", f"{name}: a file may have {limits.bytes} bytes here.") from None
        raise TaskError("upload-unreachable", f"{name}: {error}") from None
    upload.size, upload.sha256 = file.tell(), digest.hexdigest()


def _filename(response: Response) -> str:
    """The server's file name (RFC 6266), or the last part of the URL."""
    header = Message()
    header["Content-Disposition"] = response.headers.get("Content-Disposition", "")
    return file_name(header.get_filename() or "") or _last_segment(str(response.url))


def _last_segment(url: str) -> str:
    import httpx  # noqa: PLC0415

    return file_name(httpx.URL(url).path) or UNNAMED


def _media_type(response: Response, filename: str) -> str:
    declared: str = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if is_media_type(declared) and declared not in _GENERIC_TYPES:
        return declared
    return media_type_of(filename)
