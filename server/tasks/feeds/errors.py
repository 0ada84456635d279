"""The error types of these tasks."""

from server.sdk.errors import CoatcheckError, ErrorType, TaskError, register_error_types

register_error_types(
    {
        "feed-unreachable": ErrorType("The feed does not answer", "The detail gives the reason; try again later."),
        "feed-unreadable": ErrorType(
            "The feed cannot be read", "The detail names the place; check `items`, `key` and `format`."
        ),
        "feed-incomplete": ErrorType(
            "The feed has more rows than were read", "Give `paging`, `next_field` or `allow_partial`."
        ),
        "feed-rate-limited": ErrorType("The feed's server limits its clients", "Try again later, or fetch less often."),
        "feed-secret": ErrorType(
            "A secret of the headers cannot be used", "The detail names it; check `FEED_SECRETS`."
        ),
        "feed-too-large": ErrorType("The feed is too large", "The detail gives the limit; fetch a part of it."),
        "unknown-feed": ErrorType("Unknown feed", "GET /feeds lists yours; `fetch_feed` creates one.", 404),
        "database-unavailable": ErrorType(
            "The database does not answer", "Try again later; check `DATABASE_URL`.", 503
        ),
    }
)


class UnknownFeed(CoatcheckError):
    """The caller has no feed of this name."""

    type = "unknown-feed"


class DatabaseUnavailable(CoatcheckError):
    """The database does not answer. Only the cause has the driver's message, which may contain the address."""

    type = "database-unavailable"
    retry_after = 5


def unreadable(detail: str) -> TaskError:
    """Build the error for an answer that has no rows, or not those that the client describes."""
    return TaskError("feed-unreadable", detail)
