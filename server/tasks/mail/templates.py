"""Subject, text, HTML and unsubscribe addresses: Jinja templates that can only access a recipient's fields."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from server.sdk.errors import TaskError

if TYPE_CHECKING:
    from jinja2 import Environment, Template

MAX_TEMPLATE_LENGTH = 500_000  # maximum characters of a template, and of its output

#: A URL that is allowed in angle brackets in a header.
_URL = re.compile(r"(?:https://|mailto:[^@]+@)[!#-;=?-~]{1,1000}")

_HEADER_BREAK = re.compile(r"[\r\n\v\f\x1c-\x1e\x85\u2028\u2029\x00]")

#: Errors of a filter or an operation that does not support a field's value.
_UNSUPPORTED = (TypeError, ValueError, ArithmeticError, LookupError, AttributeError, RecursionError)


@dataclass(frozen=True, slots=True)
class Rendered:
    """The message for one recipient. `unsubscribe` are URLs, an https one first."""

    subject: str
    text: str | None
    html: str | None
    unsubscribe: tuple[str, ...] = ()


class Templates:
    """The templates of a task, by name: those of `Rendered`'s fields, and `unsubscribe_url` or `unsubscribe_mail`.

    Raises:
        TaskError: `mail-template` with the invalid line.
    """

    def __init__(self, sources: Mapping[str, str | None]) -> None:
        self._templates = {name: _compile(name, text) for name, text in sources.items() if text is not None}

    def render(self, address: str, fields: Mapping[str, Any]) -> Rendered:
        """Fill in a recipient's fields: `{{ name }}`, `{{ fields["first name"] }}`, `{{ email }}`.

        Raises:
            TaskError: `mail-template`: a field is missing, or a subject would have a line break.
        """
        variables = {**fields, "fields": dict(fields), "email": address}
        filled = {name: _fill(name, template, variables, address) for name, template in self._templates.items()}
        if _HEADER_BREAK.search(filled["subject"]):
            raise TaskError("mail-template", f"The subject for {address} would have a line break. Nothing was sent.")
        urls = (_url(name, filled[name], address) for name in ("unsubscribe_url", "unsubscribe_mail") if name in filled)
        return Rendered(filled["subject"], filled.get("text"), filled.get("html"), tuple(urls))


def _url(name: str, url: str, address: str) -> str:
    """Check an unsubscribe address: `unsubscribe_url` or `unsubscribe_mail`."""
    url = url.strip()
    url = f"mailto:{url}" if name == "unsubscribe_mail" and not url.startswith("mailto:") else url
    if not _URL.fullmatch(url) or url.startswith("https:") != (name == "unsubscribe_url"):
        expected = "an https URL" if name == "unsubscribe_url" else "an e-mail address"
        raise TaskError("mail-template", f"The {name} for {address} is not {expected}. Nothing was sent.")
    return url


@cache
def _environment(escape: bool) -> "Environment":
    """Create the sandbox for untrusted templates: no Python attributes, globals or powers (`9 ** 9 ** 9` hangs)."""
    from jinja2 import StrictUndefined  # noqa: PLC0415 - only this task needs it
    from jinja2.exceptions import SecurityError  # noqa: PLC0415
    from jinja2.sandbox import ImmutableSandboxedEnvironment  # noqa: PLC0415

    class Letters(ImmutableSandboxedEnvironment):
        intercepted_binops = frozenset({"**"})

        def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
            raise SecurityError(f"{operator} does not work in a template")

    environment = Letters(undefined=StrictUndefined, autoescape=escape)
    environment.globals.clear()
    return environment


def _compile(part: str, source: str) -> "Template":
    from jinja2 import TemplateSyntaxError  # noqa: PLC0415

    try:
        return _environment(escape=part == "html").from_string(source)
    except TemplateSyntaxError as error:
        raise TaskError("mail-template", f"The {part}, line {error.lineno}: {error.message}") from None
    except RecursionError:
        raise TaskError("mail-template", f"The {part} is nested too deeply.") from None


def _fill(part: str, template: "Template", variables: Mapping[str, Any], address: str) -> str:
    from jinja2 import TemplateError  # noqa: PLC0415

    size, pieces = 0, []
    try:
        for piece in template.generate(variables):
            pieces.append(piece)
            size += len(piece)
            if size > MAX_TEMPLATE_LENGTH:
                raise TaskError(
                    "mail-template", f"The {part} for {address} has more than {MAX_TEMPLATE_LENGTH} characters."
                )
    except (TemplateError, *_UNSUPPORTED) as error:
        reason = (isinstance(error, TemplateError) and error.message) or type(error).__name__
        raise TaskError("mail-template", f"The {part} for {address}: {reason}. Nothing was sent.") from None
    return "".join(pieces)
