"""The catalogue as cards, and a page for each kind of task: its form, its command, what it gives."""

from dataclasses import dataclass

from flask import Response, request

from server.sdk.definition import TaskDefinition
from server.sdk.registry import catalog, definition
from server.web.ui.blueprint import page, ui
from server.web.ui.forms import form_of


@dataclass(frozen=True, slots=True)
class Card:
    """A kind of task on the home page. `accepts` is read by the page's script, which offers it for a file."""

    name: str
    summary: str
    upload: str
    accepts: str


@ui.get("/")
def home() -> Response:
    """What this server can do."""
    return page("home.html", "home", groups=_groups())


@ui.get("/ui/run/<name>")
def run(name: str) -> Response:
    """The form of one kind of task."""
    return page("run.html", "home", task=form_of(definition(name), request.host_url.rstrip("/")))


def _groups() -> list[tuple[str, list[Card]]]:
    """The cards by what they take. `csv_stats` and the like name the types of tables; `text/*` alone is one."""
    found: dict[str, list[Card]] = {"Pictures": [], "Tables and text": [], "Other files": [], "Without a file": []}
    for each in catalog():
        found[_group(each)].append(_card(each))
    return [(title, cards) for title, cards in found.items() if cards]


def _group(each: TaskDefinition) -> str:
    needed = [name for name in each.uploads if name in each.input_schema.get("required", ())]
    if not needed:
        return "Without a file"
    if any(accepted.startswith("image/") for accepted in each.accepts):
        return "Pictures"
    return "Tables and text" if any(accepted.startswith("text/") for accepted in each.accepts) else "Other files"


def _card(each: TaskDefinition) -> Card:
    summary = each.summary.partition(": ")[0].rstrip(".") + "." if len(each.summary) > 110 else each.summary
    return Card(each.name, summary, each.single_upload or "", ",".join(each.accepts) or "*/*")
