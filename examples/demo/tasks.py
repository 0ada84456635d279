"""The shop's tasks. They sleep and fail like real tasks, but call no other server."""

import random
import time
from typing import Annotated, Literal

from pydantic import Field

from server import Context, task

Pages = Annotated[int, Field(ge=1, le=500)]


class GatewayError(Exception):
    """The payment gateway did not answer."""


class CrmTimeout(Exception):
    """The CRM took too long."""


@task(retries=2, retry_on=(GatewayError,), retry_backoff=1.0)
def charge_invoice(ctx: Context, invoice: str, amount: Annotated[float, Field(gt=0)], card: str = "4417") -> str:
    """Charge a customer's card for an invoice."""
    ctx.log(f"charging {amount:.2f} EUR for {invoice}")
    time.sleep(random.uniform(0.02, 0.08))
    if card.endswith("0"):
        ctx.log("gateway: connection refused")
        raise GatewayError("the payment gateway refused the connection")
    return f"paid-{invoice}"


@task(queue="crm")
def sync_customer(ctx: Context, customer: Annotated[int, Field(ge=1)]) -> None:
    """Copy a customer from the CRM to the shop."""
    time.sleep(random.uniform(0.1, 0.5))
    if customer % 9 == 0:
        raise CrmTimeout("the CRM did not answer within 10 s")


@task(queue="crm")
def geocode(address: str) -> dict[str, float]:
    """Find the coordinates of an address."""
    time.sleep(random.uniform(0.05, 0.2))
    return {"latitude": round(random.uniform(47, 54), 5), "longitude": round(random.uniform(6, 15), 5)}


@task(queue="bulk")
def import_orders(
    ctx: Context, shop: Literal["de", "at", "ch"], pages: Annotated[int, Field(ge=1, le=500)] = 96
) -> int:
    """Import one day's orders of a shop, page by page."""
    for page in range(1, pages + 1):
        ctx.progress(page, pages, f"reading page {page} of {pages}")
        if page % 10 == 0:
            ctx.log(f"page {page}: 50 orders")
        time.sleep(0.4)
    return pages * 50


@task()
def update_stock(sku: str, pieces: Annotated[int, Field(ge=0)]) -> None:
    """Set the stock of an article."""
    time.sleep(0.01)


@task(queue="bulk")
def render_report(ctx: Context, quarter: str, region: str = "all") -> str:
    """Render the quarterly report."""
    for step in range(20):
        ctx.progress(step, 20, "drawing charts" if step > 10 else "reading figures")
        time.sleep(0.2)
    return f"{quarter}-{region}.pdf"
