"""An answer before Flask or the event loop sends it."""

from http import HTTPStatus
from typing import Any, NamedTuple

from flask import Response
from werkzeug.datastructures import Headers

_STATUS_LINES = {status.value: f"{status.value} {status.phrase.upper()}" for status in HTTPStatus}


class Reply(NamedTuple):
    """Status, header fields and body."""

    status: int
    fields: dict[str, str]
    body: bytes

    @property
    def status_line(self) -> str:
        """The status with its reason, as Flask writes them."""
        return _STATUS_LINES[self.status]

    def for_flask(self) -> Response:
        """Return it as Flask's response."""
        if not self.body:
            return _Whole(None, self.status, self.fields)
        return _Whole([self.body], self.status, {**self.fields, "Content-Length": str(len(self.body))})


class _Whole(Response):
    def get_wsgi_headers(self, environ: Any) -> Headers:
        """Return the header fields: Werkzeug would copy them, and look for some that a `Reply` has right already."""
        return self.headers
