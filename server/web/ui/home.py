"""The start page with all task types, and a page for each: its form, samples in three languages, its result."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, NoReturn

from flask import Response, current_app, g, request
from markupsafe import Markup
from werkzeug.exceptions import MethodNotAllowed
from werkzeug.wrappers import Response as BaseResponse

from server.sdk.definition import TaskDefinition
from server.sdk.registry import catalog, definition, is_registered
from server.services.submit import Submission
from server.store.api_keys import Caller
from server.store.errors import CoatcheckError
from server.store.listing import Filter
from server.store.record import Record
from server.web.addresses import base, prefix
from server.web.body.read import read_input
from server.web.current import store
from server.web.errors import Problem, as_problem
from server.web.long_poll import event_stream
from server.web.middleware import caller, require_submit
from server.web.ui.blueprint import current_viewer, moved, page, ui
from server.web.ui.format.filters import read_inputs
from server.web.ui.forms import form_of
from server.web.ui.stream import PageParts
from server.web.ui.tasks import reasons

_RECENT = 5  # maximum number of recent tasks on the start page


@dataclass(frozen=True, slots=True)
class Card:
    """A task type on the start page; the page's script reads `accepts` to offer it for a file."""

    name: str
    summary: str
    upload: str
    accepts: str


@dataclass(frozen=True, slots=True)
class Preset:
    """A suggested task: a task type with its input."""

    name: str
    text: str
    task: str
    input: Mapping[str, Any]
    shapes: str

    @property
    def picture(self) -> Markup:
        return Markup('<svg class="i" viewBox="0 0 48 48" aria-hidden="true">{}</svg>').format(Markup(self.shapes))


_BOX = '<rect class="o" x="4.5" y="8.5" width="39" height="31" rx="2"/>'
_WIDTHS = {"small": 480, "medium": 960, "large": 1600}

PRESETS = (
    Preset(
        "Smaller",
        "Fits in 1,600 px, same format.",
        "thumbnail",
        {"width": 1600, "height": 1600},
        _BOX + '<rect class="f" x="4.5" y="23.5" width="21" height="16" rx="2"/>',
    ),
    Preset(
        "Square",
        "800 \u00d7 800, cropped around the center.",
        "resize",
        {"width": 800, "height": 800, "fit": "cover"},
        _BOX + '<rect class="f" x="8.5" y="8.5" width="31" height="31" rx="2"/>',
    ),
    Preset(
        "For the web",
        "WebP in three widths for a page.",
        "image_variants",
        {"variants": {name: {"width": width, "format": "webp"} for name, width in _WIDTHS.items()}},
        '<rect class="f" x="4.5" y="10.5" width="29" height="22" rx="2"/>'
        '<rect class="f" x="22.5" y="18.5" width="13" height="18" rx="2"/>'
        '<rect class="f" x="33.5" y="25.5" width="10" height="14" rx="2"/>',
    ),
)


@ui.get("/")
def home() -> Response:
    """Show the start page: drop a file, choose a task type, see recent tasks."""
    return page(
        "home.html",
        "/",
        groups=_groups(),
        count=len(list(catalog())),
        presets=[preset for preset in PRESETS if is_registered(preset.task)],
        **_recent(current_viewer()),
        max_upload=store().settings.max_upload_bytes,
    )


@ui.get("/ui/recent/events")
def recent_events() -> Response:
    """Follow the viewer's recent tasks."""
    viewer = caller()
    return event_stream(PageParts(viewer, "home.html", ("recent",), lambda: _recent(viewer)))


def _recent(viewer: Caller | None) -> dict[str, Any]:
    if viewer is None:
        return {"recent": [], "reasons": {}}
    records = store().listing.page(Filter(owners=[viewer.owner]), _RECENT).records
    read_inputs(records)
    return {"recent": records, "reasons": reasons(store(), viewer, records)}


@ui.get("/ui/run/<name>")
def run(name: str) -> Response:
    return run_page(definition(name))


@ui.post("/ui/run/<name>")
def run_plain(name: str) -> BaseResponse:
    """Submit the form of a browser without JavaScript, and redirect to the task's page."""
    owner = require_submit().owner
    task_definition = definition(name)
    typed: dict[str, str] = {}
    try:
        with Submission(store(), task_definition, owner, g.request_id, trace=g.trace) as submission:
            ticket = submission.submit(read_input(submission, typed))
    except CoatcheckError as error:
        problem = as_problem(error)
        answer = run_page(task_definition, problem.body(prefix()), typed=typed)
        answer.status_code = problem.status
        return answer
    return moved(f"/ui/tasks/{ticket.record.id}")


@ui.get("/ui/<path:path>")
def unknown(path: str) -> NoReturn:
    """Answer any other address with a page; one that accepts only POST is not unknown."""
    adapter = current_app.create_url_adapter(request)
    if adapter is not None and "POST" in adapter.allowed_methods():
        raise MethodNotAllowed(["POST"])
    raise Problem("not-found", f"There is no page /ui/{path[:64]}.")


def run_page(
    task_definition: TaskDefinition,
    problem: dict[str, Any] | None = None,
    *,
    earlier: Record | None = None,
    input_values: Mapping[str, Any] | None = None,
    typed: Mapping[str, str] | None = None,
) -> Response:
    """Show a task type's form: empty, with its errors and what was typed, or with the input of an earlier task."""
    form = form_of(task_definition, base())
    return page(
        "run.html",
        "/",
        task=replace(form, parameters=[each.prefilled(typed or {}) for each in form.parameters]),
        group=_group(task_definition),
        presets=[preset for preset in PRESETS if preset.task == task_definition.name],
        problem=problem,
        earlier=earlier,
        input_values=input_values,
    )


def _groups() -> list[tuple[str, list[Card]]]:
    """Group the task types by the files that they accept."""
    groups: dict[str, list[Card]] = {"Pictures": [], "Tables and text": [], "Other files": [], "Without a file": []}
    for each in catalog():
        groups[_group(each)].append(_card(each))
    return [(title, cards) for title, cards in groups.items() if cards]


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
