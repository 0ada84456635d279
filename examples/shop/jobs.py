"""The shop's tasks, as `TASK_MODULES=shop.jobs` loads them into web and worker."""

import csv
import io
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from server import Context, OutputFile, TaskError, Upload, expose, task
from shop.legacy import add, sync_stock

# Two tasks that exist already: each is one line.
expose(add)
expose(sync_stock)


class Line(BaseModel):
    """A line of an order."""

    article: Annotated[str, Field(min_length=1, max_length=40)]
    quantity: Annotated[int, Field(ge=1, le=1_000)]
    price: Annotated[float, Field(gt=0)]


class Invoice(BaseModel):
    """The result of `invoice`."""

    total: float
    currency: str
    file: OutputFile


@task(soft_time_limit=20, time_limit=30)
def invoice(ctx: Context, lines: list[Line], currency: Literal["EUR", "USD"] = "EUR") -> Invoice:
    """Write an invoice as a text file, and return its total."""
    rows = []
    for number, line in enumerate(lines, 1):
        ctx.progress(number, len(lines), line.article)
        rows.append(f"{line.quantity:>5} x {line.article:<40} {line.quantity * line.price:>10.2f} {currency}")
    total = sum(line.quantity * line.price for line in lines)
    text = "\n".join([*rows, f"{'total':>48} {total:>10.2f} {currency}", ""])
    return Invoice(total=total, currency=currency, file=ctx.save("invoice.txt", text.encode(), "text/plain"))


@task(accepts=("text/csv",), max_upload_bytes=2**20)
def import_prices(prices: Upload) -> dict[str, float]:
    """Read a price list, `article,price` a line."""
    rows = csv.reader(io.StringIO(prices.read().decode()))
    try:
        return {article: float(price) for article, price in rows}
    except ValueError as error:
        raise TaskError("bad-price-list", f"Each line is `article,price`: {error}.") from None


@task(max_running=1)
def compute(n: Annotated[int, Field(ge=1, le=5_000_000)]) -> int:
    """Keep a core busy: the sum of the primes below `n`."""
    sieve = bytearray([1]) * n
    sieve[:2] = b"\0" * min(2, n)
    for number in range(2, int(n**0.5) + 1):
        if sieve[number]:
            sieve[number * number :: number] = bytes(len(range(number * number, n, number)))
    return sum(number for number in range(n) if sieve[number])
