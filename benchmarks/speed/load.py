"""wrk: a load generator that keeps several connections busy, each with one request after the other."""

import json
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

_SCRIPT = Path(__file__).parent / "request.lua"

MISSING = "make bench: wrk, which generates the load, is not installed. On Debian and Ubuntu: apt-get install wrk."


@dataclass(frozen=True, slots=True)
class Load:
    """The figures that wrk reports."""

    requests: int
    seconds: float
    refused: int
    broken: int
    median_ms: float
    p99_ms: float

    @property
    def rate(self) -> float:
        """Requests per second with the expected status."""
        return (self.requests - self.refused) / self.seconds


@dataclass(frozen=True, slots=True)
class Request:
    """The request that is sent repeatedly."""

    path: str
    body: bytes | None = None
    headers: tuple[str, ...] = ()

    @property
    def method(self) -> str:
        """POST with a body, otherwise GET."""
        return "GET" if self.body is None else "POST"


def installed() -> bool:
    """Whether wrk is installed here."""
    return shutil.which("wrk") is not None


def run(base: str, request: Request, seconds: float, connections: int = 16) -> Load:
    """Send the request repeatedly over several connections."""
    with tempfile.NamedTemporaryFile() as body:
        body.write(request.body or b"")
        body.flush()
        headers = request.headers if request.body is None else ("Content-Type: application/json", *request.headers)
        command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds:g}s", "--timeout", "10s", "-s", str(_SCRIPT), base]
        command += ["--", request.method, request.path, body.name if request.body else "-", *headers]
        return parse(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def parse(output: str) -> Load:
    """Parse the output of wrk and our script."""
    line = next((line for line in output.splitlines() if line.startswith("{")), None)
    if line is None:
        raise ValueError(f"wrk printed no figures: {output[-200:]!r}")
    numbers = json.loads(line)
    return Load(
        numbers["requests"],
        numbers["microseconds"] / 1e6,
        numbers["refused"],
        numbers["broken"],
        numbers["median_us"] / 1000,
        numbers["p99_us"] / 1000,
    )
