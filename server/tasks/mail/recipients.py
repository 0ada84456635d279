"""Who gets a message: a list in the request, or an uploaded CSV."""

import re
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from server.sdk.context import Upload
from server.sdk.csv import Options, Record, clean, find
from server.sdk.errors import TaskError

#: Recipients of one task: the answer lists each.
MOST = 10_000

#: An address without comments, quotes and line breaks; letters beyond ASCII in the domain alone, which has a form
#: in ASCII (IDNA). What it lets through, the mail server judges.
_ADDRESS = r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[^\s@<>()\[\],;:\\\"]{1,250}"

Address = Annotated[str, Field(pattern=f"^{_ADDRESS}$")]
Value = str | int | float | bool | None


class Addressee(BaseModel):
    """A recipient with fields for the templates."""

    model_config = ConfigDict(extra="forbid")

    email: Address
    fields: dict[str, Value] = Field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Recipient:
    """One of them; `wrong` says what is wrong with the address."""

    address: str
    fields: dict[str, Value] = field(default_factory=dict)
    wrong: str = ""


def listed(given: Iterable[str | Addressee]) -> list[Recipient]:
    """Those of a list."""
    return [_checked(one, {}) if isinstance(one, str) else _checked(one.email, one.fields) for one in given]


def uploaded(file: Upload) -> list[Recipient]:
    """Those of a CSV with a header: the column `email` has the address, each column is a field.

    Raises:
        TaskError: `mail-recipients`, or that the file cannot be read.
    """
    with tempfile.TemporaryDirectory(prefix="mail-") as folder, file.path() as source:
        text = clean(source, Path(folder) / "recipients.csv", None, lambda _: None)
        dialect = find(text.path, Options(header=True, advice=False))
        names = [name.strip() for name in dialect.names]
        place = next((at for at, name in enumerate(names) if name.lower() in ("email", "e-mail", "mail")), None)
        if place is None:
            raise TaskError("mail-recipients", "The recipients' CSV needs a header with a column `email`.")
        with dialect.reader(text.path) as reader:
            return list(_rows(reader, names, place))


def _rows(reader: Iterable[Record], names: list[str], place: int) -> Iterator[Recipient]:
    rows = (row for row in reader if row.reason or any(cell.strip() for cell in row.cells))
    next(rows)  # the header
    for number, row in enumerate(rows, 1):
        if row.reason:
            raise TaskError("mail-recipients", f"Line {row.line} of the recipients' CSV: {row.reason}.")
        if len(row.cells) != len(names):
            raise TaskError(
                "mail-recipients",
                f"Line {row.line} of the recipients' CSV has {len(row.cells)} values, its header {len(names)}.",
            )
        if number > MOST:
            raise TaskError("mail-recipients", f"One task writes to {MOST} recipients at most; send several.")
        yield _checked(row.cells[place].strip(), dict(zip(names, row.cells, strict=True)))


def _checked(address: str, fields: dict[str, Value]) -> Recipient:
    if not re.fullmatch(_ADDRESS, address):
        return Recipient(address[:320], fields, "This is no e-mail address.")
    local, _, domain = address.rpartition("@")
    try:
        return Recipient(f"{local}@{domain.encode('idna').decode()}", fields)
    except UnicodeError:
        return Recipient(address, fields, "This is no e-mail address: its domain is none.")
