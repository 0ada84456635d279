"""The task."""

from collections.abc import Sequence
from typing import Annotated

from pydantic import Field

from server.sdk.context import Context, Upload
from server.sdk.errors import TaskError
from server.sdk.registry import task
from server.tasks.mail.delivery import Letter, Mailing, deliver
from server.tasks.mail.messages import attached
from server.tasks.mail.recipients import MOST, Address, Addressee, listed, uploaded
from server.tasks.mail.server import account
from server.tasks.mail.settings import MailSettings
from server.tasks.mail.templates import LONGEST, Templates

#: Seconds: the limit of one run, and how much of it the rate may use up.
_SOFT_LIMIT = 4 * 3600
_LONGEST_AT_RATE = 3 * 3600

_Listed = Annotated[list[Address | Addressee], Field(min_length=1, max_length=MOST)]
_Body = Annotated[str, Field(max_length=LONGEST)]


def _fits_together(
    recipients: Sequence[str | Addressee] | None,
    recipients_csv: Upload | None,
    text: str | None,
    html: str | None,
    rate: float,
    **_: object,
) -> None:
    if (recipients is None) == (recipients_csv is None):
        raise ValueError("Give either `recipients` or `recipients_csv`")
    if text is None and html is None:
        raise ValueError("Give `text`, `html` or both")
    if words := _too_slow(len(recipients or ()), rate):
        raise ValueError(words)


def _too_slow(number: int, rate: float) -> str:
    """Words where so many messages would outlast a run, else none."""
    if number / rate <= _LONGEST_AT_RATE:
        return ""
    return f"{number} messages at {rate:g} per second take too long; raise `rate`"


@task(soft_time_limit=_SOFT_LIMIT, time_limit=_SOFT_LIMIT + 60, check=_fits_together)
def send_email(
    ctx: Context,
    subject: Annotated[str, Field(min_length=1, max_length=900, pattern=r"^[^\r\n]+$")],
    recipients: Annotated[_Listed | None, Field(examples=[["ada@example.org"]])] = None,
    recipients_csv: Upload | None = None,
    text: Annotated[_Body | None, Field(examples=["Hello {{ email }}"])] = None,
    html: _Body | None = None,
    attachments: list[Upload] = [],  # noqa: B006 - pydantic copies it
    rate: Annotated[float, Field(gt=0, le=100)] = 5,
) -> Mailing:
    """Write to many, each with a text of their own, and say of each: sent, refused in the server's words, or to do.

    Recipients are a list (`"a@example.org"` or `{"email": "a@example.org", "fields": {"name": "Ada"}}`) or a CSV with
    a column `email`. `subject`, `text` and `html` are Jinja templates: `{{ name }}`; HTML is escaped. `rate` is
    messages per second. Refused for now (4xx) is tried again with growing waits for about an hour and a half. A run
    after a crash goes on where the last one was, and so does a retry.
    """
    sender = account(ctx.settings.part(MailSettings))
    people = uploaded(recipients_csv) if recipients_csv else listed(recipients or ())
    if not people:
        raise TaskError("mail-recipients", "There are no recipients.")
    if words := _too_slow(len(people), rate):
        raise TaskError("mail-recipients", f"{words}.")
    templates = Templates(subject, text, html)
    for at, person in enumerate(people):  # all of them, before anybody is written to
        ctx.progress(0, len(people), f"reading the templates for {at + 1}")
        if not person.wrong:
            templates.render(person.address, person.fields)
    return deliver(ctx, Letter(templates, attached(attachments), sender), people, rate)
