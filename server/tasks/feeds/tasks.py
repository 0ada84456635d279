"""The task `fetch_feed` and its result."""

import json
from dataclasses import asdict, dataclass, field
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, Field, ValidationInfo

from server.sdk.context import Context
from server.sdk.errors import RetryLater, TaskError
from server.sdk.http import MAX_URL_LENGTH, FetchError, check_url
from server.sdk.registry import task
from server.sdk.uploads import InputContext
from server.tasks.feeds import headers as request_headers
from server.tasks.feeds.body import Format
from server.tasks.feeds.errors import DatabaseUnavailable, unreadable
from server.tasks.feeds.paging import Paging
from server.tasks.feeds.rows import RowSelector, Shape, as_json, key_of
from server.tasks.feeds.settings import FeedSettings
from server.tasks.feeds.source import Source, Way

_WAITS = (2, 10, 60, 300)  # seconds before each retry when the database is unreachable


def _fetchable(url: str, info: ValidationInfo) -> str:
    allow_private = isinstance(info.context, InputContext) and info.context.allow_private
    try:
        check_url(url, allow_private=allow_private)
    except FetchError as error:
        raise ValueError(str(error)) from None
    return url


def _whole(delete_missing: bool, allow_partial: bool, **_: object) -> None:
    if delete_missing and allow_partial:
        raise ValueError("`delete_missing` needs the whole feed: leave out `allow_partial`")


FeedName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]
_Path = Annotated[str, Field(min_length=1, max_length=200)]
_Url = Annotated[
    str, Field(max_length=MAX_URL_LENGTH, examples=["https://api.example.org/rates"]), AfterValidator(_fetchable)
]
_Headers = Annotated[
    dict[str, str],
    Field(max_length=request_headers.MAX_HEADERS, examples=[{"Authorization": "Bearer ${github}"}]),
    AfterValidator(request_headers.check),
]


class Fetched(BaseModel):
    """The outcome of a fetch. `rows` is the feed's current number of rows."""

    feed: str
    inserted: int
    updated: int
    unchanged: int
    deleted: int = Field(0, description="Rows that the source no longer has, if `delete_missing` is set.")
    rows: int
    duplicates: int = Field(0, description="Rows with the key of an earlier one, which they replaced.")
    skipped: int = Field(0, description="Rows without a key, if `skip_without_key` is set.")
    pages: int
    bytes: int
    not_modified: bool = Field(description="The server said that nothing has changed since the last fetch.")
    partial: bool = Field(False, description="The server has more rows than were read, and `allow_partial` is set.")
    href: str


@task(soft_time_limit=900, time_limit=930, check=_whole)
def fetch_feed(
    ctx: Context,
    name: FeedName,
    url: _Url,
    key: Annotated[list[_Path], Field(min_length=1, max_length=8)] = ["id"],  # noqa: B006 - pydantic copies it
    format: Format | None = None,
    encoding: Annotated[str, Field(max_length=40)] | None = None,
    items: _Path | None = None,
    shape: Shape | None = None,
    headers: _Headers = {},  # noqa: B006 - as above
    next_field: _Path | None = None,
    paging: Paging | None = None,
    allow_partial: bool = False,
    refuse_duplicates: bool = False,
    skip_without_key: bool = False,
    delete_missing: bool = False,
) -> Fetched:
    """Fetch JSON, NDJSON or CSV at a URL (also gzipped) into the database; `GET /feeds/{name}` reads its rows.

    `key` lists the fields that identify a row (`id`, `user.id`). `items` is the path to the rows in a JSON answer,
    `shape` is a list, one object, or a map. `headers` contain secrets by name: `Bearer ${github}`. Pages follow the
    `Link` header, a URL that the answer names as `next`, the one at `next_field`, or `paging`. An answer that announces
    more rows than were read is an error. All pages are stored in one transaction; `delete_missing` deletes the rows
    that the source no longer has. A feed of one page is requested conditionally the next time.
    """
    selector = RowSelector(items, shape, tuple(key))
    way = Way(format, encoding, selector, next_field, paging, allow_partial)
    read_options = json.dumps(
        [url, asdict(way), sorted(headers.items()), skip_without_key, delete_missing], default=dict
    )
    keys = _Keys(tuple(key), refuse_duplicates, skip_without_key)
    try:
        sent = request_headers.resolve(headers, url, ctx.owner, ctx.settings)
        return _fetch(ctx, name, Source(ctx, url, way, sent), keys, read_options, delete_missing)
    except DatabaseUnavailable as error:
        failure = TaskError("database-unavailable", "The database does not answer.")
        ctx.log(f"database: {type(error.__cause__).__name__}")
        if ctx.retries < len(_WAITS):
            raise RetryLater(_WAITS[ctx.retries]) from failure
        raise failure from error


@dataclass(slots=True)
class _Keys:
    """The rows by their keys, as JSON; counts rows that share a key and rows without one."""

    fields: tuple[str, ...]
    refuse_duplicates: bool
    skip_without_key: bool
    rows: dict[str, str] = field(default_factory=dict)
    number: int = 0
    duplicates: int = 0
    skipped: int = 0

    def add(self, row: dict[str, Any]) -> None:
        """Add a row; it replaces an earlier one with the same key.

        Raises:
            TaskError: `feed-unreadable`.
        """
        self.number += 1
        key = key_of(row, self.fields, self.number)
        if key is None:
            if not self.skip_without_key:
                names = ", ".join(f"`{name}`" for name in self.fields)
                raise unreadable(
                    f"Row {self.number} has no value in {names}, its key. Its fields are: "
                    f"{', '.join(list(row)[:20])[:300]}. Give another `key`, or `skip_without_key=true`."
                )
            self.skipped += 1
            return
        if key in self.rows:
            self.duplicates += 1
            if self.refuse_duplicates:
                raise unreadable(f"Row {self.number} has the key {key}, as an earlier row has.")
        self.rows[key] = as_json(row, self.number)


def _fetch(ctx: Context, name: str, source: Source, keys: _Keys, read_options: str, delete_missing: bool) -> Fetched:
    from server.tasks.feeds import store  # noqa: PLC0415 - see `database`

    database = ctx.settings.part(FeedSettings).database_url
    source.validators = store.validators(database, ctx.owner, name, read_options)
    for page in source.pages():
        for row in page:
            keys.add(row)
    ctx.progress(source.pages_read, source.pages_read + 1, f"storing {len(keys.rows)} rows")
    if source.not_modified:
        change = store.record_unchanged(database, ctx.owner, name)
    else:
        download = store.Download(source.url, read_options, source.validators, keys.rows, delete_missing)
        change = store.store_download(database, ctx.owner, name, download)
    ctx.progress(1, 1, "done")
    return Fetched(
        feed=name,
        **asdict(change),
        duplicates=keys.duplicates,
        skipped=keys.skipped,
        pages=source.pages_read,
        bytes=source.bytes_read,
        not_modified=source.not_modified,
        partial=source.partial,
        href=f"/feeds/{name}",
    )
