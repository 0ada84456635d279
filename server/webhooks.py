"""Webhooks by Standard Webhooks 1.0.0: the end of a task, POSTed to its `webhook`, signed, tried for up to a day.

The end itself notes that one is due (`server.records.webhooks`). The sweeper sends one job to a pool child, which
delivers whatever is due, several at a time: a receiver that is slow or gone takes one child at most from the tasks.
A delivery that dies with its process is due again when its lease is over, so a receiver may get one twice, under
the same `webhook-id`.

Source: https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

import base64
import hashlib
import hmac
import logging
import random
import time
from concurrent.futures import ThreadPoolExecutor, wait

import pydantic_core

from server.connections import UNREACHABLE
from server.http_client import FetchError, Limits, check_url, request
from server.logs import event
from server.records import Record, records
from server.records.webhooks import LEASE, Try, webhooks
from server.settings import settings
from server.webhook_secrets import raw, webhook_secrets
from server.wire import status_object

#: Seconds between one try and the next: the specification's own example, as far as a day holds it. Each is made up to
#: a tenth longer, so that what failed together does not come back together.
WAITS = (5, 5 * 60, 30 * 60, 2 * 3600, 5 * 3600, 10 * 3600)
JITTER = 0.1

#: One try: the specification recommends 15 to 30 seconds. An answer's body is not read.
LIMITS = Limits(seconds=LEASE - 10, redirects=0)

#: Deliveries at a time, and seconds after which a job takes no more of them.
THREADS = 8
JOB_SECONDS = 20

log = logging.getLogger(__name__)


def check_webhook_url(url: str) -> str:
    """The URL of a submit's `webhook`, as it came.

    Raises:
        FetchError: it is no https URL, is too long, or names a user or an address that is not public.
    """
    if check_url(url).scheme != "https" and not settings().allow_private_addresses:
        raise FetchError("refused", "The URL of a webhook must begin with https://.")
    return url


def signature(secrets: list[str], message_id: str, timestamp: int, body: bytes) -> str:
    """The `webhook-signature` header: one signature for each secret, any of which a receiver may check."""
    signed = f"{message_id}.{timestamp}.".encode() + body
    digests = [hmac.digest(raw(secret), signed, hashlib.sha256) for secret in secrets]
    return " ".join(f"v1,{base64.b64encode(digest).decode()}" for digest in digests)


def deliver_due() -> None:
    """The job: deliver what is due, until nothing is or `JOB_SECONDS` have passed."""
    until = time.monotonic() + JOB_SECONDS
    try:
        number = min(THREADS, webhooks().due())
        if number:
            with ThreadPoolExecutor(number) as pool:
                running = {pool.submit(_deliver_until, until) for _ in range(number)}
                while running:
                    webhooks().hold_job()
                    done, running = wait(running, timeout=2)
                    for each in done:
                        each.result()
        webhooks().end_job()
    except UNREACHABLE:
        event(log, "webhooks.redis_unreachable", level=logging.WARNING)  # their leases run out


def _deliver_until(end: float) -> None:
    while time.monotonic() < end and (taken := webhooks().take()) is not None:
        _deliver(*taken)


def _deliver(task_id: str, lease: int) -> None:
    record = records().get(task_id)
    if record is None or not record.webhook:
        webhooks().note(task_id, lease, [], None)
        return
    tries = webhooks().tries(task_id)
    made = _try(record)
    over = made.last or len(tries) >= len(WAITS)
    pause = None if over else WAITS[len(tries)] * random.uniform(1, 1 + JITTER)
    if webhooks().note(task_id, lease, [*tries, made], pause):
        name = "webhook.delivered" if made.succeeded else "webhook.given_up" if over else "webhook.failed"
        event(log, name, task_id=task_id, status=made.status, reason=made.reason, ms=made.ms)


def _try(record: Record) -> Try:
    """POST the status object once."""
    body = pydantic_core.to_json(status_object(record, None))
    at = time.time()
    headers = {
        "Content-Type": "application/json",
        "webhook-id": record.id,
        "webhook-timestamp": str(int(at)),
        "webhook-signature": signature(webhook_secrets().signing(record.owner), record.id, int(at), body),
    }
    status, reason = None, None
    try:
        with request("POST", record.webhook, headers=headers, content=body, limits=LIMITS) as answer:
            status = answer.status
    except FetchError as error:
        reason = str(error)
    except Exception:  # what nobody thought of must count as a try, or it would come back for ever
        event(log, "webhook.error", level=logging.ERROR, error=True, task_id=record.id)
        reason = "It could not be sent."
    return Try(int(at * 1000), round((time.time() - at) * 1000), status, reason)
