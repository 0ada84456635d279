"""Celery tasks that the shop has had for years, exactly as they were."""

from typing import Any

from celery import shared_task


@shared_task
def add(x: int, y: int) -> int:
    """Add two numbers."""
    return x + y


@shared_task(bind=True, autoretry_for=(ConnectionError,), default_retry_delay=1, max_retries=3)
def sync_stock(self: Any, warehouse: str, fails: int = 0) -> str:
    """Ask a warehouse that answers at the third call."""
    self.update_state(state="PROGRESS", meta={"current": 1, "total": 2})
    if self.request.retries < fails:
        raise ConnectionError("the warehouse does not answer")
    return f"{warehouse}: {self.request.retries + 1} calls"
