"""Read a multipart form as it arrives: fields into memory, files chunk by chunk into the blob store."""

from collections.abc import Iterator
from contextlib import suppress
from itertools import chain
from typing import Any

from flask import request

from server.sdk.errors import CoatcheckError
from server.services.submit import Submission
from server.web.body.parts import MAX_FIELD_BYTES, Part, Parts, too_large
from server.web.body.stream import read_some
from server.web.errors import Problem


def read_form(submission: Submission, form_texts: dict[str, str] | None = None) -> list[tuple[str, Any]]:
    """Read names and values in the order of the form; files are stored in the blob store.

    `form_texts` receives the form's fields. With it, also the fields after a refused file are read.

    Raises:
        Problem: `malformed-body`, `too-large`, `invalid-input`, or one of `IncomingUploads.receive`.
    """
    boundary = request.mimetype_params.get("boundary", "").encode("latin-1", "replace")
    if not boundary:
        raise Problem("malformed-body", "The form's Content-Type has no boundary.")
    parts = Parts(boundary, read_some)
    pairs: list[tuple[str, Any]] = []
    fields = _Fields(parts, {} if form_texts is None else form_texts)
    while (part := parts.next_part()) is not None:
        if not part.name:
            raise Problem("malformed-body", "A part of the form has no name.")
        if part.filename is None:
            pairs.append((part.name, fields.read(part.name)))
            continue
        try:
            pairs += _receive(submission, part, part.filename, parts.data())
        except CoatcheckError:
            if form_texts is not None:
                with suppress(CoatcheckError):  # the client gets the first error
                    fields.read_rest()
            raise
    return pairs


def _receive(submission: Submission, part: Part, filename: str, chunks: Iterator[memoryview]) -> list[tuple[str, Any]]:
    uploads = submission.definition.uploads
    if part.name not in uploads:
        errors = [{"loc": [part.name], "msg": "This parameter accepts no file"}]
        expected = ", ".join(uploads) or "none"
        raise Problem("invalid-input", f"{part.name} accepts no file; these do: {expected}.", errors=errors)
    first = next(filter(None, chunks), None)
    if not (first or filename):
        return []  # a browser's file input without a chosen file
    received = chain([first] if first else [], chunks)
    return [(part.name, submission.uploads.receive(filename, part.media_type, received))]


class _Fields:
    """The fields of a form, up to `MAX_FIELD_BYTES`; `form_texts` receives their texts."""

    def __init__(self, parts: Parts, form_texts: dict[str, str]) -> None:
        self._parts, self._texts, self._free_bytes = parts, form_texts, MAX_FIELD_BYTES

    def read(self, name: str) -> str:
        """Read the current part. Raises the problem `too-large` or `malformed-body`."""
        pieces: list[memoryview] = []
        for piece in self._parts.data():
            self._free_bytes -= len(piece)
            if self._free_bytes < 0:
                raise too_large()
            pieces.append(piece)
        data = b"".join(pieces)
        try:
            text = self._texts[name] = data.decode()
        except UnicodeDecodeError:
            raise Problem("malformed-body", f"The field {name} is not valid UTF-8.") from None
        return text

    def read_rest(self) -> None:
        """Read the fields after the current part, and skip its files."""
        while (part := self._parts.next_part()) is not None:
            if part.filename is None:
                self.read(part.name)
