"""The state of every recipient, recorded after each step, so that a later attempt continues where this one ended."""

import json
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, Field

from server.sdk.context import Context
from server.sdk.errors import RetryLater, TaskError
from server.tasks.mail.messages import Envelope, compose
from server.tasks.mail.recipients import Recipient
from server.tasks.mail.server import Account, Conversation, Refused, Unreachable
from server.tasks.mail.templates import Templates

#: Seconds before each retry: greylisting needs minutes, a server that restarts needs seconds.
WAITS = (2, 15, 60, 300, 900, 3600)
_MAX_FAILED_CONNECTIONS = 3  # consecutive messages without a connection that end the attempt: the server is down

#: Messages that a dry run shows, and the maximum characters of each.
_PREVIEWS = 50
_PREVIEW_CHARACTERS = 500_000

Status = Literal["sent", "refused", "to_do", "duplicate"]


class Delivery(BaseModel):
    """The state of one recipient. `message` is the mail server's last reply, or the error."""

    recipient: str
    status: Status
    tries: int = Field(description="How often the message was offered to the server.")
    message: str | None = None


class Preview(BaseModel):
    """A message that would be sent."""

    recipient: str
    copies: list[str]
    headers: dict[str, str]
    text: str | None
    html: str | None
    attachments: list[str]


class Mailing(BaseModel):
    """The state of all recipients, in the given order."""

    sent: int
    refused: int
    to_do: int = Field(description="Refused temporarily at every try, for some hours; in a dry run: would be sent.")
    duplicates: int = Field(0, description="Recipients whose address comes earlier in the list: they get one message.")
    recipients: list[Delivery]
    previews: list[Preview] = Field(default_factory=list, description="The first messages of a dry run.")


class Journal:
    """The recipients' entries, each stored as a checkpoint when it changes.

    "Sent" also applies to a retry (`POST /tasks/{id}/retry`); entries that are refused or to do are stored under the
    task's own id, so that a retry tries them again. The keys have the addresses: a retry may have other recipients.
    """

    def __init__(self, ctx: Context, recipients: Sequence[Recipient]) -> None:
        self._ctx = ctx
        noted = ctx.checkpoints()
        self._deliveries = [_begin(each) for each in recipients]
        for at in self.to_do():
            if entry := noted.get(self._address(at)) or noted.get(self._task_key(self._address(at))):
                self._deliveries[at] = self._deliveries[at].model_copy(update=json.loads(entry))
        self.rounds = int(noted.get(self._task_key("rounds"), 0))

    def _task_key(self, key: str) -> str:
        return f"{self._ctx.task_id}/{key}"

    def _address(self, at: int) -> str:
        return self._deliveries[at].recipient.casefold()

    def to_do(self) -> list[int]:
        """Return the positions of the recipients who have not received the message."""
        return [at for at, each in enumerate(self._deliveries) if each.status == "to_do"]

    def note(self, at: int, status: Status, message: str | None = None) -> None:
        """Record an attempt and its outcome.

        Raises:
            Canceled: as in `Context.checkpoint`.
        """
        delivery = self._deliveries[at]
        delivery.status, delivery.tries, delivery.message = status, delivery.tries + 1, message
        entry = delivery.model_dump_json(exclude={"recipient"})
        key = self._address(at)
        self._ctx.checkpoint(key if status == "sent" else self._task_key(key), entry)

    def end_round(self) -> None:
        """Record that every recipient has been tried once more."""
        self.rounds += 1
        self._ctx.checkpoint(self._task_key("rounds"), str(self.rounds))

    def mailing(self) -> Mailing:
        counts = Counter(each.status for each in self._deliveries)
        return Mailing(
            sent=counts["sent"],
            refused=counts["refused"],
            to_do=counts["to_do"],
            duplicates=counts["duplicate"],
            recipients=self._deliveries,
        )


def _begin(recipient: Recipient) -> Delivery:
    status: Status = "refused" if recipient.error else "duplicate" if recipient.is_duplicate else "to_do"
    return Delivery(recipient=recipient.spec, status=status, tries=0, message=recipient.error or None)


@dataclass(frozen=True, slots=True)
class Letter:
    """A mailing's message, filled with each recipient's own fields."""

    templates: Templates
    envelope: Envelope


