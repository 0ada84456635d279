"""Notices changes of the task modules, so that `coatcheck run` starts web and worker again."""

import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

#: Seconds between two looks at the files.
EVERY = 0.5


class Watch:
    """The Python files of some modules: a module's file, or all files of the package that it is in."""

    def __init__(self, modules: Sequence[str]) -> None:
        # They are not imported: they would stay in this process as they were.
        self._names = sorted({name.partition(".")[0] for name in modules})
        self._looked_at = time.monotonic()
        self._seen = self._look()

    def changed(self) -> Path | None:
        """Return a file that was changed, made or deleted since the last look, or None."""
        if time.monotonic() - self._looked_at < EVERY:
            return None
        self._looked_at = time.monotonic()
        before, self._seen = self._seen, self._look()
        different = before.items() ^ self._seen.items()
        return min((path for path, _ in different), default=None)

    def _look(self) -> dict[Path, int]:
        found = {}
        for path in self._files():
            try:
                found[path] = path.stat().st_mtime_ns
            except OSError:  # an editor replaces it at this moment
                continue
        return found

    def _files(self) -> Iterator[Path]:
        for name in self._names:
            for folder in dict.fromkeys((str(Path.cwd()), *sys.path)):
                package, module = Path(folder) / name, Path(folder) / f"{name}.py"
                if package.is_dir():
                    yield from package.rglob("*.py")
                    break
                if module.is_file():
                    yield module
                    break
