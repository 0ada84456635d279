"""The task `send_email`: one message for each recipient."""

from collections.abc import Sequence
from email.headerregistry import Address
from typing import Annotated

from pydantic import AfterValidator, Field

from server.sdk.context import Context, Upload
from server.sdk.errors import TaskError
from server.sdk.registry import task
from server.tasks.mail import server
from server.tasks.mail.addresses import Mailbox, parse
from server.tasks.mail.delivery import Letter, Mailing, deliver, preview
from server.tasks.mail.messages import Envelope, attached, check_headers
from server.tasks.mail.recipients import MAX_RECIPIENTS, Addressee, Recipient, listed, uploaded
from server.tasks.mail.settings import MailSettings
from server.tasks.mail.templates import MAX_TEMPLATE_LENGTH, Templates

#: Time limit of one attempt in seconds, and the part of it that `rate` may use.
_SOFT_LIMIT = 4 * 3600
_MAX_SECONDS_AT_RATE = 3 * 3600

_MAX_COPIES = 20


def _one_line(text: str) -> str:
    if not text.strip() or len(text.splitlines()) > 1:
        raise ValueError("The subject is one line, and not empty")
    return text


_Listed = Annotated[list[Mailbox | Addressee], Field(min_length=1, max_length=MAX_RECIPIENTS)]
_Body = Annotated[str, Field(max_length=MAX_TEMPLATE_LENGTH)]
_Url = Annotated[str, Field(max_length=2000, examples=["https://example.org/unsubscribe?id={{ id }}"])]
_Copies = Annotated[list[Mailbox], Field(max_length=_MAX_COPIES)]
_Headers = Annotated[dict[str, str], Field(max_length=20), AfterValidator(check_headers)]


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
    if reason := _too_slow(len(recipients or ()), rate):
        raise ValueError(reason)


def _too_slow(number: int, rate: float) -> str:
    """Return an error if this many messages would exceed the time limit, else ""."""
    if number / rate <= _MAX_SECONDS_AT_RATE:
        return ""
    return f"{number} messages at {rate:g} per second take too long; raise `rate`"


@task(soft_time_limit=_SOFT_LIMIT, time_limit=_SOFT_LIMIT + 60, check=_fits_together)
def send_email(
    ctx: Context,
    subject: Annotated[str, Field(min_length=1, max_length=900), AfterValidator(_one_line)],
    recipients: Annotated[_Listed | None, Field(examples=[["ada@example.org"]])] = None,
    recipients_csv: Upload | None = None,
    text: Annotated[_Body | None, Field(examples=["Hello {{ email }}"])] = None,
    html: _Body | None = None,
    attachments: list[Upload] = [],  # noqa: B006 - pydantic copies it
    sender: Mailbox | None = None,
    reply_to: Mailbox | None = None,
    cc: _Copies = [],  # noqa: B006 - as above
    bcc: _Copies = [],  # noqa: B006 - as above
    headers: _Headers = {},  # noqa: B006 - as above
    unsubscribe_url: _Url | None = None,
    unsubscribe_mail: Annotated[str, Field(max_length=500)] | None = None,
    rate: Annotated[float, Field(gt=0, le=100)] = 5,
    dry_run: bool = False,
) -> Mailing:
    """Send an e-mail to many recipients, each with their own text; report each as sent, refused with the reply, or to
    do.

    Recipients are a list (`"Ada <a@example.org>"` or `{"email": "a@example.org", "fields": {"name": "Ada"}}`) or a CSV
    with a column `email`. `subject`, `text`, `html`, `unsubscribe_url` and `unsubscribe_mail` are Jinja templates: `{{
    name }}`; HTML is escaped. `cc` and `bcc` get a copy of every message. `rate` is messages per second. A message that
    is refused temporarily (4xx) is retried with increasing waits for about an hour and a half. An attempt after a crash
    continues where the last one ended, and so does a retry. `dry_run` sends nothing and returns the messages that would
    be sent.
    """
    settings = ctx.settings.part(MailSettings)
    account = None if dry_run else server.account(settings)
    people = uploaded(recipients_csv) if recipients_csv else listed(recipients or ())
    if not people:
        raise TaskError("mail-recipients", "There are no recipients.")
    if reason := _too_slow(len(people), rate):
        raise TaskError("mail-recipients", f"{reason}.")
    envelope = Envelope(
        sender=_sender(sender, settings),
        reply_to=parse(reply_to) if reply_to else None,
        cc=tuple(map(parse, cc)),
        bcc=tuple(map(parse, bcc)),
        headers=headers,
        attachments=attached(attachments),
    )
    unsubscribe = {"unsubscribe_url": unsubscribe_url or None, "unsubscribe_mail": unsubscribe_mail or None}
    templates = Templates({"subject": subject, "text": text, "html": html, **unsubscribe})
    _try_all(ctx, templates, people)
    letter = Letter(templates, envelope)
    return deliver(ctx, account, letter, people, rate) if account else preview(ctx, letter, people)


def _sender(sender: str | None, settings: MailSettings) -> Address:
    if sender is None:
        return server.sender(settings)
    address = parse(sender)
    if not server.may_send_as(address, settings):
        raise TaskError(
            "mail-sender",
            f"{address.addr_spec} may not be the sender. Use the domain of MAIL_FROM, or add it to MAIL_SENDERS.",
        )
    return address


def _try_all(ctx: Context, templates: Templates, people: Sequence[Recipient]) -> None:
    """Fill in all recipients' templates before the first message is sent."""
    for at, person in enumerate(people):
        ctx.progress(0, len(people), f"reading the templates for {at + 1}")
        if not person.error and not person.is_duplicate:
            templates.render(person.spec, person.fields)
