"""A message as it is sent (RFC 5322)."""

from collections.abc import Sequence
from dataclasses import dataclass
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, localtime

from server.sdk.context import Upload
from server.sdk.file_names import file_name
from server.tasks.mail.templates import Rendered


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file that every recipient gets."""

    filename: str
    maintype: str
    subtype: str
    data: bytes


def attached(uploads: Sequence[Upload]) -> list[Attachment]:
    """The uploads, read once."""
    found = []
    for upload in uploads:
        maintype, _, subtype = upload.media_type.partition("/")
        if not subtype or maintype in ("message", "multipart"):  # what those hold has rules of its own
            maintype, subtype = "application", "octet-stream"
        found.append(Attachment(file_name(upload.filename) or "attachment", maintype, subtype, upload.read()))
    return found


def compose(sender: Address, to: str, message_id: str, words: Rendered, files: Sequence[Attachment]) -> bytes:
    """The message's bytes; its Message-ID is the same whenever it is composed again."""
    message = EmailMessage(policy=SMTP)
    message["From"] = sender
    message["To"] = Address(addr_spec=to)
    message["Subject"] = words.subject
    message["Date"] = format_datetime(localtime())
    message["Message-ID"] = f"<{message_id}@{sender.domain}>"
    message["Auto-Submitted"] = "auto-generated"
    if words.text is not None:
        message.set_content(words.text)
    if words.html is not None:
        (message.add_alternative if words.text is not None else message.set_content)(words.html, subtype="html")
    for file in files:
        message.add_attachment(file.data, maintype=file.maintype, subtype=file.subtype, filename=file.filename)
    return message.as_bytes()
