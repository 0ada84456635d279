"""Keys: list, create and revoke API keys. For admins."""

from flask import Response, request

from server.store.api_keys import Role
from server.web.current import store
from server.web.middleware import require_admin
from server.web.ui.blueprint import page, ui

#: Each role's name on the page, and what its keys may do.
ROLES = {
    Role.SUBMIT: ("Submit", "Submit, read, cancel and retry the owner's own tasks."),
    Role.READ: ("Read only", "Read the owner's own tasks."),
    Role.ADMIN: ("Admin", "Everything, for the tasks of all owners."),
    Role.METRICS: ("Metrics only", "Read the figures of queues, for autoscalers and monitoring."),
}

#: Seconds after which a new key expires, and its text on the page.
LIVES = {31_536_000: "in a year", 7_776_000: "in 90 days", 2_592_000: "in 30 days", None: "never"}


_MAX_SHOWN = 200  # maximum number of keys on the page


@ui.get("/ui/keys")
def keys() -> Response:
    """Show the stored data of the newest keys, of those that a search matches, and a form for a new one."""
    require_admin()
    entries, wanted = store().api_keys.entries()[::-1], request.args.get("q", "").strip().lower()
    matching = [each for each in entries if wanted in f"{each.note} {each.owner} {each.role} {each.shown}".lower()]
    return page(
        "keys.html",
        "/ui/keys",
        keys=matching[:_MAX_SHOWN],
        total=len(entries),
        matching=len(matching),
        search=wanted,
        owners={each.owner for each in entries},
        roles=ROLES,
        lives=LIVES,
        has_admin_key=bool(store().settings.admin_key),
        soon=store().clock.now_ms() + _SOON,
    )


_SOON = 7 * 86_400_000  # milliseconds before its end at which a key's expiry is marked
