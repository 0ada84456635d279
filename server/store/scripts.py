"""What reads and writes records has in common: one Redis, and the scripts in `lua/`."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import redis
from redis.commands.core import Script

from server.settings import Settings

_LUA = Path(__file__).parent / "lua"


class Scripts:
    """The scripts of one Redis. Methods raise redis-py's `ConnectionError` or `TimeoutError` where it is gone."""

    def __init__(self, connection: "redis.Redis", config: Settings) -> None:
        # redis-py types its answers for both settings of `decode_responses`; ours is off, they are bytes.
        self.redis: Any = connection
        self._config = config
        library = (_LUA / "_lib.lua").read_text()
        self._scripts: dict[str, Script] = {
            path.stem: connection.register_script(library + path.read_text())
            for path in _LUA.glob("*.lua")
            if path.stem != "_lib"
        }

    def _call(self, script: str, *args: Any) -> Any:
        return self._scripts[script](args=args)

    def now_ms(self) -> int:
        """Milliseconds since 1970, by the clock that the scripts go by."""
        seconds, micros = self.redis.time()
        return int(seconds * 1000 + micros // 1000)


def ids_of(raw: Iterable[bytes]) -> list[str]:
    """Task ids as Redis gives them."""
    return [task_id.decode() for task_id in raw]
