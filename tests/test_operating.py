"""The operating page has a section for each alert, and for each warning of the server and of `coatcheck doctor`."""

import ast
import re
from collections.abc import Iterator
from itertools import product

import pytest
from documents import outside_blocks, section
from harness import ROOT
from monitoring_files import DASHBOARD, alerting_rules

PAGE = "docs/operating.md"

#: Where the sentences are that `/health/ready`, `coatcheck doctor` and an outage give as reasons.
SOURCES = (
    *("server/store/connection/checks.py", "server/store/connection/__init__.py"),
    *("server/cli/doctor.py", "server/web/routes/health.py"),
)


def anchor(heading: str) -> str:
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")


def sections() -> dict[str, str]:
    """The text of each section, by its anchor."""
    headings = re.findall(r"^### (.*)$", outside_blocks((ROOT / PAGE).read_text()), re.MULTILINE)
    return {anchor(heading): section(PAGE, heading) for heading in headings}


@pytest.mark.parametrize("rule", alerting_rules(), ids=lambda rule: rule["alert"])
def test_each_alert_links_to_the_section_about_it(rule: dict[str, dict[str, str]]) -> None:
    page, _, target = rule["annotations"]["runbook"].partition("#")

    assert page == PAGE
    assert f"`{rule['alert']}`" in sections()[target]
    assert rule["labels"]["severity"] in ("page", "ticket")
    assert rule["annotations"]["summary"].endswith(".")


def test_the_page_names_only_existing_alerts() -> None:
    named = set(re.findall(r"`(Coatcheck\w+)`", (ROOT / PAGE).read_text()))

    assert named == {rule["alert"] for rule in alerting_rules()}


def sentences(path: str) -> Iterator[str]:
    """Sentences in a module's code, with `…` for inserted values. Docstrings, and parts added to one, are left out."""
    tree = ast.parse((ROOT / path).read_text())
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    added = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.AugAssign)}
    parts = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    for node in ast.walk(tree):
        if id(node) in docstrings | added | parts:
            continue
        text = ""
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            text = node.value
        elif isinstance(node, ast.JoinedStr):
            text = "".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values)
        if re.match(r"([A-Z]\w+|… …) .{12}", text) and text.rstrip().endswith((".", "…")):
            yield text


@pytest.mark.parametrize("path", SOURCES)
def test_each_reason_and_warning_has_its_section(path: str) -> None:
    quoted = [quote for text in sections().values() for quote in re.findall(r'"([^"]+)"', " ".join(text.split()))]

    messages = list(sentences(path))

    assert messages
    parts = [quote.removesuffix("…").rstrip(" ") for quote in quoted if len(quote) > 8]
    assert [sentence for sentence in messages if not any(part in sentence for part in parts)] == []


def test_grafana_can_import_the_dashboard() -> None:
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    variables = {variable["name"] for variable in DASHBOARD["templating"]["list"]}
    positions = [panel["gridPos"] for panel in DASHBOARD["panels"]]
    targets = [target for panel in DASHBOARD["panels"] for target in panel.get("targets", [])]

    assert DASHBOARD["schemaVersion"] >= 39
    assert len(set(ids)) == len(ids)
    assert {target["datasource"]["uid"].strip("${}") for target in targets} == variables
    assert max(at["x"] + at["w"] for at in positions) <= 24
    columns = [range(at["x"], at["x"] + at["w"]) for at in positions]
    rows = [range(at["y"], at["y"] + at["h"]) for at in positions]
    cells = [cell for of_panel in map(product, columns, rows) for cell in of_panel]
    assert len(set(cells)) == len(cells), "a panel overlaps another"
