"""What a run notes for a later run of the same task. It lies beside the record, and goes with it."""

from functools import lru_cache

from server.connections import client
from server.records.scripts import Scripts
from server.settings import settings


class Memo(Scripts):
    """Notes by key, one hash for each task that has any."""

    def remember(self, task_id: str, holder: str, key: str, value: str) -> str:
        """Note it; answers `run`, `stop` (the client canceled) or `lost` (another run has the task)."""
        answer: bytes = self._call("remember", task_id, holder, key, value)
        return answer.decode()

    def remembered(self, task_id: str) -> dict[str, str]:
        """All that was noted, by the task that this one is a retry of, too."""
        raw = self._call("remembered", task_id)
        pairs = raw.items() if isinstance(raw, dict) else zip(raw[::2], raw[1::2], strict=True)
        return {key.decode(): value.decode() for key, value in pairs}


@lru_cache(maxsize=1)
def memo() -> Memo:
    """The process's memo."""
    return Memo(client(), settings())
