"""The routes that read stored feeds, and their objects."""

from typing import Any

from pydantic import BaseModel, Field

from server.web.openapi.answers import UNCHANGED, found
from server.web.openapi.models import MOMENT, WireObject
from server.web.openapi.route import Route


class FeedLinks(WireObject):
    """Addresses of a feed."""

    rows: str


class Feed(WireObject):
    """A feed that `fetch_feed` stores."""

    name: str
    owner: str
    url: str
    row_count: int
    fetched_at: str = Field(json_schema_extra=MOMENT)
    changed_at: str = Field(description="When a fetch last found changes.", json_schema_extra=MOMENT)
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
_PAGE = ("limit", "cursor", "If-None-Match")

FEEDS: tuple[Route, ...] = (
    Route(
        "get",
        "/feeds",
        "list_feeds",
        "feeds",
        "The caller's feeds, by name",
        (found("FeedList", "A page of feeds; `next` and `Link` lead to the next one.", "Link"), UNCHANGED),
        description="Admins see all owners' feeds.",
        parameters=_PAGE,
        problems=("invalid-input", "database-unavailable"),
    ),
    Route(
        "get",
        "/feeds/{name}",
        "get_feed",
        "feeds",
        "A feed and its rows, by key",
        (found("FeedPage", "A page of rows; `next` and `Link` lead to the next one.", "Link"), UNCHANGED),
        description="Rows are as in their source. A page begins after a key, so no row is returned twice.",
        parameters=_PAGE,
        inline=(_NAME, _OWNER),
        problems=("invalid-input", "unknown-feed", "database-unavailable"),
    ),
)
