"""Routes of a package of tasks: lists that are read page by page, described without a web framework.

`@paged("/feeds", …)` on a function makes `GET /feeds`. The web serves all routes that are known when it starts.
It finds the caller, the limit and the cursor, and gives the next page's address.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from server.settings import Settings


@dataclass(frozen=True, slots=True)
class PageRequest:
    """A request for a page. `path` and `query` are its parameters; `after` is where the page before ended."""

    settings: Settings
    owner: str
    is_admin: bool
    path: Mapping[str, str]
    query: Mapping[str, str]
    limit: int
    after: tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class Listing:
    """A page: its body, and the place that it ends at if there is another.

    `raw` are entries in JSON already, which go into the body under the name `raw_name`.
    """

    body: Mapping[str, Any]
    end: Sequence[str] | None = None
    raw_name: str = ""
    raw: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class PagedRoute:
    """A route of tasks. `place` is how many texts a cursor has; `parameters` are OpenAPI Parameter Objects.

    The model of the answer has a field `next`: the address of the next page, or null.
    """

    path: str
    operation_id: str
    tag: str
    summary: str
    description: str
    model: type[BaseModel]
    place: int
    parameters: tuple[Mapping[str, Any], ...]
    problems: tuple[str, ...]
    function: Callable[[PageRequest], Listing]


_routes: dict[str, PagedRoute] = {}


def paged(
    path: str,
    *,
    tag: str,
    summary: str,
    model: type[BaseModel],
    place: int,
    description: str = "",
    parameters: tuple[Mapping[str, Any], ...] = (),
    problems: tuple[str, ...] = (),
) -> Callable[[Callable[[PageRequest], Listing]], Callable[[PageRequest], Listing]]:
    """Serve a function's pages at a path such as `/feeds/{name}`; the other arguments are those of `PagedRoute`."""

    def register(function: Callable[[PageRequest], Listing]) -> Callable[[PageRequest], Listing]:
        _routes[path] = PagedRoute(
            path, function.__name__, tag, summary, description, model, place, parameters, problems, function
        )
        return function

    return register


def paged_routes() -> list[PagedRoute]:
    """Every route of the tasks that are loaded."""
    return list(_routes.values())
