"""The task, and what it gives back."""

import json
from collections.abc import Iterator
from typing import Annotated

from pydantic import AfterValidator, BaseModel, Field, ValidationInfo

from server.sdk.context import Context
from server.sdk.errors import RetryLater, TaskError
from server.sdk.http import MAX_URL_LENGTH, FetchError, check_url
from server.sdk.registry import task
from server.sdk.uploads import InputContext
from server.tasks.feeds import store
from server.tasks.feeds.database import DatabaseUnavailable
from server.tasks.feeds.rows import as_json, key_of
from server.tasks.feeds.settings import FeedSettings
from server.tasks.feeds.source import Format, Source

#: Seconds before each further try where the database is out of reach.
_WAITS = (2, 10, 60, 300)


def _fetchable(url: str, info: ValidationInfo) -> str:
    allow_private = isinstance(info.context, InputContext) and info.context.allow_private
    try:
        check_url(url, allow_private=allow_private)
    except FetchError as error:
        raise ValueError(str(error)) from None
    return url


FeedName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]
_Path = Annotated[str, Field(min_length=1, max_length=200)]


class Fetched(BaseModel):
    """What a fetch brought. `rows` is what the feed has now; rows that its source no longer has are kept."""

    feed: str
    inserted: int
    updated: int
    unchanged: int
    rows: int
    pages: int
    bytes: int
    not_modified: bool = Field(description="The server said that nothing has changed since the last fetch.")
    href: str


@task(soft_time_limit=900, time_limit=930)
def fetch_feed(
    ctx: Context,
    name: FeedName,
    url: Annotated[
        str, Field(max_length=MAX_URL_LENGTH, examples=["https://api.example.org/rates"]), AfterValidator(_fetchable)
    ],
    key: Annotated[list[_Path], Field(min_length=1, max_length=8)] = ["id"],  # noqa: B006 - pydantic copies it
    format: Format | None = None,
    items: _Path | None = None,
    next_field: _Path | None = None,
) -> Fetched:
    """Fetch JSON or CSV at a URL into the database, as rows by their key; `GET /feeds/{name}` reads them.

    `key` are the fields that name a row. `items` is the path to the list in a JSON answer (`data.items`), where it is
    not the only one. Pages follow the `Link` header with `rel="next"`, or the URL at the path `next_field`. All pages
    become one transaction. A feed of one page is asked for conditionally (ETag, Last-Modified) the next time.
    """
    try:
        return _fetch(ctx, name, url, tuple(key), format, items, next_field)
    except FetchError as error:
        raise TaskError("feed-unreachable", str(error)) from None
    except DatabaseUnavailable as error:
        trouble = TaskError("database-unavailable", "The database does not answer.")
        ctx.log(f"database: {type(error.__cause__).__name__}")
        if ctx.retries < len(_WAITS):
            raise RetryLater(_WAITS[ctx.retries]) from trouble
        raise trouble from error


def _fetch(
    ctx: Context,
    name: str,
    url: str,
    key: tuple[str, ...],
    format: Format | None,
    items: str | None,
    next_field: str | None,
) -> Fetched:
    way = json.dumps([url, key, format, items, next_field])
    database = ctx.settings.part(FeedSettings).database_url
    source = Source(ctx, url, format, items, next_field, store.validators(database, ctx.owner, name, way))
    rows = dict(_keyed(source, key))
    ctx.progress(source.pages_read, source.pages_read + 1, f"storing {len(rows)} rows")
    if source.not_modified:
        change = store.keep_unchanged(database, ctx.owner, name)
    else:
        change = store.keep(database, ctx.owner, name, url, way, source.validators, rows)
    ctx.progress(1, 1, "done")
    return Fetched(
        feed=name,
        inserted=change.inserted,
        updated=change.updated,
        unchanged=change.unchanged,
        rows=change.rows,
        pages=source.pages_read,
        bytes=source.bytes_read,
        not_modified=source.not_modified,
        href=f"/feeds/{name}",
    )


def _keyed(source: Source, key: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """Each row's key and its JSON; of two rows with one key the later counts."""
    number = 0
    for page in source.pages():
        for row in page:
            number += 1
            yield key_of(row, key, number), as_json(row, number)
