"""An answer before Flask or the event loop sends it."""

from http import HTTPStatus
from typing import NamedTuple

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
