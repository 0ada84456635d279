"""Uploads: part of a form, a raw body, Base64 in JSON, a URL, or a file of another task."""

import base64
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, BinaryIO, TypeVar, cast

from pydantic import BaseModel, BeforeValidator, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import PydanticCustomError, core_schema

from server.sdk.errors import TaskError
from server.sdk.file_names import file_name, is_media_type, media_type_of
from server.sdk.http import MAX_URL_LENGTH, FetchError, check_url
from server.store.blobs.base import BlobStore
from server.store.connection import until_available
from server.store.errors import BlobMissing


@dataclass(frozen=True, slots=True)
class InputContext:
    """Pydantic's validation context of an input.

    With `blobs`, the input is a stored one, and an upload names its blob. It must never be set for a client's request,
    which could then read other owners' files. `allow_private`: URLs of private addresses are accepted.
    """

    allow_private: bool = False
    blobs: BlobStore | None = None


Location = tuple[str | int, ...]  # the location of an upload in an input: its parameter, and its index in a list
UNNAMED = "upload"  # the name of a file that was sent without one
_BASE64 = "^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$"

T = TypeVar("T")

_MEMORY_FILE = 2**20
_CHUNK = 2**18


def _decoded(text: object) -> bytes:
    try:
        return base64.b64decode(text if isinstance(text, str) else "?", validate=True)
    except ValueError:
        raise PydanticCustomError("base64", "Input should be Base64 (RFC 4648), without line breaks") from None


class _Inline(BaseModel, extra="forbid"):
    """An upload as Base64 in a JSON body."""

    data: Annotated[bytes, BeforeValidator(_decoded)]
    filename: str = ""
    media_type: str = ""


class _ByUrl(BaseModel, extra="forbid"):
    """An upload that the worker downloads."""

    url: str
    filename: str = ""
    media_type: str = ""


class _OfTask(BaseModel, extra="forbid"):
    """An upload that is a file of another task of the same owner."""

    task_id: str
    file: str


@dataclass(slots=True)
class Upload:
    """A file that the client sent, or a URL that is downloaded before the function is called.

    `size` is in bytes. `filename` is chosen by the client or the other server; do not use it as a path.
    """

    key: str
    filename: str
    media_type: str
    size: int
    sha256: str = ""
    inline: bytes | None = None  # the bytes of an upload in a JSON body, until they are in the blob store
    #: The URL, and the file downloaded in this attempt (see `server.sdk.url_uploads`).
    url: str = ""
    fetched: BinaryIO | None = None
    #: The other task and its file, until that task has ended (see `server.sdk.dependencies`).
    task_id: str = ""
    file: str = ""
    #: The store of its bytes; set when a stored input is read.
    blobs: BlobStore | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        self.filename = file_name(self.filename) or UNNAMED

    def read(self) -> bytes:
        """Read the whole file; raises `upload-missing` if the blob store has lost it."""
        return self._until_available(self._load)

    @contextmanager
    def open(self) -> Iterator[BinaryIO]:
        """Open it as a seekable file: in memory up to 1 MiB, otherwise on the worker's disk."""
        with tempfile.SpooledTemporaryFile(_MEMORY_FILE) as file:
            self._copy_to(cast(BinaryIO, file))
            file.seek(0)
            yield cast(BinaryIO, file)

    @contextmanager
    def path(self) -> Iterator[Path]:
        """Copy it to a file on the worker's disk, for libraries that need a path. The block's end deletes it."""
        with tempfile.NamedTemporaryFile(suffix=PurePosixPath(self.filename).suffix) as file:
            self._copy_to(cast(BinaryIO, file))
            file.flush()
            yield Path(file.name)

    def _load(self) -> bytes:
        if self.fetched is None and self.blobs is not None:
            return self.blobs.load(self.key)
        return b"".join(self._chunks())

    def _chunks(self) -> Iterator[bytes]:
        file = self.fetched
        if file is None:
            assert self.blobs is not None
            return self.blobs.read(self.key)
        file.seek(0)
        return iter(lambda: file.read(_CHUNK), b"")

    def _copy_to(self, file: BinaryIO) -> None:
        def copy() -> None:
            file.seek(0)
            for chunk in self._chunks():
                file.write(chunk)

        self._until_available(copy)

    def _until_available(self, read: Callable[[], T]) -> T:
        try:
            return until_available(read)
        except BlobMissing:
            raise TaskError("upload-missing", f"The upload {self.filename!r} is gone.") from None

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        return core_schema.with_info_plain_validator_function(
            _validate_upload, serialization=core_schema.plain_serializer_function_ser_schema(stored_form)
        )

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {
            "type": "object",
            "title": "Upload",
            "description": "A file: part of a form, the raw body, or in JSON its bytes, a URL, or a task's file.",
            "format": "upload",
            "properties": {
                "data": {"type": "string", "contentEncoding": "base64", "pattern": _BASE64},
                "url": {"type": "string", "format": "uri", "pattern": "^https?://", "maxLength": MAX_URL_LENGTH},
                "task_id": {"type": "string", "format": "uuid"},
                "file": {"type": "string"},
                "filename": {"type": "string"},
                "media_type": {"type": "string"},
            },
            "oneOf": [{"required": ["data"]}, {"required": ["url"]}, {"required": ["task_id", "file"]}],
            "dependentSchemas": {
                "task_id": {"required": ["file"], "propertyNames": {"enum": ["task_id", "file"]}},
                "file": {"required": ["task_id"]},
            },
            "additionalProperties": False,
        }


