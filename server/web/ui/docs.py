"""The OpenAPI document, a page to read and try it, and a page for each problem.

The docs page works without JavaScript: each task is a form whose run ends on the page of its task. With JavaScript,
`static/docs.js` sends it from the page, with a key, and follows the task to its result.
"""

import json
from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import groupby
from typing import Any

from flask import Response, current_app
from werkzeug.wrappers import Response as BaseResponse

from server.sdk.registry import catalog
from server.web.addresses import base, prefix
from server.web.current import ROUTES, cached
from server.web.errors import Problem, problem_type, problem_types, registered
from server.web.openapi import TAGS, build
from server.web.openapi.parameters import PARAMETERS
from server.web.openapi.route import Access, Api, ResponseSpec, Route, ok
from server.web.ui.assets import Packed, packed
from server.web.ui.blueprint import guarded, page
from server.web.ui.forms import form_of, key_header

route = Api("pages", "documents")
pages = route.blueprint

_PAGE = ResponseSpec(200, "The page.", {"type": "string"}, media_type="text/html")

_HOME = "A page to run tasks, and the way to the others"

route.describe(Route("get", "/", "get_home", (_PAGE,), "documents", _HOME, Access.ANYONE))

_METHODS = {"head": "-I ", "post": "-X POST ", "put": "-X PUT ", "delete": "-X DELETE "}

pages.after_request(guarded)


def routes() -> Sequence[Route]:
    """Return the described routes of the current application."""
    described: Sequence[Route] = current_app.extensions[ROUTES]
    return described


def document() -> dict[str, Any]:
    """Return the OpenAPI document of the current application. It is shared: do not change it."""
    return cached("coatcheck.document", lambda: build(catalog(), routes()))


@route.get("/openapi.json", ok({"type": "object"}, "OpenAPI 3.1."), access=Access.ANYONE)
def get_openapi() -> BaseResponse:
    """This document."""
    openapi_below = cached("coatcheck.openapi", lambda: lru_cache(maxsize=4)(_served_below))
    return openapi_below(prefix()).response("application/json", "no-cache")


def _served_below(prefix: str) -> Packed:
    served = document() | {"servers": [{"url": prefix or "/"}]}
    return packed(json.dumps(served, ensure_ascii=False, separators=(",", ":")).encode())


@route.get("/docs", _PAGE, access=Access.ANYONE)
def get_docs() -> Response:
    """A page to read and try the API."""
    all_routes = routes()
    return page(
        "docs.html",
        "/docs",
        base=base(),
        key=" ".join([*key_header(), ""]),
        tasks=[form_of(each, base()) for each in catalog()],
        groups=[(tag, text, [each for each in all_routes if each.tag == tag]) for tag, text in TAGS.items()],
        problems=_by_status(problem_types()),
    )


@route.get("/problems/<name>", _PAGE, access=Access.ANYONE, parameters=("problem",), problems=("not-found",))
def get_problem(name: str) -> Response:
    """A page that explains an error."""
    problem = problem_type(name)
    if problem is None:
        raise Problem("not-found", f"There is no problem {name[:64]!r}.")
    body = {
        "type": f"{prefix()}/problems/{name}",
        "title": problem.title,
        "status": problem.status,
        "detail": problem.advice,
    }
    example = json.dumps(body, indent=2, ensure_ascii=False)
    return page("problem.html", "", name=name, problem_type=problem, example=example)


@pages.app_template_filter("parameters")
def _parameters(route: Route) -> list[dict[str, Any]]:
    """Return all parameters except `If-None-Match`, which the answer 304 explains."""
    return [PARAMETERS[name] for name in route.parameters if name != "If-None-Match"]


@pages.app_template_filter("refusals")
def _refusals(route: Route) -> list[tuple[int, list[str]]]:
    """Return the route's own problems by status; those of every route are listed once."""
    return _by_status(route.problems)


def _by_status(names: Iterable[str]) -> list[tuple[int, list[str]]]:
    return [(status, list(group)) for status, group in groupby(sorted(names, key=_status_of), _status_of)]


def _status_of(name: str) -> int:
    return registered(name).status


@pages.app_template_filter("command")
def _command(route: Route, base: str) -> str:
    path = route.path
    for each in (each for each in _parameters(route) if each["in"] == "path"):
        example = "<task_id>" if each["name"] == "task_id" else each["example"]
        path = path.replace(f"{{{each['name']}}}", example)
    return f"curl {_METHODS.get(route.method, '')}{' '.join([*key_header(), ''])}{base}{path}{route.sample}"
