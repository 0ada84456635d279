"""A progress line on the terminal."""

import sys
import time

_BEGAN = time.monotonic()


def say(part: str, done: int, total: int, detail: str = "") -> None:
    """Replace the line; without a terminal, write one line per part."""
    text = f"{part}: {done}/{total} {detail}, {time.monotonic() - _BEGAN:.0f} s since the start"
    if sys.stderr.isatty():
        sys.stderr.write(f"\r{text:<100}" + ("\n" if done >= total else ""))
    elif done >= total:
        sys.stderr.write(text + "\n")
    sys.stderr.flush()
