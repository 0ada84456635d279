"""Who gets a message: a list in the request, or an uploaded CSV."""

import csv
import re
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from server.sdk.context import Upload
from server.sdk.errors import TaskError
from server.tasks.tables.dialect import find
from server.tasks.tables.text import clean

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
        dialect = find(text.path, None, True)
        names = [name.strip() for name in dialect.names]
        place = next((at for at, name in enumerate(names) if name.lower() in ("email", "e-mail", "mail")), None)
        if place is None:
            raise TaskError("mail-recipients", "The recipients' CSV needs a header with a column `email`.")
        with text.path.open(encoding="utf-8", newline="") as opened:
            return list(_rows(opened, dialect.delimiter, names, place))


def _rows(text: Iterable[str], delimiter: str, names: list[str], place: int) -> Iterable[Recipient]:
    reader = csv.reader(text, delimiter=delimiter)
    rows = (row for row in reader if any(cell.strip() for cell in row))
    next(rows)  # the header
    for number, row in enumerate(rows, 1):
        if len(row) != len(names):
            raise TaskError(
                "mail-recipients",
                f"Line {reader.line_num} of the recipients' CSV has {len(row)} values, its header {len(names)}.",
            )
        if number > MOST:
            raise TaskError("mail-recipients", f"One task writes to {MOST} recipients at most; send several.")
        yield _checked(row[place].strip(), dict(zip(names, row, strict=True)))


def _checked(address: str, fields: dict[str, Value]) -> Recipient:
    if not re.fullmatch(_ADDRESS, address):
        return Recipient(address[:320], fields, "This is no e-mail address.")
    local, _, domain = address.rpartition("@")
    try:
        return Recipient(f"{local}@{domain.encode('idna').decode()}", fields)
    except UnicodeError:
        return Recipient(address, fields, "This is no e-mail address: its domain is none.")
