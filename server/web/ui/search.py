"""Search in tasks: by the beginning or end of an id, error, input, tag, type or owner. It reads the newest first.

A search reads a limited number of tasks, for a limited time, and returns where it stopped, so that the next one can
continue.
"""

import time
from dataclasses import dataclass

from pydantic_core import from_json, to_json

from server.sdk.registry import secrets_of
from server.store.listing import Filter
from server.store.record import Record
from server.web.current import store

MAX_LOOKED_AT, MAX_SECONDS, _CHUNK = 10_000, 1.5, 500  # maximum tasks and seconds per search; tasks per read

_MAX_INPUT = 20_000  # bytes of an input that are searched
_MIN_ID = 4  # minimum length of a part of an id


@dataclass(frozen=True, slots=True)
class SearchPage:
    """The matches, the number of tasks read, and where to continue; None after the oldest task."""

    records: list[Record]
    looked_at: int
    oldest_ms: int | None
    cursor: str | None


def search(wanted: Filter, text: str, limit: int, cursor: str | None) -> SearchPage:
    """Return the newest tasks after the cursor that match the filter and every word of the text."""
    terms = text.lower().split()
    until = time.monotonic() + MAX_SECONDS
    matches: list[Record] = []
    looked_at, oldest = 0, None
    while True:
        page = store().listing.page(wanted, _CHUNK, cursor)
        inputs = store().tasks.inputs(page.records, _MAX_INPUT)
        for record, input_bytes in zip(page.records, inputs, strict=True):
            looked_at, oldest = looked_at + 1, record.submitted_ms
            if _matches(record, input_bytes, terms):
                matches.append(record)
                if len(matches) == limit:
                    return SearchPage(matches, looked_at, oldest, record.id)
        cursor = page.cursor
        if cursor is None or looked_at >= MAX_LOOKED_AT or time.monotonic() > until:
            return SearchPage(matches, looked_at, oldest, cursor)


def _matches(record: Record, input_bytes: bytes, terms: list[str]) -> bool:
    text = _text(record, input_bytes)
    return all(term in text or _is_part(record.id, term) for term in terms)


def _is_part(task_id: str, word: str) -> bool:
    return len(word) >= _MIN_ID and (task_id.startswith(word) or task_id.endswith(word))


def _text(record: Record, input_bytes: bytes) -> str:
    """Return all searched text of a task, in lower case and without secrets."""
    error = record.error or {}
    reasons = (str(error.get(key, "")) for key in ("type", "title", "detail"))
    parts = (record.task_type, record.owner, *record.tags, *reasons)
    if input_bytes and (secrets := secrets_of(record.task_type)).possible:
        values = from_json(input_bytes.decode(errors="ignore"), allow_partial="trailing-strings")
        input_bytes = to_json(secrets.hide(values))
    return "\n".join((*parts, input_bytes.decode(errors="replace"))).lower()
