"""The routes that packages of tasks have: see `server.sdk.pages`."""

import base64
import binascii
import json
from collections.abc import Callable
from functools import wraps
from urllib.parse import quote

from flask import Response, request

from server.sdk.pages import Listing, PagedRoute, PageRequest, View, paged_routes
from server.web.addresses import prefix
from server.web.current import store
from server.web.middleware import caller
from server.web.openapi.route import Api, ok
from server.web.responses import json_answer
from server.web.routes.query_parameters import link_to, next_page, page_limit, wrong_cursor


def api() -> Api:
    """The routes of all tasks that are loaded."""
    pages = Api("task_pages")
    for each, read in paged_routes():
        serve = pages.get(
            each.path.replace("{", "<").replace("}", ">"),
            ok(each.model, "A page; `next` and `Link` lead to the next one.", "Link"),
            tag=each.tag,
            summary=each.summary,
            description=each.description,
            parameters=("limit", "cursor"),
            inline=each.parameters,
            problems=("invalid-input", *each.problems),
        )
        serve(_view(each, read))
    return pages


def _view(route: PagedRoute, read: View) -> Callable[..., Response]:
    @wraps(read)  # its name is the operation's id
    def view(**path: str) -> Response:
        viewer, cursor = caller(), _cursor(route.cursor_length)
        page = read(
            PageRequest(
                store().settings, viewer.owner, viewer.is_admin, path, request.args, page_limit(), cursor, prefix()
            )
        )
        return _answer(route, route.path.format_map({name: quote(text, safe="") for name, text in path.items()}), page)

    return view


def _answer(route: PagedRoute, path: str, page: Listing) -> Response:
    names = [str(each["name"]) for each in route.parameters if each["in"] == "query"]
    following = next_page(path, _encoded(page.end) if page.end else None, *names)
    text = json.dumps({**page.body, "next": following and prefix() + following}, ensure_ascii=False)
    if page.raw_name:
        text = f'{text[:-1]}, "{page.raw_name}": [{",".join(page.raw)}]}}'
    return json_answer(text.encode(), headers=link_to(following))


def _encoded(position: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(position).encode()).decode().rstrip("=")


def _is_text(texts: list[str]) -> bool:
    """Whether a database can compare with it: half a surrogate pair and NUL are not text."""
    return all("\0" not in text and text.encode(errors="replace").decode() == text for text in texts)


def _cursor(width: int) -> tuple[str, ...] | None:
    """The position at which the previous page ended."""
    if (text := request.args.get("cursor")) is None:
        return None
    try:
        position = json.loads(base64.b64decode(text + "=" * (-len(text) % 4), b"-_", validate=True))
    except (ValueError, binascii.Error, RecursionError):
        position = None
    if not isinstance(position, list) or [type(each) for each in position] != [str] * width or not _is_text(position):
        raise wrong_cursor()
    return tuple(position)
