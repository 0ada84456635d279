"""The common part of all pages: headers, the viewer, the menu, and errors as pages."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

from flask import Blueprint, Response, g, make_response, redirect, render_template, request
from werkzeug.wrappers import Response as BaseResponse

from server.store.api_keys import PROXY, Caller
from server.store.connection import UNREACHABLE, outage_reason
from server.store.errors import CoatcheckError
from server.web.addresses import base, prefix
from server.web.current import store
from server.web.errors import Problem, as_problem
from server.web.middleware import caller
from server.web.ui.assets import compress
from server.web.ui.forms import needs_key

ui = Blueprint("ui", __name__)

#: Only scripts, styles and images of this server, nothing inline (Content Security Policy level 3).
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)


@ui.after_request
def guarded(response: Response) -> Response:
    """Add the headers of every page."""
    if response.mimetype == "text/html":
        response.headers["Content-Security-Policy"] = POLICY
        # Not `no-referrer`: with it a form is posted with `Origin: null`, which the origin check refuses.
        response.headers["Referrer-Policy"] = "same-origin"
        response.headers.setdefault("Cache-Control", "no-cache")
        compress(response)
    return response


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry of the menu; `icon` is a symbol of the page."""

    name: str
    path: str
    icon: str


_FIRST = (Entry("Home", "/", "home"), Entry("Tasks", "/ui/tasks", "tasks"))
_ADMIN = (Entry("Failures", "/ui/failures", "failures"), Entry("Overview", "/ui/overview", "overview"))
_LAST = (Entry("Schedules", "/ui/schedules", "schedules"),)
_ACCESS = (Entry("Keys", "/ui/keys", "keys"), Entry("Audit", "/ui/audit", "scheduled"))
_DOCS = Entry("API docs", "/docs", "docs")


def page(template: str, section: str, **values: Any) -> Response:
    """Render a page; `section` is the path of its menu entry."""
    viewer = current_viewer()
    keyed = needs_key()
    signed = keyed and viewer is not None and viewer.key != PROXY  # users of a proxy sign out at the proxy
    shown = {"section": section, "me": viewer, "signed": signed, "keyed": keyed}
    response = make_response(render_template(f"ui/{template}", **shown, **values))
    # The next user of the browser must not see a page with another key's tasks.
    response.headers["Cache-Control"] = "private, no-store" if signed else "private, no-cache"
    return response


@ui.app_template_global("menu")
def _menu(viewer: Caller | None) -> list[Entry]:
    is_admin = viewer is not None and viewer.is_admin
    last = (*_LAST, *_ACCESS) if is_admin else _LAST if viewer else ()
    return [*_FIRST, *(_ADMIN if is_admin else ()), *last, _DOCS]


@ui.app_template_global("url")
def url(path: str, query: Mapping[str, object] | Sequence[tuple[str, object]] = ()) -> str:
    """Return an address of this server, also if the application is mounted below a prefix."""
    return f"{prefix()}{path}?{urlencode(query)}" if query else prefix() + path


def moved(path: str, status: int = 303) -> BaseResponse:
    """Redirect to a path of this server."""
    return redirect(base() + path, status)


@ui.app_template_global("idle")
def _idle() -> bool:
    return not store().leases.workers()


@ui.app_template_global("may_act")
def _may_act() -> bool:
    viewer = current_viewer()
    return viewer is not None and viewer.may_submit


def current_viewer() -> Caller | None:
    """Return the viewer of a public page, or None."""
    try:
        return caller()
    except (CoatcheckError, *UNREACHABLE):
        return None


@ui.errorhandler(CoatcheckError)
def _problem(error: CoatcheckError) -> BaseResponse:
    """Show an error as a page; viewers who have not signed in get the sign-in page."""
    problem = as_problem(error)
    if problem.name == "unauthenticated" and request.method == "GET" and store().api_keys.any():
        address = quote(request.full_path.rstrip("?"), safe="/")
        return moved(f"/ui/sign-in?next={address}")
    return _error_page(problem)


def _unreachable(error: Exception) -> BaseResponse:
    return _error_page(Problem("unavailable", outage_reason(error), headers={"Retry-After": "2"}))


for _error in UNREACHABLE:
    ui.register_error_handler(_error, _unreachable)


def _error_page(problem: Problem) -> BaseResponse:
    # The viewer is not looked up here, because the store may be unreachable.
    shown = {"section": "", "me": g.get("caller"), "signed": False, "keyed": False}
    shown["signs_in"] = problem.name == "unauthenticated" and needs_key()
    body = render_template("ui/error.html", **shown, problem=problem.body(prefix()))
    headers = {"Cache-Control": "no-store"} | problem.headers
    return Response(body, problem.status, headers, content_type="text/html; charset=utf-8")