def preview(ctx: Context, letter: Letter, recipients: Sequence[Recipient]) -> Mailing:
    """Return the messages that would be sent, without sending them."""
    mailing = Journal(ctx, recipients).mailing()
    size = 0
    for at, recipient in enumerate(recipients):
        if mailing.recipients[at].status != "to_do":
            continue
        one = _preview(letter, recipient, f"{ctx.task_id}.{at}")
        size += len(one.text or "") + len(one.html or "")
        if len(mailing.previews) == _PREVIEWS or (mailing.previews and size > _PREVIEW_CHARACTERS):
            break
        mailing.previews.append(one)
    return mailing


def _preview(letter: Letter, recipient: Recipient, message_id: str) -> Preview:
    rendered = letter.templates.render(recipient.spec, recipient.fields)
    message = compose(letter.envelope, recipient.address, message_id, rendered)
    return Preview(
        recipient=recipient.spec,
        copies=letter.envelope.copies(recipient.address),
        headers={name: str(value) for name, value in message.items() if not name.startswith(("Content-", "MIME-"))},
        text=rendered.text,
        html=rendered.html,
        attachments=[file.filename for file in letter.envelope.attachments],
    )


def deliver(ctx: Context, account: Account, letter: Letter, recipients: Sequence[Recipient], rate: float) -> Mailing:
    """Send to all recipients who have not received the message; `rate` is messages per second.

    Raises:
        RetryLater: some are refused temporarily.
        TaskError: `mail-server-unreachable` or `mail-login-refused`, if nothing was sent.
        Canceled: do not catch it.
    """
    journal = Journal(ctx, recipients)
    failure = _round(ctx, account, letter, recipients, rate, journal)
    mailing = journal.mailing()
    if not mailing.to_do:
        return mailing
    if failure is not None and failure.permanent and not mailing.sent:
        raise TaskError("mail-login-refused", str(failure))
    journal.end_round()
    if journal.rounds <= len(WAITS):
        wait = WAITS[journal.rounds - 1]
        last = str(failure) if failure else next(one.message for one in mailing.recipients if one.status == "to_do")
        raise RetryLater(wait) from TaskError(
            "mail-deferred", f"{mailing.to_do} of {len(recipients)} are still to do; again in {wait} s. Last: {last}"
        )
    if failure is not None and mailing.to_do == len(recipients):
        raise TaskError("mail-server-unreachable", str(failure))
    return mailing


def _round(
    ctx: Context, account: Account, letter: Letter, recipients: Sequence[Recipient], rate: float, journal: Journal
) -> Unreachable | None:
    """Try each remaining recipient once. Return the error that ended the round early, if any."""
    next_at, misses = time.monotonic(), 0
    with closing(Conversation(account)) as server:
        for at in journal.to_do():
            ctx.progress(at, len(recipients), f"writing to {at + 1} of {len(recipients)}")
            next_at = _pause(ctx, next_at, at, len(recipients)) + 1 / rate
            try:
                journal.note(at, *_send(server, letter, recipients[at], f"{ctx.task_id}.{at}"))
                misses = 0
            except Unreachable as failure:
                journal.note(at, "to_do", str(failure))
                misses += 1
                if misses == _MAX_FAILED_CONNECTIONS or failure.permanent:
                    return failure
        ctx.progress(len(recipients), len(recipients), "every recipient was tried")
    return None


def _send(server: Conversation, letter: Letter, recipient: Recipient, message_id: str) -> tuple[Status, str | None]:
    rendered = letter.templates.render(recipient.spec, recipient.fields)
    message = compose(letter.envelope, recipient.address, message_id, rendered)
    copies = letter.envelope.copies(recipient.address)
    try:
        refused = server.send(message, letter.envelope.sender.addr_spec, recipient.spec, copies)
    except Refused as refusal:
        return ("refused" if refusal.permanent else "to_do"), str(refusal)
    return "sent", f"No copy to {'; '.join(refused)}" if refused else None


def _pause(ctx: Context, until: float, done: int, total: int) -> float:
    """Wait until the next message is due, or until a cancel. Return the time."""
    while (left := until - time.monotonic()) > 0:
        time.sleep(min(left, 0.5))
        ctx.progress(done, total, "keeping to the rate")
    return time.monotonic()
