"""Redis's clock, and the scripts of this folder: each change of a record is one script, so it happens completely or
not.

A script names the parts of `lib/` that it uses (`--- @include "clock"`), and gets the keys that it names from
`server.store.keys` and the settings that it names as `config`. Nothing else is sent with it.
"""

import json
import re
import time
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

import redis
from redis.commands.core import Script
from redis.exceptions import NoScriptError

from server.settings import Settings
from server.store.errors import error_object
from server.store.keys import Keys
from server.store.lua.key_names import quoted, with_keys

_LUA = Path(__file__).parent
_INCLUDE = re.compile(r'^--- @include "(\w+)"\n', re.MULTILINE)


#: Upper bounds of the buckets of wait and run times, in ms; `Counters.histograms` reads them.
HISTOGRAM_MS = (10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000, 60_000, 300_000, 1_800_000)

#: Seconds before the clock is read again: Redis may have moved to another machine.
_TRUSTED = 10.0

#: Maximum seconds of a round trip whose answer may set the clock back.
_MAX_ROUND_TRIP = 0.1

_NOT_STARTED = json.dumps(error_object("not-started-in-time", "It was not started within `start_within` seconds."))


class StoreClock:
    """Redis's time, taken from its answers and extrapolated by the monotonic clock.

    When an answer has come, Redis's clock is at its time or later. The latest of these bounds is used, so the time is
    never ahead of Redis, and a task cannot start before its id was made.
    """

    def __init__(self, connection: "redis.Redis") -> None:
        self._redis: Any = connection
        #: Redis's time in nanoseconds at a time of the monotonic clock; replaced in one step.
        self._anchor: tuple[int, float] | None = None

    def now_ms(self) -> int:
        """Return milliseconds since 1970. Reads Redis's clock if the last read was some seconds ago."""
        anchor = self._anchor
        if anchor is None or time.monotonic() - anchor[1] > _TRUSTED:
            self._read()
        return self.now_ns() // 1_000_000

    def now_ns(self) -> int:
        """Return nanoseconds since 1970. Waits for Redis only at the first call."""
        if self._anchor is None:
            self._read()
        assert self._anchor is not None
        at_anchor, anchored = self._anchor
        return at_anchor + int((time.monotonic() - anchored) * 1e9)

    def adjust(self, now_ms: int, sent: float) -> None:
        """Use the time in an answer that has just come to a call that was sent at this time of the monotonic clock."""
        received, now_ns, anchor = time.monotonic(), now_ms * 1_000_000, self._anchor
        is_old = anchor is None or received - anchor[1] > _TRUSTED
        if (is_old and received - sent < _MAX_ROUND_TRIP) or now_ns > self.now_ns():
            self._anchor = now_ns, received

    def _read(self) -> None:
        seconds, micros = self._redis.time()
        self._anchor = int(seconds * 10**9 + micros * 1000), time.monotonic()


class Scripts:
    """The scripts of one Redis. Methods raise redis-py's `ConnectionError` or `TimeoutError` if it is unreachable."""

    def __init__(self, connection: "redis.Redis", config: Settings, clock: StoreClock) -> None:
        # redis-py's types cover both settings of `decode_responses`; ours is off, so answers are bytes.
        self.redis: Any = connection
        self.keys = Keys(config.key_prefix)
        self._config = config
        self._clock = clock
        self._scripts: dict[str, Script] = {}

    def _call(self, name: str, *args: Any) -> Any:
        script = self._scripts.get(name)
        if script is None:
            script = self._scripts[name] = self.redis.register_script(source(name, self._config))
        try:
            return self.redis.execute_command("EVALSHA", script.sha, 0, *args)
        except NoScriptError:  # Redis has not loaded it yet, and may forget it between SCRIPT LOAD and EVALSHA
            return self.redis.execute_command("EVAL", script.script, 0, *args)

    def _each(self, command: str, keys: Iterable[str], *args: Any) -> list[Any]:
        """Run one command for each of these keys, in one round trip."""
        with self.redis.pipeline(transaction=False) as pipe:
            for key in keys:
                getattr(pipe, command)(key, *args)
            replies: list[Any] = pipe.execute()
        return replies

    def now_ms(self) -> int:
        """Return milliseconds since 1970 by Redis's clock."""
        return self._clock.now_ms()


def source(script: str, config: Settings) -> str:
    """Build the text of a script: settings, keys, the parts of the library that it includes, and itself."""
    return _source(script, config.key_prefix, config.result_ttl_seconds * 1000, not config.broker_is_redis)


@cache
def _source(script: str, key_prefix: str, result_ttl_ms: int, external_broker: bool) -> str:
    body = _assembled(script)
    values = {
        "result_ttl_ms": result_ttl_ms,
        "external_broker": str(external_broker).lower(),
        "not_started": quoted(_NOT_STARTED),
        "histogram_ms": f"{{{', '.join(map(str, HISTOGRAM_MS))}}}",
    }
    used = ", ".join(f"{name} = {value}" for name, value in values.items() if f"config.{name}" in body)
    return (f"local config = {{{used}}}\n" if used else "") + with_keys(Keys(key_prefix), body)


@cache
def _assembled(script: str) -> str:
    included: set[str] = set()

    def expand(path: Path) -> str:
        def part(match: re.Match[str]) -> str:
            name = match[1]
            if name in included:
                return ""
            included.add(name)
            return expand(_LUA / "lib" / f"{name}.lua")

        return _INCLUDE.sub(part, path.read_text())

    return expand(_LUA / f"{script}.lua")


def ids_of(raw: Iterable[bytes]) -> list[str]:
    """Decode task ids as Redis returns them."""
    return [task_id.decode() for task_id in raw]
