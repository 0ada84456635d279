"""Read a multipart form as it arrives: fields into memory, files chunk by chunk into the blob store."""

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from flask import request
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.sansio.multipart import Data, Epilogue, Event, Field, File, MultipartDecoder, NeedData

from server.sdk.errors import CoatcheckError
from server.services.submit import Submission
from server.web.body.stream import read_some
from server.web.errors import Problem

#: Maximum size of all fields of a form in bytes, and maximum number of its parts.
MAX_FIELD_BYTES = 2**20
MAX_PARTS = 200


def read_form(submission: Submission, typed: dict[str, str] | None = None) -> list[tuple[str, Any]]:
    """Read names and values in the order of the form; files are stored in the blob store.

    `typed` receives the form's fields. With it, also the fields after a refused file are read.

    Raises:
        Problem: `malformed-body`, `too-large`, `invalid-input`, or one of `IncomingUploads.receive`.
    """
    boundary = request.mimetype_params.get("boundary", "").encode("latin-1", "replace")
    if not boundary:
        raise Problem("malformed-body", "The form's Content-Type has no boundary.")
    parts = _Parts(MultipartDecoder(boundary, max_form_memory_size=MAX_FIELD_BYTES, max_parts=MAX_PARTS))
    pairs: list[tuple[str, Any]] = []
    fields = _Fields(parts, {} if typed is None else typed)
    while (part := parts.next_part()) is not None:
        if not part.name:
            raise Problem("malformed-body", "A part of the form has no name.")
        if isinstance(part, Field):
            pairs.append((part.name, fields.read(part.name)))
            continue
        try:
            pairs += _receive(submission, part, parts.data())
        except CoatcheckError:
            if typed is not None:
                with suppress(CoatcheckError):  # the client is told the first error
                    fields.read_rest()
            raise
    return pairs


def _receive(submission: Submission, part: File, chunks: Iterator[bytes]) -> list[tuple[str, Any]]:
    uploads = submission.definition.uploads
    if part.name not in uploads:
        errors = [{"loc": [part.name], "msg": "This task accepts no files"}]
        expected = ", ".join(uploads) or "none"
        raise Problem("invalid-input", f"{part.name} accepts no file; these do: {expected}.", errors=errors)
    first = next(chunks, b"")
    if not (first or part.filename):
        return []  # a browser's file input without a chosen file
    media_type = part.headers.get("Content-Type", "")
    return [(part.name, submission.uploads.receive(part.filename, media_type, _chained(first, chunks)))]


def _chained(first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield from rest


def _too_large() -> Problem:
    return Problem("too-large", f"A form has {MAX_PARTS} parts and {MAX_FIELD_BYTES} bytes of fields at most.")


class _Parts:
    """The parts of a multipart body, one after the other."""

    def __init__(self, decoder: MultipartDecoder) -> None:
        self._decoder = decoder

    def next_part(self) -> Field | File | None:
        """Read the next field or file; None at the end."""
        while True:
            event = self._next()
            if isinstance(event, Field | File):
                return event
            if isinstance(event, Epilogue):
                return None

    def data(self, most: int | None = None) -> Iterator[bytes]:
        """Read the bytes of the current part. Raises the problem `too-large` if there are more than `most`."""
        size = 0
        while True:
            event = self._next()
            assert isinstance(event, Data)
            size += len(event.data)
            if most is not None and size > most:
                raise _too_large()
            if event.data:
                yield event.data
            if not event.more_data:
                return

    def _next(self) -> Event:
        try:
            event = self._decoder.next_event()
            while isinstance(event, NeedData):
                self._decoder.receive_data(read_some() or None)
                event = self._decoder.next_event()
        except ValueError:
            raise Problem("malformed-body", "The form is malformed, or ends too early.") from None
        except RequestEntityTooLarge:
            raise _too_large() from None
        return event


class _Fields:
    """The fields of a form, up to `MAX_FIELD_BYTES`; `typed` receives their texts."""

    def __init__(self, parts: _Parts, typed: dict[str, str]) -> None:
        self._parts, self._typed, self._room = parts, typed, MAX_FIELD_BYTES

    def read(self, name: str) -> str:
        """Read the current part. Raises the problem `too-large` or `malformed-body`."""
        data = b"".join(self._parts.data(self._room))
        self._room -= len(data)
        try:
            text = self._typed[name] = data.decode()
        except UnicodeDecodeError:
            raise Problem("malformed-body", f"The field {name} is not valid UTF-8.") from None
        return text

    def read_rest(self) -> None:
        """Read the fields after the current part, and skip its files."""
        while (part := self._parts.next_part()) is not None:
            if isinstance(part, Field):
                self.read(part.name)