def uploads_in(arguments: Mapping[str, Any]) -> Iterator[tuple[Location, Upload]]:
    """Yield the uploads among a function's arguments, also those in lists, with their locations."""
    for name, value in arguments.items():
        if isinstance(value, Upload):
            yield (name,), value
        elif isinstance(value, list):
            yield from (((name, index), each) for index, each in enumerate(value) if isinstance(each, Upload))


def stored_form(upload: Upload) -> dict[str, Any]:
    """The JSON object that a record has of an upload."""
    fields = ("key", "filename", "media_type", "size", "sha256")
    optional = {name: value for name in ("url", "task_id", "file") if (value := getattr(upload, name))}
    return {name: getattr(upload, name) for name in fields} | optional


def _validate_upload(value: Any, info: core_schema.ValidationInfo) -> Upload:
    if isinstance(value, Upload):
        return value
    context = info.context if isinstance(info.context, InputContext) else InputContext()
    if context.blobs is not None:
        return Upload(**value, blobs=context.blobs)
    if isinstance(value, dict) and "url" in value:
        return _validate_url(_ByUrl.model_validate(value), context.allow_private)
    if isinstance(value, dict) and "task_id" in value:
        of_task = _OfTask.model_validate(value)
        return Upload("", of_task.file, "", 0, task_id=of_task.task_id, file=of_task.file)
    if not isinstance(value, dict) or "data" not in value:
        forms = '{"data": "<base64>", "filename": "…"}, {"url": "https://…"} or {"task_id": "…", "file": "…"}'
        raise PydanticCustomError("upload", "Input should be a file: {forms}", {"forms": forms})
    inline = _Inline.model_validate(value)
    media_type = inline.media_type or media_type_of(inline.filename)
    return Upload("", inline.filename, media_type, len(inline.data), inline=inline.data)


def _validate_url(by_url: _ByUrl, allow_private: bool) -> Upload:
    try:
        check_url(by_url.url, allow_private=allow_private)
    except FetchError as error:
        raise PydanticCustomError("upload", "{message}", {"message": str(error)}) from None
    if by_url.media_type and not is_media_type(by_url.media_type):
        raise PydanticCustomError("upload", "Input should have a media type such as image/png")
    return Upload("", by_url.filename, by_url.media_type, 0, url=by_url.url)
