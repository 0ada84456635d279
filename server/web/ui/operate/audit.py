"""Audit: who did what, newest first. For admins."""

from urllib.parse import urlencode

from flask import Response, request

from server.web.audited import ACTIONS
from server.web.middleware import require_admin
from server.web.routes.operate.audit import FILTERS, requested_entries
from server.web.ui.blueprint import page, ui


@ui.get("/ui/audit")
def audit() -> Response:
    require_admin()
    entries, cursor = requested_entries()
    query = {name: request.args[name] for name in FILTERS if request.args.get(name)}
    return page(
        "audit.html",
        "/ui/audit",
        entries=entries,
        older=cursor and urlencode({**query, "cursor": cursor}),
        query=query,
        actions={action: action.replace("_", " ").capitalize() for action in ACTIONS.values()},
    )
