"""What `fetch_feed` has stored, page by page. On a PaaS web and worker share no disk: it takes a PostgreSQL."""

import base64
import binascii
import json
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

from flask import Blueprint, Response, request

from server.services.status import timestamp
from server.tasks.feeds import store
from server.tasks.feeds.database import DatabaseUnavailable
from server.tasks.feeds.settings import FeedSettings
from server.web import current
from server.web.errors import Problem, answer
from server.web.middleware import caller
from server.web.responses import json_answer
from server.web.routes.task_list import invalid_query, page_limit

feeds = Blueprint("feeds", __name__)


@feeds.get("/feeds")
def list_feeds() -> Response:
    """The caller's feeds; an admin's are everyone's."""
    owners = None if caller().is_admin else [caller().owner]
    page = store.list_feeds(_database(), owners, page_limit(), _cursor(2))
    return _paged({"feeds": [_entry(each) for each in page.entries]}, "/feeds", page.cursor)


@feeds.get("/feeds/<name>")
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


@feeds.errorhandler(DatabaseUnavailable)
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
