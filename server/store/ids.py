"""Task ids: UUIDv7 (RFC 9562) whose last 40 bits are keyed hashes: of the rest and the owner, then of all before.

    48 bits  milliseconds since 1970         4 bits  version (7)      12 bits  4096ths of a millisecond
     2 bits  variant                        22 bits  random           20 bits  keyed hash of these and the owner
                                                                      20 bits  keyed hash of all of these

So the server recognizes an id that it has issued without storing anything: a valid id without a record has expired
(410), any other never existed (404). An owner's id must match both hashes, so one guess in 10^12 gets a 410 instead of
a 404; for an admin, who sees all owners' tasks, only the last hash is checked.

Lists and queues are ordered by id. The time is Redis's. The ids of a process always increase (RFC 9562, 6.2, methods 1
and 3).
"""

import hashlib
import os
import random
import threading
from uuid import UUID

#: Length of each hash in bits.
_HASH_BITS = 20

#: 4096ths of a millisecond: if the clock steps back by less, ids continue from the latest one.
_STEP_BACK = 4096 * 1000


class _Clock:
    """A clock in 4096ths of a millisecond since 1970 that never returns a value twice."""

    def __init__(self) -> None:
        self._last = 0
        self._lock = threading.Lock()

    def next(self, now_ns: int) -> int:
        """Return the current time, or the smallest later value that was not used."""
        now = now_ns * 4096 // 1_000_000
        with self._lock:
            if now <= self._last < now + _STEP_BACK:
                now = self._last + 1
            self._last = now
        return now

    def unlock(self) -> None:
        """Begin with a new lock, in a forked child."""
        self._lock = threading.Lock()


_clock = _Clock()

# Another thread may have held the lock when the process was forked.
os.register_at_fork(after_in_child=_clock.unlock)


def _hash(text: bytes, key: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(text, digest_size=4, key=key[:64]).digest(), "big") >> 32 - _HASH_BITS


def _signed(bits: int, owner_hash: int, key: bytes) -> int:
    signed = bits << _HASH_BITS | owner_hash
    return signed << _HASH_BITS | _hash(signed.to_bytes(14, "big"), key)


def new(owner: str, key: bytes, now_ns: int) -> str:
    """Create an id for a task of `owner`, greater than all earlier ones of this process."""
    milliseconds, fraction = divmod(_clock.next(now_ns), 4096)
    # Not a secret, as the hashes are. Random bytes from the system would release the interpreter's lock.
    bits = milliseconds << 40 | 7 << 36 | fraction << 24 | 0b10 << 22 | random.getrandbits(22)
    digits = f"{_signed(bits, _hash(bits.to_bytes(11, 'big') + owner.encode(), key), key):032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def issued(task_id: str, owner: str | None, key: bytes) -> bool:
    """Return whether this server issued `task_id` to `owner`, or to any owner if it is None."""
    try:
        parsed = UUID(task_id)
    except ValueError:
        return False
    if str(parsed) != task_id:
        return False
    bits, owner_hash = parsed.int >> 2 * _HASH_BITS, parsed.int >> _HASH_BITS & (1 << _HASH_BITS) - 1
    if parsed.int != _signed(bits, owner_hash, key):
        return False
    return owner is None or owner_hash == _hash(parsed.bytes[:11] + owner.encode(), key)


def milliseconds(task_id: str) -> int:
    """Return the creation time of the id, in milliseconds since 1970."""
    return int(task_id[:8] + task_id[9:13], 16)
