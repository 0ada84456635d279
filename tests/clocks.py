"""A wrong clock for a process of a test: its Python sees another time, without a change to the machine's."""

from pathlib import Path

#: Python imports this before everything else. `clock_gettime` still tells the machine's time.
_SITECUSTOMIZE = """
import datetime
import time

_time, _time_ns, _SHIFT = time.time, time.time_ns, {seconds}


class _Shifted(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return cls.fromtimestamp(time.time(), tz)

    @classmethod
    def utcnow(cls):
        return cls.now(datetime.timezone.utc).replace(tzinfo=None)


time.time = lambda: _time() + _SHIFT
time.time_ns = lambda: _time_ns() + _SHIFT * 10**9
datetime.datetime = _Shifted
"""


def shifted(folder: Path, seconds: int, env: dict[str, str]) -> dict[str, str]:
    """Return the environment of a process whose clock is that many seconds ahead, or behind if negative."""
    module = folder / f"shifted-{seconds}" / "sitecustomize.py"
    module.parent.mkdir(exist_ok=True)
    module.write_text(_SITECUSTOMIZE.format(seconds=seconds))
    return {**env, "PYTHONPATH": f"{module.parent}:{env['PYTHONPATH']}"}
