"""The recipients of a mailing: a list in the request, or an uploaded CSV."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from email.headerregistry import Address
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from server.sdk.context import Upload
from server.sdk.csv import Record, opened
from server.sdk.errors import TaskError
from server.tasks.mail.addresses import Mailbox, parse

MAX_RECIPIENTS = 10_000  # maximum number of recipients of one task: the answer lists each
Value = str | int | float | bool | None


class Addressee(BaseModel):
    """A recipient with a display name and fields for the templates."""

    model_config = ConfigDict(extra="forbid")

    email: Mailbox
    name: Annotated[str, Field(max_length=200)] | None = None
    fields: dict[str, Value] = Field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Recipient:
    """A recipient; `text` is the address as sent. If it is not one, `error` says why, and `address` is empty."""

    text: str
    address: Address
    fields: dict[str, Value] = field(default_factory=dict)
    error: str = ""
    is_duplicate: bool = False

    @property
    def spec(self) -> str:
        """Return the address without its display name, or the text if it is not an address."""
        return self.text if self.error else self.address.addr_spec


def listed(recipients: Iterable[str | Addressee]) -> list[Recipient]:
    return _mark_duplicates(
        _checked(one, {}) if isinstance(one, str) else _checked(one.email, one.fields, one.name or "")
        for one in recipients
    )


def uploaded(file: Upload) -> list[Recipient]:
    """Read the recipients of a CSV with a header: the column `email` has the address, each column is a field.

    Raises:
        TaskError: `mail-recipients`, or an error of reading the file.
    """
    with file.path() as source, opened(source, None) as (header, rows):
        names = [name.strip() for name in header]
        email_column = next((at for at, name in enumerate(names) if name.lower() in ("email", "e-mail", "mail")), None)
        if email_column is None:
            raise TaskError("mail-recipients", "The recipients' CSV needs a header with a column `email`.")
        return _mark_duplicates(_rows(rows, names, email_column))


def _rows(rows: Iterable[Record], names: list[str], email_column: int) -> Iterator[Recipient]:
    for number, row in enumerate(rows, 1):
        where = f"Line {row.line} of the recipients' CSV"
        if row.reason:
            raise TaskError("mail-recipients", f"{where}: {row.reason}.")
        if len(row.cells) != len(names):
            raise TaskError("mail-recipients", f"{where} has {len(row.cells)} values, its header {len(names)}.")
        if number > MAX_RECIPIENTS:
            raise TaskError("mail-recipients", f"A task has {MAX_RECIPIENTS} recipients at most; send several.")
        yield _checked(row.cells[email_column].strip(), dict(zip(names, row.cells, strict=True)))


def _checked(text: str, fields: dict[str, Value], name: str = "") -> Recipient:
    try:
        address = parse(text)
    except ValueError as error:
        return Recipient(text[:320], Address(), fields, f"{error}.")
    if name.isprintable() and name:
        address = Address(name, address.username, address.domain)
    return Recipient(text, address, fields)


def _mark_duplicates(people: Iterable[Recipient]) -> list[Recipient]:
    """Return all recipients, with repeated addresses marked, whatever their case."""
    keys: set[str] = set()
    marked = []
    for one in people:
        key = one.spec.casefold()
        marked.append(replace(one, is_duplicate=not one.error and key in keys))
        keys.add(key)
    return marked
