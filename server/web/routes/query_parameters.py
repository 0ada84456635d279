"""Query parameters that several routes read: lists of values, times, and the page of a list."""

import re
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

from flask import request

from server.web.errors import Problem, invalid

PAGE, MAX_PAGE = 50, 500

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def query_values(name: str) -> list[str]:
    """The values of a name in the query, which may be repeated and have lists with commas."""
    return [value for text in request.args.getlist(name) for value in text.split(",") if value]


def query_time(name: str) -> int | None:
    """Parse an RFC 3339 time in the query to milliseconds since 1970."""
    if (text := request.args.get(name)) is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise invalid("Input should be a time in RFC 3339 format", "query", name) from None
    if moment.tzinfo is None:
        raise invalid("Input should have a time zone, such as Z", "query", name)
    return round((moment - _EPOCH) / timedelta(milliseconds=1))  # `timestamp()` overflows at both ends of time


def page_limit() -> int:
    """The number of entries per page. Raises the problem `invalid-input`."""
    text = request.args.get("limit", str(PAGE))
    if not re.fullmatch("[0-9]{1,9}", text) or not 1 <= int(text) <= MAX_PAGE:
        raise invalid(f"Input should be a number from 1 to {MAX_PAGE}", "query", "limit")
    return int(text)


def page_cursor(pattern: re.Pattern[str]) -> str | None:
    """The cursor that the query asks for, of this form. Raises the problem `invalid-input`."""
    text = request.args.get("cursor")
    if text is not None and not pattern.fullmatch(text):
        raise wrong_cursor()
    return text


def wrong_cursor() -> Problem:
    return invalid("Input should be the cursor of a previous page", "query", "cursor")


def next_page(path: str, cursor: str | None, *names: str) -> str | None:
    """The path and query of the next page, with the same limit and values of these names; None at the end."""
    if cursor is None:
        return None
    repeated = [(name, text) for name in (*names, "limit") for text in request.args.getlist(name)]
    return f"{path}?{urlencode([*repeated, ('cursor', cursor)])}"


def link_to(following: str | None) -> dict[str, str]:
    """The header field that leads to the next page, if there is one."""
    return {"Link": f'<{following}>; rel="next"'} if following else {}
