"""What all pages of the front have in common: their headers, who looks at them, and their errors as pages."""

from typing import Any
from urllib.parse import quote

from flask import Blueprint, Response, g, make_response, redirect, render_template, request
from werkzeug.wrappers import Response as BaseResponse

from server.store.api_keys import Caller
from server.store.connection import UNREACHABLE
from server.store.errors import CoatcheckError
from server.web.current import store
from server.web.errors import Problem, as_problem
from server.web.middleware import caller
from server.web.ui.docs import guarded

ui = Blueprint("ui", __name__)

ui.after_request(guarded)


def page(template: str, section: str, **values: Any) -> Response:
    """A page; `section` is where it stands in the menu."""
    viewer = who()
    signed = viewer is not None and store().api_keys.any()
    made = make_response(render_template(f"ui/{template}", section=section, me=viewer, signed=signed, **values))
    # What one's key may see is for nobody else's eyes, nor for one's own after signing out.
    made.headers["Cache-Control"] = "private, no-store" if signed else "private, no-cache"
    return made


@ui.app_template_global("menu")
def _menu(viewer: Caller | None) -> list[tuple[str, str]]:
    """The pages that are for who looks."""
    of_admin = [("Queues", "/ui/queues"), ("Schedules", "/ui/schedules")] if viewer and viewer.is_admin else []
    return [("Home", "/"), ("Tasks", "/ui/tasks"), *of_admin, ("Docs", "/docs")]


@ui.app_template_global("idle")
def _idle() -> bool:
    """Whether nobody is there to run a task."""
    return not store().leases.workers()


def who() -> Caller | None:
    """Who looks at a page that anybody may see, or None."""
    try:
        return caller()
    except CoatcheckError:
        return None


@ui.errorhandler(CoatcheckError)
def _problem(error: CoatcheckError) -> BaseResponse:
    """An error as a page; to who has not signed in, the page to do so."""
    problem = as_problem(error)
    if problem.name == "unauthenticated" and request.method == "GET" and store().api_keys.any():
        return redirect("/ui/sign-in?next=" + quote(request.full_path.rstrip("?"), safe="/"), 303)
    return _error_page(problem)


def _unreachable(_: Exception) -> BaseResponse:
    return _error_page(Problem("unavailable", "The store cannot be reached.", headers={"Retry-After": "2"}))


for _error in UNREACHABLE:
    ui.register_error_handler(_error, _unreachable)


def _error_page(problem: Problem) -> BaseResponse:
    # Who looks is not asked: the store that knows may be what is out of reach.
    body = render_template("ui/error.html", section="", me=g.get("caller"), signed=False, problem=problem.body())
    headers = {"Cache-Control": "no-store"} | problem.headers
    return Response(body, problem.status, headers, content_type="text/html; charset=utf-8")
