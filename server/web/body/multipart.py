"""Read a multipart form as it arrives: fields into memory, files chunk by chunk into the blob store."""

from collections.abc import Iterator
from typing import Any

from flask import request
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.sansio.multipart import Data, Epilogue, Event, Field, File, MultipartDecoder, NeedData

from server.services.submit import Submission
from server.web.body.stream import read_some
from server.web.errors import Problem

#: Maximum size of all fields of a form in bytes, and maximum number of its parts.
MAX_FIELD_BYTES = 2**20
MAX_PARTS = 200


def read_form(submission: Submission) -> list[tuple[str, Any]]:
    """Read names and values in the order of the form; files are stored in the blob store.

    Raises:
        Problem: `malformed-body`, `too-large`, `invalid-input`, or one of `IncomingUploads.receive`.
    """
    boundary = request.mimetype_params.get("boundary", "").encode("latin-1", "replace")
    if not boundary:
        raise Problem("malformed-body", "The form's Content-Type has no boundary.")
    parts = _Parts(MultipartDecoder(boundary, max_form_memory_size=MAX_FIELD_BYTES, max_parts=MAX_PARTS))
    pairs: list[tuple[str, Any]] = []
    room = MAX_FIELD_BYTES
    while (part := parts.next_part()) is not None:
        if not part.name:
            raise Problem("malformed-body", "A part of the form has no name.")
        if isinstance(part, File):
            pairs += _receive(submission, part, parts.data())
            continue
        text = b"".join(parts.data(room))
        room -= len(text)
        pairs.append((part.name, _text(part.name, text)))
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


def _text(name: str, text: bytes) -> str:
    try:
        return text.decode()
    except UnicodeDecodeError:
        raise Problem("malformed-body", f"The field {name} is not valid UTF-8.") from None


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
