"""The audit: who canceled, retried, deleted, made or revoked what, when, and by which request. For admins only."""

from dataclasses import asdict
from typing import Any
from urllib.parse import urlencode

from flask import Response, request
from pydantic import Field

from server.services.status import timestamp
from server.store.audit import COMMAND_LINE, ENTRY_ID, Act, AuditEntry
from server.web.addresses import prefix
from server.web.audited import ACTIONS
from server.web.current import store
from server.web.openapi.answers import found
from server.web.openapi.components import Schema
from server.web.openapi.route import Access, Api
from server.web.responses import json_answer
from server.web.routes.many.task_list import invalid_query, moment_of, page_limit
from server.web.schemas import MOMENT, WireObject

route = Api("audit", __name__, "server")
FILTERS = ("action", "by", "target", "since", "until")  # filters of the audit
_MOMENT: Schema = {"type": "string", "format": "date-time"}
_FILTER_PARAMETERS: tuple[dict[str, Any], ...] = tuple(
    {"name": name, "in": "query", "description": description, "schema": schema}
    for name, description, schema in (
        ("action", "Actions, separated by commas.", {"type": "string"}),
        ("by", "Who did it: owners, separated by commas.", {"type": "string"}),
        ("target", "The id or name of what was acted on.", {"type": "string"}),
        ("since", "At this time or later.", _MOMENT),
        ("until", "Before this time.", _MOMENT),
    )
)


class AuditObject(WireObject):
    """An act."""

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
    "Who did what",
    found(AuditList, "The newest first. The newest 10,000 entries are kept.", "Link"),
    access=Access.ADMIN,
    description="Cancels, retries, deletes, changes of schedules and keys, and stops of workers.",
    parameters=("limit", "cursor"),
    inline=_FILTER_PARAMETERS,
    problems=("invalid-input",),
)
def list_audit() -> Response:
    entries, cursor = asked_entries()
    following = None
    if cursor is not None:
        given = [(name, request.args[name]) for name in (*FILTERS, "limit") if name in request.args]
        following = f"/audit?{urlencode([*given, ('cursor', cursor)])}"
    body = AuditList(entries=[_shown(each) for each in entries], next=following and prefix() + following)
    return json_answer(body, headers={"Link": f'<{following}>; rel="next"'} if following else None)


def asked_entries() -> tuple[list[AuditEntry], str | None]:
    """Read the page that the query requests, and the cursor of the next one. Raises the problem `invalid-input`."""
    cursor = request.args.get("cursor")
    if cursor is not None and not ENTRY_ID.fullmatch(cursor):
        raise invalid_query("cursor", "Input should be the cursor of a previous page")
    actions, people = ([word for word in request.args.get(name, "").split(",") if word] for name in ("action", "by"))
    target = request.args.get("target", "")

    def wanted(act: Act) -> bool:
        return (
            (not actions or act.action in actions) and (not people or act.by in people) and target in ("", act.target)
        )

    return store().audit.page(page_limit(), cursor, wanted, moment_of("since"), moment_of("until"))


def _shown(entry: AuditEntry) -> AuditObject:
    return AuditObject(id=entry.id, at=timestamp(entry.at_ms), **asdict(entry.act))
