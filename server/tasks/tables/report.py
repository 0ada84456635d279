"""One HTML page with a picture per column: it contains its styles and pictures, and loads and runs nothing."""

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jinja2 import Template

_PAGE = Path(__file__).parent / "report.html"


def render(filename: str, stats: dict[str, Any]) -> str:
    """Render the page of a file's statistics, as JSON values. All text from the file is escaped."""
    return _template().render(filename=filename, **stats)


@lru_cache(maxsize=1)
def _template() -> "Template":
    from jinja2 import Environment, StrictUndefined  # noqa: PLC0415 - needed for reports only

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["number"] = _number
    return environment.from_string(_PAGE.read_text("utf-8"))


def _number(value: object) -> str:
    """Format a number for a reader: thin spaces between thousands, at most six decimal places."""
    if isinstance(value, bool):
        return str(value).lower()
    if not isinstance(value, int | float):
        return str(value)
    if isinstance(value, float):
        value = int(value) if value.is_integer() and abs(value) < 1e15 else value
    text = f"{value:,}" if isinstance(value, int) else f"{value:,.6g}"
    return text.replace(",", "\u202f")
