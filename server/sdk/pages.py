"""Routes that a package of tasks defines: lists that are read page by page, described without a web framework.

`@PagedRoute("/feeds", …)` on a function makes `GET /feeds`. The web server serves all routes that are loaded when it
starts. It determines the caller, the limit and the cursor, and adds the next page's address.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from server.settings import Settings


@dataclass(frozen=True, slots=True)
class PageRequest:
    """A request for a page. `path` and `query` are its parameters; `after` is the end of the previous page.

    Addresses in the body begin with `prefix`.
    """

    settings: Settings
    owner: str
    is_admin: bool
    path: Mapping[str, str]
    query: Mapping[str, str]
    limit: int
    after: tuple[str, ...] | None
    prefix: str


@dataclass(frozen=True, slots=True)
class Listing:
    """A page: its body, and its end if there is another page.

    `raw` are entries that are JSON already; they become the field `raw_name` of the body.
    """

    body: Mapping[str, Any]
    end: Sequence[str] | None = None
    raw_name: str = ""
    raw: Sequence[str] = ()


View = Callable[[PageRequest], Listing]


@dataclass(frozen=True, slots=True)
class PagedRoute:
    """A route of tasks such as `/feeds/{name}`, as a decorator of the function that reads its pages.

    A cursor has `cursor_length` texts; `parameters` are OpenAPI Parameter Objects. The model of the response has a
    field `next`: the address of the next page, or null.
    """

    path: str
    tag: str
    summary: str
    model: type[BaseModel]
    cursor_length: int
    description: str = ""
    parameters: tuple[Mapping[str, Any], ...] = ()
    problems: tuple[str, ...] = ()

    def __call__(self, read: View) -> View:
        """Serve the pages of a function; its name is that of the operation."""
        _routes[self.path] = self, read
        return read


_routes: dict[str, tuple[PagedRoute, View]] = {}


def paged_paths() -> list[str]:
    """Return the paths of the loaded tasks' routes that have no parameter."""
    return [path for path in _routes if "{" not in path]


def paged_routes() -> list[tuple[PagedRoute, View]]:
    """Return every route of the loaded tasks, with its function."""
    return list(_routes.values())
