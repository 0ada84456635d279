"""Schedules: a list, their next times, and a form to make one. An admin's."""

from flask import Response

from server.registry import catalog
from server.web.guard import require_admin
from server.web.schedules import every_schedule
from server.web.ui.blueprint import page, ui


@ui.get("/ui/schedules")
def schedules() -> Response:
    """Every schedule, by name."""
    require_admin()
    kinds = [kind.name for kind in catalog() if not kind.uploads]
    return page("schedules.html", "schedules", schedules=every_schedule(), kinds=kinds)
