"""The audit: who canceled, retried, deleted, made or revoked what, when, and by which request. For admins only."""

from dataclasses import asdict

from flask import Response, request
from pydantic import Field

from server.services.status import MOMENT, WireObject, timestamp
from server.store.audit import COMMAND_LINE, ENTRY_ID, Act, AuditEntry
from server.web.addresses import prefix
from server.web.audited import ACTIONS
from server.web.current import store
from server.web.openapi.parameters import TIME, in_query
from server.web.openapi.route import Access, Api, ok
from server.web.responses import json_answer
from server.web.routes.query_parameters import link_to, next_page, page_cursor, page_limit, query_time

route = Api("audit", "server")

_FILTER_PARAMETERS = (
    in_query("action", "Actions, separated by commas."),
    in_query("by", "Who did it: owners, separated by commas."),
    in_query("target", "The id or name of what was acted on."),
    in_query("since", "At this time or later.", TIME),
    in_query("until", "Before this time.", TIME),
)
FILTERS: tuple[str, ...] = tuple(each["name"] for each in _FILTER_PARAMETERS)  # filters of the audit


class AuditObject(WireObject):
    """An act in the audit log."""

    id: str
    at: str | None = Field(json_schema_extra=MOMENT)
    action: str = Field(examples=sorted(set(ACTIONS.values())))
    by: str = Field(description=f"The owner of the key, or `{COMMAND_LINE}`.")
    key_id: str = Field(description="The id of the key; empty without one.")
    target: str = Field(description="The id or name of what was acted on; empty for a bulk call.")
    filter: str = Field(description="The query of a bulk call.")
    count: int = Field(description="The number of tasks that a bulk call changed; otherwise 1.")
    request_id: str


class AuditList(WireObject):
    """A page of the audit, the newest first."""

    entries: list[AuditObject]
    next: str | None = Field(description="The address of the next page.")


@route.get(
    "/audit",
    ok(AuditList, "The newest first. The newest 10,000 entries are kept.", "Link"),
    access=Access.ADMIN,
    parameters=("limit", "cursor"),
    inline=_FILTER_PARAMETERS,
    problems=("invalid-input",),
)
def list_audit() -> Response:
    """Who did what.

    Cancels, retries, deletes, changes of schedules and keys, and stops of workers.
    """
    entries, cursor = requested_entries()
    following = next_page("/audit", cursor, *FILTERS)
    body = AuditList(entries=[_audit_object(each) for each in entries], next=following and prefix() + following)
    return json_answer(body, headers=link_to(following))


def requested_entries() -> tuple[list[AuditEntry], str | None]:
    """Read the page that the query requests, and the cursor of the next one. Raises the problem `invalid-input`."""
    cursor = page_cursor(ENTRY_ID)
    actions, owners = ([text for text in request.args.get(name, "").split(",") if text] for name in ("action", "by"))
    target = request.args.get("target", "")

    def wanted(act: Act) -> bool:
        return (
            (not actions or act.action in actions) and (not owners or act.by in owners) and target in ("", act.target)
        )

    return store().audit.page(page_limit(), cursor, wanted, query_time("since"), query_time("until"))


def _audit_object(entry: AuditEntry) -> AuditObject:
    return AuditObject(id=entry.id, at=timestamp(entry.at_ms), **asdict(entry.act))
