"""The routes of feeds, which read rows page by page. If web and worker share no disk, they need PostgreSQL."""

from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from server.sdk.pages import Listing, PagedRoute, PageRequest
from server.tasks.feeds.errors import UnknownFeed
from server.tasks.feeds.settings import FeedSettings

_MOMENT: dict[str, Any] = {"format": "date-time", "examples": ["2026-01-01T00:00:00.000Z"]}


class _Extensible(BaseModel):
    model_config = ConfigDict(extra="allow")


class FeedLinks(_Extensible):
    """Addresses of a feed and its rows."""

    rows: str


class Feed(_Extensible):
    """A feed stored by `fetch_feed`."""

    name: str
    owner: str
    url: str
    row_count: int
    fetched_at: str = Field(json_schema_extra=_MOMENT)
    changed_at: str = Field(description="When a fetch last found changes.", json_schema_extra=_MOMENT)
    links: FeedLinks


class FeedList(_Extensible):
    """A page of the list of feeds."""

    feeds: list[Feed]
    next: str | None


class FeedPage(Feed):
    """A feed, and a page of its rows."""

    rows: list[dict[str, Any]]
    next: str | None


_NAME: dict[str, Any] = {
    "name": "name",
    "in": "path",
    "required": True,
    "description": "The feed's name, as in `fetch_feed`.",
    "schema": {"type": "string"},
    "example": "exchange-rates",
}
_OWNER: dict[str, Any] = {
    "name": "owner",
    "in": "query",
    "description": "The feed's owner; admins may name others.",
    "schema": {"type": "string"},
}


@PagedRoute(
    "/feeds",
    tag="feeds",
    summary="The caller's feeds, by name",
    description="Admins see all owners' feeds.",
    model=FeedList,
    cursor_length=2,
    problems=("database-unavailable",),
)
def list_feeds(request: PageRequest) -> Listing:
    """List the caller's feeds; an admin sees the feeds of all owners."""
    from server.tasks.feeds import store  # noqa: PLC0415 - see `database`

    owners = None if request.is_admin else [request.owner]
    page = store.list_feeds(_database(request), owners, request.limit, request.after)
    return Listing({"feeds": [_entry(each, request.prefix) for each in page.entries]}, page.end)


@PagedRoute(
    "/feeds/{name}",
    tag="feeds",
    summary="A feed and its rows, by key",
    description="Rows are as in their source. A page begins after a key, so no row is returned twice.",
    model=FeedPage,
    cursor_length=1,
    parameters=(_NAME, _OWNER),
    problems=("unknown-feed", "database-unavailable"),
)
def get_feed(request: PageRequest) -> Listing:
    """Show a feed and its rows; an admin may name another owner.

    Raises:
        UnknownFeed: there is none, or it is another owner's.
    """
    from server.tasks.feeds import store  # noqa: PLC0415 - see `database`

    owner, name = request.query.get("owner", request.owner), request.path["name"]
    feed = store.find_feed(_database(request), owner, name) if request.is_admin or owner == request.owner else None
    if feed is None:
        raise UnknownFeed
    page = store.list_rows(_database(request), owner, name, request.limit, request.after)
    # Rows are stored as JSON, so they need not be parsed and encoded again.
    return Listing(_entry(feed, request.prefix), page.end, "rows", [each["data"] for each in page.entries])


def _database(request: PageRequest) -> str:
    return request.settings.part(FeedSettings).database_url


def _entry(feed: dict[str, Any], prefix: str) -> dict[str, Any]:
    return {
        "name": feed["name"],
        "owner": feed["owner"],
        "url": feed["url"],
        "row_count": feed["rows"],
        "fetched_at": _timestamp(feed["fetched_ms"]),
        "changed_at": _timestamp(feed["changed_ms"]),
        "links": {"rows": f"{prefix}/feeds/{feed['name']}"},
    }


def _timestamp(milliseconds: int) -> str:
    moment = datetime.fromtimestamp(milliseconds / 1000, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
