"""The routes that read what `fetch_feed` has stored, and their objects on the wire."""

from typing import Any

from pydantic import BaseModel, Field

from server.web.openapi.answers import UNCHANGED, found
from server.web.openapi.models import MOMENT, WireObject
from server.web.openapi.route import Route


class FeedLinks(WireObject):
    """Where the rows are."""

    rows: str


class Feed(WireObject):
    """A feed that `fetch_feed` keeps."""

    name: str
    owner: str
    url: str
    row_count: int
    fetched_at: str = Field(json_schema_extra=MOMENT)
    changed_at: str = Field(description="When a fetch last brought something new.", json_schema_extra=MOMENT)
    links: FeedLinks


class FeedList(WireObject):
    """A page of feeds."""

    feeds: list[Feed]
    next: str | None


class FeedPage(Feed):
    """A feed, and a page of its rows."""

    rows: list[dict[str, Any]]
    next: str | None


MODELS: tuple[type[BaseModel], ...] = (FeedList, FeedPage)

_NAME: dict[str, Any] = {
    "name": "name",
    "in": "path",
    "required": True,
    "description": "The feed's name, as `fetch_feed` was given it.",
    "schema": {"type": "string"},
    "example": "exchange-rates",
}
_OWNER: dict[str, Any] = {
    "name": "owner",
    "in": "query",
    "description": "Whose feed; another's for an admin alone.",
    "schema": {"type": "string"},
}
_PAGE = ("limit", "cursor", "If-None-Match")

FEEDS: tuple[Route, ...] = (
    Route(
        "get",
        "/feeds",
        "list_feeds",
        "feeds",
        "The caller's feeds, by name",
        (found("FeedList", "A page of them; `next`, and `Link`, lead to the one after.", "Link"), UNCHANGED),
        description="An admin sees everyone's.",
        parameters=_PAGE,
        problems=("invalid-input", "database-unavailable"),
    ),
    Route(
        "get",
        "/feeds/{name}",
        "get_feed",
        "feeds",
        "A feed and its rows, by key",
        (found("FeedPage", "A page of rows; `next`, and `Link`, lead to the one after.", "Link"), UNCHANGED),
        description="Rows are as their source had them. A page begins behind a key, so no row comes twice.",
        parameters=_PAGE,
        inline=(_NAME, _OWNER),
        problems=("invalid-input", "unknown-feed", "database-unavailable"),
    ),
)
