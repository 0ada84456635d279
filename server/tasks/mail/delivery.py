"""Who has been written to, who refused, and who is still to do; noted step by step, so that a later run goes on."""

import json
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Literal

from pydantic import BaseModel, Field

from server.sdk.context import Context
from server.sdk.errors import RetryLater, TaskError
from server.tasks.mail.messages import Attachment, compose
from server.tasks.mail.recipients import Recipient
from server.tasks.mail.server import Account, Conversation, Refused, Unreachable
from server.tasks.mail.templates import Templates

#: Seconds before each further try: greylisting wants minutes, a server that starts again seconds.
WAITS = (2, 15, 60, 300, 900, 3600)

#: So many messages in a row for which there was no conversation: the server is gone, and the rest waits too.
_ENOUGH = 3

Status = Literal["sent", "refused", "to_do"]


class Delivery(BaseModel):
    """How it stands with one recipient. `words` are the mail server's of the last try."""

    recipient: str
    status: Status
    tries: int = Field(description="How often the message was offered to the server.")
    words: str | None = None


class Mailing(BaseModel):
    """How it stands with all of them, in the order that they were given in."""

    sent: int
    refused: int
    to_do: int = Field(description="Refused for now at every try, for some hours.")
    recipients: list[Delivery]


@dataclass(slots=True)
class _Entry:
    """One recipient's line in the journal."""

    status: Status = "to_do"
    tries: int = 0
    words: str | None = None


class Journal:
    """The recipients' entries, each noted in the task's memo when it changes.

    "Sent" holds for a retry (`POST /tasks/{id}/retry`), too; what was refused or is to do is noted under the task's
    own id, so that a retry offers it again.
    """

    def __init__(self, ctx: Context, recipients: Sequence[Recipient]) -> None:
        self._ctx = ctx
        self._recipients = recipients
        noted = ctx.checkpoints()
        self._entries = [_Entry("refused", 0, each.wrong) if each.wrong else _Entry() for each in recipients]
        for at in range(len(recipients)):
            if entry := noted.get(str(at)) or noted.get(self._own(at)):
                self._entries[at] = _Entry(**json.loads(entry))
        self.rounds = int(noted.get(self._own("rounds"), 0))

    def _own(self, key: object) -> str:
        return f"{self._ctx.task_id}/{key}"

    def to_do(self) -> list[int]:
        """Places of the recipients who have not got theirs."""
        return [at for at, entry in enumerate(self._entries) if entry.status == "to_do"]

    def note(self, at: int, status: Status, words: str | None = None) -> None:
        """A try and its outcome.

        Raises:
            Canceled: as `Context.remember`.
        """
        entry = self._entries[at] = _Entry(status, self._entries[at].tries + 1, words)
        self._ctx.checkpoint(str(at) if status == "sent" else self._own(at), json.dumps(asdict(entry)))

    def end_round(self) -> None:
        """Everybody has been tried once more."""
        self.rounds += 1
        self._ctx.checkpoint(self._own("rounds"), str(self.rounds))

    def mailing(self) -> Mailing:
        """The task's result."""
        counts = Counter(entry.status for entry in self._entries)
        deliveries = [
            Delivery(recipient=each.address, status=entry.status, tries=entry.tries, words=entry.words)
            for each, entry in zip(self._recipients, self._entries, strict=True)
        ]
        return Mailing(sent=counts["sent"], refused=counts["refused"], to_do=counts["to_do"], recipients=deliveries)


@dataclass(frozen=True, slots=True)
class Letter:
    """What all recipients get, each with their own words."""

    templates: Templates
    attachments: Sequence[Attachment]
    sender: Account


def deliver(ctx: Context, letter: Letter, recipients: Sequence[Recipient], rate: float) -> Mailing:
    """Write to everybody who has not been written to; `rate` is messages a second.

    Raises:
        RetryLater: some are refused for now.
        TaskError: `mail-server-unreachable` or `mail-login-refused`, where nobody was written to.
        Canceled: let it pass.
    """
    journal = Journal(ctx, recipients)
    trouble = _round(ctx, letter, recipients, rate, journal)
    mailing = journal.mailing()
    if not mailing.to_do:
        return mailing
    if trouble is not None and trouble.permanent and not mailing.sent:
        raise TaskError("mail-login-refused", str(trouble))
    journal.end_round()
    if journal.rounds <= len(WAITS):
        wait = WAITS[journal.rounds - 1]
        words = str(trouble) if trouble else next(one.words for one in mailing.recipients if one.status == "to_do")
        raise RetryLater(wait) from TaskError(
            "mail-deferred", f"{mailing.to_do} of {len(recipients)} are still to do; again in {wait} s. Last: {words}"
        )
    if trouble is not None and mailing.to_do == len(recipients):
        raise TaskError("mail-server-unreachable", str(trouble))
    return mailing


def _round(
    ctx: Context, letter: Letter, recipients: Sequence[Recipient], rate: float, journal: Journal
) -> Unreachable | None:
    """One try for each who is to do; why it was given up, where it was."""
    next_at, misses = time.monotonic(), 0
    with Conversation(letter.sender) as server:
        for at in journal.to_do():
            recipient = recipients[at]
            ctx.progress(at, len(recipients), f"writing to {at + 1} of {len(recipients)}")
            next_at = _pause(ctx, next_at, at, len(recipients)) + 1 / rate
            words = letter.templates.render(recipient.address, recipient.fields)
            message = compose(letter.sender.sender, recipient.address, f"{ctx.task_id}.{at}", words, letter.attachments)
            try:
                server.send(recipient.address, message)
                journal.note(at, "sent")
                misses = 0
            except Refused as refusal:
                journal.note(at, "refused" if refusal.permanent else "to_do", str(refusal))
                misses = 0
            except Unreachable as trouble:
                journal.note(at, "to_do", str(trouble))
                misses += 1
                if misses == _ENOUGH or trouble.permanent:
                    return trouble
        ctx.progress(len(recipients), len(recipients), "every recipient was tried")
    return None


def _pause(ctx: Context, until: float, done: int, total: int) -> float:
    """Wait for the next message's turn, listening for a cancel; when it was."""
    while (left := until - time.monotonic()) > 0:
        time.sleep(min(left, 0.5))
        ctx.progress(done, total, "keeping to the rate")
    return time.monotonic()
