"""Task ids: UUIDv7 (RFC 9562) whose last 40 bits are a keyed hash of the rest and of the owner.

    48 bits  milliseconds since 1970         4 bits  version (7)      12 bits  4096ths of a millisecond
     2 bits  variant                        22 bits  random           40 bits  keyed hash

So the server knows an id that it has issued without keeping anything: a record that is gone under an id that
checks out has expired (410), under any other it has never been (404). 40 bits let one guess in 10^12 through, and
all that a lucky guess wins is a 410 in place of a 404.

Lists and queues go by the ids. A process's ids come one after the other (RFC 9562, 6.2, methods 1 and 3), those of
several processes are as far apart as their clocks tell.
"""

import hashlib
import hmac
import secrets
import threading
import time
from uuid import UUID

_HASH_BYTES = 5

#: 4096ths of a millisecond for which a clock that went back is not believed: ids go on from where they were.
_STEP_BACK = 4096 * 1000


class _Clock:
    """A clock in 4096ths of a millisecond since 1970 that never returns a value twice."""

    def __init__(self) -> None:
        self._last = 0
        self._lock = threading.Lock()

    def next(self) -> int:
        """Now, or as soon after the one before as can be."""
        now = time.time_ns() * 4096 // 1_000_000
        with self._lock:
            if now <= self._last < now + _STEP_BACK:
                now = self._last + 1
            self._last = now
        return now


_clock = _Clock()


def _hash(head: bytes, owner: str, key: bytes) -> bytes:
    return hashlib.blake2b(head + owner.encode(), digest_size=_HASH_BYTES, key=key[:64]).digest()


def new(owner: str, key: bytes) -> str:
    """Make an id for a task of `owner`, greater than any that this process has made before."""
    milliseconds, fraction = divmod(_clock.next(), 4096)
    bits = milliseconds << 40 | 7 << 36 | fraction << 24 | 0b10 << 22 | secrets.randbits(22)
    head = bits.to_bytes(11, "big")
    return str(UUID(bytes=head + _hash(head, owner, key)))


def issued(task_id: str, owner: str, key: bytes) -> bool:
    """Whether this server issued `task_id` to `owner`."""
    try:
        raw = UUID(task_id).bytes
    except ValueError:
        return False
    if str(UUID(bytes=raw)) != task_id:
        return False
    return hmac.compare_digest(raw[-_HASH_BYTES:], _hash(raw[:-_HASH_BYTES], owner, key))


def milliseconds(task_id: str) -> int:
    """Return the creation time of the id, in milliseconds since 1970."""
    return int(task_id[:8] + task_id[9:13], 16)
