"""Builds messages (RFC 5322) with headers and attachments."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from email.header import Header
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import EmailPolicy
from email.utils import format_datetime, localtime
from typing import Any

from server.sdk.context import Upload
from server.sdk.file_names import file_name
from server.tasks.mail.templates import Rendered

#: Headers that Python may encode when it folds them, because they may contain any letters; it would break a URL.
_ADDRESSES = frozenset(("from", "to", "cc", "reply-to"))
_FOLDED = _ADDRESSES | {"subject"}
_MAX_LINE_LENGTH = 998


class _Policy(EmailPolicy):
    """Keeps headers on one line if that is allowed, and encodes letters beyond ASCII.

    `EmailPolicy` itself loses spaces when it folds such letters.
    """

    def fold_binary(self, name: str, value: Any) -> bytes:
        line = f"{name}: {value}"
        if not (self.utf8 or line.isascii() or name.lower().startswith("content-")):
            line = f"{name}: {_encoded(name, value)}"
        elif name.lower() in _FOLDED or not line.isascii() or not line.isprintable() or len(line) > _MAX_LINE_LENGTH:
            return super().fold_binary(name, value)
        return f"{line}{self.linesep}".encode("ascii")


def _encoded(name: str, value: Any) -> str:
    """Encode a header's text, or the display names of its addresses (RFC 2047)."""
    if name.lower() not in _ADDRESSES:
        return Header(str(value), "utf-8", header_name=name).encode(linesep="\r\n")
    return ",\r\n ".join(_encoded_address(each) for each in value.addresses)


def _encoded_address(address: Address) -> str:
    if address.display_name.isascii():
        return str(address)
    name = Header(address.display_name, "utf-8", header_name="Reply-To").encode(linesep="\r\n")
    return f"{name} <{address.addr_spec}>"


#: Bodies are always 7-bit: a later relay may lack 8BITMIME, and converting would break the signature.
_PLAIN = _Policy(linesep="\r\n", cte_type="7bit")
_UTF8 = _Policy(linesep="\r\n", cte_type="7bit", utf8=True)

_HEADER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,75}")

#: Headers with their own parameters, or that the mail system sets.
_OURS = re.compile(
    r"from|to|cc|bcc|sender|subject|date|reply-to|message-id|mime-version|auto-submitted|return-path|received|"
    r"list-unsubscribe.*|content-.*|resent-.*|dkim-.*|arc-.*|authentication-results|delivered-to",
    re.IGNORECASE,
)


def check_headers(headers: Mapping[str, str]) -> Mapping[str, str]:
    """Refuse headers that a client must not set."""
    for name, value in headers.items():
        if not _HEADER_NAME.fullmatch(name) or not value.isprintable() or len(value) > 900:
            raise ValueError(
                f"The header {name[:50]!r} cannot be sent: its value is one line of 900 characters at most"
            )
        if _OURS.fullmatch(name):
            raise ValueError(f"The header {name} cannot be set here; see the other parameters")
    return headers


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file that is sent to every recipient."""

    filename: str
    maintype: str
    subtype: str
    data: bytes


def attached(uploads: Sequence[Upload]) -> list[Attachment]:
    """Read the uploads once, for all messages."""
    attachments = []
    for upload in uploads:
        maintype, _, subtype = upload.media_type.partition("/")
        if not subtype or maintype in ("message", "multipart"):  # these types have rules of their own
            maintype, subtype = "application", "octet-stream"
        attachments.append(Attachment(file_name(upload.filename) or "attachment", maintype, subtype, upload.read()))
    return attachments


@dataclass(frozen=True, slots=True)
class Envelope:
    """The parts of a message except its text and its recipient."""

    sender: Address
    reply_to: Address | None = None
    cc: tuple[Address, ...] = ()
    bcc: tuple[Address, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    attachments: Sequence[Attachment] = ()

    def copies(self, to: Address) -> list[str]:
        """Return the addresses that get a copy of the message to one recipient, without duplicates."""
        addresses = {each.addr_spec.casefold(): each.addr_spec for each in (*self.cc, *self.bcc)}
        addresses.pop(to.addr_spec.casefold(), None)
        return list(addresses.values())

    def needs_utf8(self, to: Address) -> bool:
        """Return whether an address needs SMTPUTF8: it has letters beyond ASCII before its `@`."""
        everyone = (to, self.sender, self.reply_to, *self.cc, *self.bcc)
        return not all(each.username.isascii() for each in everyone if each)


def compose(envelope: Envelope, to: Address, message_id: str, rendered: Rendered) -> EmailMessage:
    """Build the message to one recipient; a repeated call uses the same Message-ID."""
    message = EmailMessage(policy=_UTF8 if envelope.needs_utf8(to) else _PLAIN)
    message["From"] = envelope.sender
    message["To"] = to
    if envelope.cc:
        message["Cc"] = envelope.cc
    if envelope.reply_to:
        message["Reply-To"] = envelope.reply_to
    message["Subject"] = rendered.subject
    message["Date"] = format_datetime(localtime())
    message["Message-ID"] = f"<{message_id}@{envelope.sender.domain}>"
    message["Auto-Submitted"] = "auto-generated"
    if rendered.unsubscribe:
        message["List-Unsubscribe"] = ", ".join(f"<{url}>" for url in rendered.unsubscribe)
        if rendered.unsubscribe[0].startswith("https:"):
            message["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    for name, value in envelope.headers.items():
        message[name] = value
    if rendered.text is not None:
        message.set_content(rendered.text)
    if rendered.html is not None:
        (message.add_alternative if rendered.text is not None else message.set_content)(rendered.html, subtype="html")
    for file in envelope.attachments:
        message.add_attachment(file.data, maintype=file.maintype, subtype=file.subtype, filename=file.filename)
    return message
