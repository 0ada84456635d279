"""What `fetch_feed` has stored, page by page. On a PaaS web and worker share no disk: it takes a PostgreSQL."""

import base64
import binascii
import json
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

from flask import Response, request
from pydantic import Field

from server.services.status import timestamp
from server.tasks.feeds import store
from server.tasks.feeds.database import DatabaseUnavailable
from server.tasks.feeds.settings import FeedSettings
from server.web import current
from server.web.errors import Problem, answer
from server.web.middleware import caller
from server.web.openapi.answers import UNCHANGED, found
from server.web.openapi.route import Api
from server.web.responses import json_answer
from server.web.routes.task_list import invalid_query, page_limit
from server.web.schemas import MOMENT, WireObject

route = Api("feeds", __name__)


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


@route.get(
    "/feeds",
    "list_feeds",
    "feeds",
    "The caller's feeds, by name",
    (found(FeedList, "A page of feeds; `next` and `Link` lead to the next one.", "Link"), UNCHANGED),
    description="Admins see all owners' feeds.",
    parameters=_PAGE,
    problems=("invalid-input", "database-unavailable"),
)
def list_feeds() -> Response:
    """The caller's feeds; an admin's are everyone's."""
    owners = None if caller().is_admin else [caller().owner]
    page = store.list_feeds(_database(), owners, page_limit(), _cursor(2))
    return _paged({"feeds": [_entry(each) for each in page.entries]}, "/feeds", page.cursor)


@route.get(
    "/feeds/<name>",
    "get_feed",
    "feeds",
    "A feed and its rows, by key",
    (found(FeedPage, "A page of rows; `next` and `Link` lead to the next one.", "Link"), UNCHANGED),
    description="Rows are as in their source. A page begins after a key, so no row is returned twice.",
    parameters=_PAGE,
    inline=(_NAME, _OWNER),
    problems=("invalid-input", "unknown-feed", "database-unavailable"),
)
def show_feed(name: str) -> Response:
    """A feed and its rows by key; an admin says in `owner` whose it is, where it is not its own."""
    owner = request.args.get("owner", caller().owner)
    feed = store.find_feed(_database(), owner, name) if caller().is_admin or owner == caller().owner else None
    if feed is None:
        raise Problem("unknown-feed")
    page = store.list_rows(_database(), owner, name, page_limit(), _cursor(1))
    # What is stored is JSON already: it is not read to be written again.
    rows = b",".join(each["data"].encode() for each in page.entries)
    return _paged(_entry(feed), f"/feeds/{name}", page.cursor, rows)


@route.blueprint.errorhandler(DatabaseUnavailable)
def _unavailable(_: DatabaseUnavailable) -> Response:
    return answer(Problem("database-unavailable", headers={"Retry-After": "5"}))


def _database() -> str:
    return current.store().settings.part(FeedSettings).database_url


def _entry(feed: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": feed["name"],
        "owner": feed["owner"],
        "url": feed["url"],
        "row_count": feed["rows"],
        "fetched_at": timestamp(feed["fetched_ms"]),
        "changed_at": timestamp(feed["changed_ms"]),
        "links": {"rows": f"/feeds/{feed['name']}"},
    }


def _paged(body: dict[str, Any], path: str, cursor: str | None, rows: bytes | None = None) -> Response:
    query = {name: request.args[name] for name in ("limit", "owner") if name in request.args}
    following = f"{path}?{urlencode(query | {'cursor': _sealed(cursor)})}" if cursor else None
    text = json.dumps(body | {"next": following}, ensure_ascii=False).encode()
    if rows is not None:
        text = text[:-1] + b', "rows": [' + rows + b"]}"
    return json_answer(text, headers={"Link": f'<{following}>; rel="next"'} if following else None)


def _sealed(place: str) -> str:
    return base64.urlsafe_b64encode(place.encode()).decode().rstrip("=")


def _cursor(width: int) -> Sequence[str] | None:
    """The place that a page before ended at."""
    if (text := request.args.get("cursor")) is None:
        return None
    try:
        place = json.loads(base64.b64decode(text + "=" * (-len(text) % 4), b"-_", validate=True))
    except (ValueError, binascii.Error, RecursionError):
        place = None
    if not isinstance(place, list) or [type(part) for part in place] != [str] * width or "\0" in "".join(place):
        raise invalid_query("cursor", "Input should be the cursor of a page before")
    return place
