"""The uploads of a submit. Each is in the blob store before the task is stored."""

import hashlib
from collections.abc import Iterable, Iterator
from itertools import chain

from server.sdk.definition import TaskDefinition
from server.sdk.dependencies import find_file, point_to_file
from server.sdk.errors import TooLarge, UnsupportedMediaType
from server.sdk.file_names import ANY_BYTES, is_media_type, media_type_of
from server.sdk.signature import TaskInput
from server.sdk.uploads import Location, Upload, uploads_in
from server.services.errors import FileExpired
from server.store import Store
from server.store.errors import BlobMissing

_HEAD_BYTES = 1100  # a PDF may have up to 1,024 bytes in front of its first line; other formats need fewer


class IncomingUploads:
    """The uploads of one submit: sent as bytes, inside a JSON body, or copied from another task."""

    def __init__(self, store: Store, definition: TaskDefinition, task_id: str, owner: str) -> None:
        self._store = store
        self._definition = definition
        self._task_id = task_id
        self._owner = owner
        self._number = 0
        self.bytes = 0  # the bytes of all uploads so far

    @property
    def any(self) -> bool:
        return self._number > 0

    def discard(self) -> None:
        if self.any:
            self._store.blobs.delete(self._task_id)

    def receive(self, filename: str, media_type: str, chunks: Iterable[bytes | memoryview]) -> Upload:
        """Store an upload, chunk by chunk; raises UnsupportedMediaType, TooLarge or StorageFull."""
        head, chunks = _split_head(chunks)
        upload = self._new_upload(filename, media_type, head)
        digest = hashlib.sha256()
        with self._store.blobs.writer(upload.key) as writer:
            for chunk in chunks:
                upload.size += len(chunk)
                self._check_size(upload.size)
                digest.update(chunk)
                writer.write(chunk)
        upload.sha256 = digest.hexdigest()
        self.bytes += upload.size
        return upload

    def store_inline(self, task_input: TaskInput) -> None:
        """Store the uploads whose bytes are in the JSON body; raises as `receive`."""
        for _, upload in self._uploads_of(task_input):
            if upload.inline is not None:
                stored = self.receive(upload.filename, upload.media_type, [upload.inline])
                upload.key, upload.sha256, upload.inline = stored.key, stored.sha256, None

    def copy_from_tasks(self, task_input: TaskInput) -> tuple[str, ...]:
        """Copy files of tasks that have succeeded; return the ids of the tasks that have not ended.

        Raises:
            InvalidInput: the task or file does not exist, or the task did not succeed. Also as `receive`.
        """
        waits_for = []
        for location, upload in self._uploads_of(task_input):
            if not upload.task_id:
                continue
            file = find_file(self._store, upload, self._owner, location)
            if file is None:
                waits_for.append(upload.task_id)
                continue
            point_to_file(upload, file)
            self._check_type(upload.media_type)
            self._check_size(upload.size)
            self._copy(upload)
        return tuple(dict.fromkeys(waits_for))

    def copy(self, task_input: TaskInput) -> None:
        """Copy the uploads of an earlier task; raises StorageFull, or FileExpired if they are deleted."""
        for _, upload in self._uploads_of(task_input):
            if not (upload.url or upload.task_id):  # uploads by URL are downloaded again
                self._copy(upload)

    def _uploads_of(self, task_input: TaskInput) -> Iterator[tuple[Location, Upload]]:
        return uploads_in(self._definition.signature.arguments(task_input))

    def _new_upload(self, filename: str, media_type: str, head: bytes) -> Upload:
        declared = media_type.partition(";")[0].strip().lower()
        if declared in ("", ANY_BYTES):
            declared = media_type_of(filename)
        if not is_media_type(declared):
            raise UnsupportedMediaType(f"{declared[:80]!r} is not a valid media type.")
        recognizes = self._definition.recognizes
        if recognizes is None or not recognizes(head):
            self._check_type(declared)
        return Upload(self._next_key(), filename, declared, 0)

    def _check_type(self, declared: str) -> None:
        accepts = self._definition.accepts
        if accepts and declared != ANY_BYTES and not any(_matches(declared, media_range) for media_range in accepts):
            raise UnsupportedMediaType(f"{declared} is not supported. Supported: {', '.join(accepts)}.")

    def _check_size(self, size: int) -> None:
        limit = self._definition.max_upload_bytes or self._store.settings.max_upload_bytes
        if size > limit:
            raise TooLarge(f"A file of {self._definition.name} may have up to {limit} bytes.", limit=limit)

    def _next_key(self) -> str:
        key = f"{self._task_id}/in/{self._number}"
        self._number += 1
        return key

    def _copy(self, upload: Upload) -> None:
        source, upload.key = upload.key, self._next_key()
        try:
            self._store.blobs.copy(source, upload.key)
        except BlobMissing:
            raise FileExpired("A file of the earlier task is deleted. Submit the file itself.") from None
        self.bytes += upload.size


def _split_head(chunks: Iterable[bytes | memoryview]) -> tuple[bytes, Iterator[bytes | memoryview]]:
    """Return the first bytes, which may identify the format, and all chunks including them."""
    iterator, head = iter(chunks), b""
    while len(head) < _HEAD_BYTES and (chunk := next(iterator, None)) is not None:
        head += chunk
    return head, chain([head] if head else [], iterator)


def _matches(media_type: str, media_range: str) -> bool:
    return media_range in ("*/*", media_type) or (
        media_range.endswith("/*") and media_type.startswith(media_range[:-1])
    )
