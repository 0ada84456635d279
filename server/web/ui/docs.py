"""What a browser sees: the document, a page to read and try it, and a page for each problem.

The docs page is whole without JavaScript: each task is a real form that posts to its address. `static/docs.js` sends
it in the page instead, with a key, and follows the task to its result.
"""

import json
from collections.abc import Iterable
from functools import lru_cache
from itertools import groupby
from typing import Any

from flask import Blueprint, Response, request
from werkzeug.wrappers import Response as BaseResponse

from server.sdk.registry import catalog
from server.web.errors import Problem, problem_type, problem_types
from server.web.openapi import routes, serialized
from server.web.openapi.parts import PARAMETERS
from server.web.openapi.route import Route
from server.web.openapi.routes import TAGS
from server.web.ui.assets import Packed, packed
from server.web.ui.blueprint import guarded, page
from server.web.ui.forms import form_of, key_header

pages = Blueprint("pages", __name__)

_METHODS = {"head": "-I ", "post": "-X POST ", "put": "-X PUT ", "delete": "-X DELETE "}

pages.after_request(guarded)


@pages.get("/openapi.json")
def openapi() -> BaseResponse:
    """The OpenAPI document."""
    return _document().response("application/json", "no-cache")


@lru_cache(maxsize=1)
def _document() -> Packed:
    return packed(serialized())


@pages.get("/docs")
def docs() -> Response:
    """A page to read and to try it."""
    base = request.host_url.rstrip("/") + request.script_root
    found = routes()
    return page(
        "docs.html",
        "/docs",
        base=base,
        key=" ".join([*key_header(), ""]),
        tasks=[form_of(kind, base) for kind in catalog()],
        groups=[(tag, text, [route for route in found if route.tag == tag]) for tag, text in TAGS.items()],
        problems=_by_status(problem_types()),
    )


@pages.get("/problems/<name>")
def problem(name: str) -> Response:
    """What a problem means.

    Raises:
        Problem: `not-found` where there is none of this name.
    """
    found = problem_type(name)
    if found is None:
        raise Problem("not-found", f"There is no problem {name[:64]!r}.")
    body = {"type": f"/problems/{name}", "title": found.title, "status": found.status, "detail": found.advice}
    example = json.dumps(body, indent=2, ensure_ascii=False)
    return page("problem.html", "", name=name, kind=found, example=example)


@pages.app_template_filter("parameters")
def _parameters(route: Route) -> list[dict[str, Any]]:
    """All but `If-None-Match`, of which the answer 304 says enough."""
    return [PARAMETERS[name] for name in route.parameters if name != "If-None-Match"]


@pages.app_template_filter("refusals")
def _refusals(route: Route) -> list[tuple[int, list[str]]]:
    """The route's own problems by status; what any route may answer is said once."""
    return _by_status(route.problems)


def _by_status(names: Iterable[str]) -> list[tuple[int, list[str]]]:
    return [(status, list(found)) for status, found in groupby(sorted(names, key=_status_of), _status_of)]


def _status_of(name: str) -> int:
    return problem_types()[name].status


@pages.app_template_filter("command")
def _command(route: Route, base: str) -> str:
    """The route, as one would type it."""
    path = route.path
    for each in (each for each in _parameters(route) if each["in"] == "path"):
        example = "<task_id>" if each["name"] == "task_id" else each["example"]
        path = path.replace(f"{{{each['name']}}}", example)
    return f"curl {_METHODS.get(route.method, '')}{' '.join([*key_header(), ''])}{base}{path}{route.sample}"
