"""One webhook delivery (Standard Webhooks 1.0.0): a signed POST to the task's `webhook` at its end.

Source: https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

import base64
import hashlib
import hmac
import logging
import time

from server.logs import event
from server.sdk.http import FetchError, Limits, check_url, request
from server.services.status import status_json
from server.store.record import Record
from server.store.webhooks import LEASE, DeliveryAttempt, raw

#: One attempt: the specification recommends 15 to 30 seconds. The body of the answer is not read.
LIMITS = Limits(seconds=LEASE - 10, redirects=0)

log = logging.getLogger(__name__)


def check_webhook_url(url: str, *, allow_private: bool) -> str:
    """Check the URL of a submit's `webhook` and return it unchanged.

    Raises:
        FetchError: it is not an https URL, is too long, or has a user name or an address that is not public.
    """
    if check_url(url, allow_private=allow_private).scheme != "https" and not allow_private:
        raise FetchError("refused", "The URL of a webhook must begin with https://.")
    return url


def signature(secrets: list[str], message_id: str, timestamp: int, body: bytes) -> str:
    """The `webhook-signature` header: one signature per secret; a receiver may check any of them."""
    signed = f"{message_id}.{timestamp}.".encode() + body
    digests = [hmac.digest(raw(secret), signed, hashlib.sha256) for secret in secrets]
    return " ".join(f"v1,{base64.b64encode(digest).decode()}" for digest in digests)


def deliver(record: Record, secrets: list[str], prefix: str, now_ms: int, *, allow_private: bool) -> DeliveryAttempt:
    """Send the status object once. Receivers check the signed time, so it is Redis's."""
    body = status_json(record, None, prefix)
    began = time.monotonic()
    headers = {
        "Content-Type": "application/json",
        "webhook-id": record.id,
        "webhook-timestamp": str(now_ms // 1000),
        "webhook-signature": signature(secrets, record.id, now_ms // 1000, body),
    }
    status, reason = None, None
    try:
        with request(
            "POST", record.webhook, headers=headers, content=body, limits=LIMITS, allow_private=allow_private
        ) as answer:
            status = answer.status
    except FetchError as error:
        reason = str(error)
    except Exception:  # an unexpected error must count as an attempt, or the webhook would be retried forever
        event(log, "webhook.error", level=logging.ERROR, error=True, task_id=record.id)
        reason = "The webhook could not be sent."
    return DeliveryAttempt(now_ms, round((time.monotonic() - began) * 1000), status, reason)
