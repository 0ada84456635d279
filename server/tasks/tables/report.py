"""One HTML page with a picture per column: it carries its own styles and pictures, loads nothing and runs nothing."""

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jinja2 import Template

_PAGE = Path(__file__).parent / "report.html"


def render(filename: str, stats: dict[str, Any]) -> str:
    """The page for the figures of a file, as JSON has them. All words of the file are escaped."""
    return _template().render(filename=filename, **stats)


@lru_cache(maxsize=1)
def _template() -> "Template":
    from jinja2 import Environment, StrictUndefined  # noqa: PLC0415 - only who makes a report needs it

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["number"] = _number
    return environment.from_string(_PAGE.read_text("utf-8"))


def _number(value: object) -> str:
    """A value for a reader: thousands set apart by a thin space, six digits of a fraction."""
    if isinstance(value, bool):
        return str(value).lower()
    if not isinstance(value, int | float):
        return str(value)
    if isinstance(value, float):
        value = int(value) if value.is_integer() and abs(value) < 1e15 else value
    text = f"{value:,}" if isinstance(value, int) else f"{value:,.6g}"
    return text.replace(",", "\u202f")
