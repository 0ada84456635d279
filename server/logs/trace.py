"""W3C Trace Context (https://www.w3.org/TR/trace-context/): the trace that a request belongs to, kept with its task."""

import re
from dataclasses import dataclass
from typing import Any

_PARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.ASCII)
_MEMBER = re.compile(
    r"[a-z0-9][a-z0-9_*/-]{0,255}(?:@[a-z][a-z0-9_*/-]{0,13})?=[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]"
)

#: Members of a `tracestate`, and its characters: more of it are dropped, the last ones first.
_MAX_MEMBERS, _MAX_LENGTH = 32, 512


@dataclass(frozen=True, slots=True)
class Trace:
    """A `traceparent` and a `tracestate` that are valid, or empty."""

    parent: str = ""
    state: str = ""

    @property
    def id(self) -> str:
        """Return the trace id: 32 hexadecimal digits, or nothing."""
        return self.parent[3:35]

    @property
    def headers(self) -> dict[str, str]:
        """Return the fields of a request that belongs to this trace."""
        return {name: value for name, value in (("traceparent", self.parent), ("tracestate", self.state)) if value}


NO_TRACE = Trace()


def log_ids(task_id: str, request_id: str, trace: Trace) -> dict[str, Any]:
    """Return the ids that each log line about a task has: its own, its request's, and its trace's."""
    return {"task_id": task_id, "request_id": request_id, "trace_id": trace.id}


def parse_trace(parent: str, state: str = "") -> Trace:
    """Read the header fields of a request; an invalid field counts as none."""
    match = _PARENT.fullmatch(parent) if parent else None
    if match is None:
        return NO_TRACE
    version, trace_id, parent_id, flags, rest = match.groups()
    if version == "ff" or (version == "00" and rest) or not trace_id.strip("0") or not parent_id.strip("0"):
        return NO_TRACE
    if version != "00":  # its other flags may have another meaning
        flags = f"{int(flags, 16) & 1:02x}"
    return Trace(f"00-{trace_id}-{parent_id}-{flags}", _parse_state(state) if state else "")


def _parse_state(text: str) -> str:
    members = [member.strip(" \t") for member in text.split(",")]
    members = [member for member in members if member]
    keys = {member.partition("=")[0] for member in members}
    if len(members) > _MAX_MEMBERS or len(keys) < len(members) or not all(map(_MEMBER.fullmatch, members)):
        return ""
    while len(",".join(members)) > _MAX_LENGTH:
        members.pop()
    return ",".join(members)
