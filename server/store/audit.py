"""The audit: who did what, when and by which request. A stream with the newest entries, which `record` writes."""

import json
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass

from server.store.lua import Scripts

#: Entries that are kept.
MAX_ENTRIES = 10_000

#: Entries that one round trip reads.
_CHUNK = 500

#: The `by` of the command line's acts.
COMMAND_LINE = "command line"

#: An entry's id, which is also the cursor of the next page.
ENTRY_ID = re.compile(r"[1-9][0-9]{0,14}-[0-9]{1,10}")


@dataclass(frozen=True, slots=True)
class Act:
    """One act: `by` an owner, on a `target` (a task, key, schedule or the like), or on all that a `filter` selects."""

    action: str
    by: str
    key_id: str = ""
    target: str = ""
    filter: str = ""
    count: int = 1
    request_id: str = ""


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """An act as it is stored, with its id."""

    id: str
    act: Act

    @property
    def at_ms(self) -> int:
        """When it was written, in milliseconds since 1970."""
        return int(self.id.partition("-")[0])


class Audit(Scripts):
    """Writes and reads the audit."""

    def record(self, act: Act) -> None:
        """Write an act. A full Redis accepts it, too."""
        fields = {name: value for name, value in asdict(act).items() if value not in ("", None)}
        entry = json.dumps(fields, ensure_ascii=False)
        self._call("run_when_full", "XADD", self.keys.audit, "MAXLEN", "~", MAX_ENTRIES, "*", "act", entry)

    def page(
        self, limit: int, before: str | None, wanted: Callable[[Act], bool], since: int | None, until: int | None
    ) -> tuple[list[AuditEntry], str | None]:
        """Return up to `limit` entries, the newest first, and the cursor of the next page.

        Args:
            before: the cursor of an earlier page.
            wanted: whether an entry matches.
            since, until: milliseconds since 1970; the end does not belong to it.
        """
        entries: list[AuditEntry] = []
        # Redis refuses `(0-0` as an end: no id is smaller.
        end = f"({before}" if before else "+" if until is None else f"({max(1, until)}-0"
        start = "-" if since is None else str(max(0, since))
        while True:
            chunk = self.redis.xrevrange(self.keys.audit, end, start, _CHUNK)
            for entry_id, fields in chunk:
                entry = AuditEntry(entry_id.decode(), Act(**json.loads(fields[b"act"])))
                if wanted(entry.act):
                    entries.append(entry)
                if len(entries) > limit:
                    return entries[:limit], entries[limit - 1].id
            if len(chunk) < _CHUNK:
                return entries, None
            end = f"({chunk[-1][0].decode()}"
