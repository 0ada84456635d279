"""The README and the pages of `docs/`: their sections and code blocks, and how a reader runs them."""

import re
import subprocess
from pathlib import Path

from harness import ROOT

PAGES = [
    *(ROOT / name for name in ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")),
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "benchmarks").glob("*.md")),
]

#: Languages of blocks that a test must run. `console` blocks need a server that the tests do not have.
RUNNABLE = ("sh", "python", "js")


def section(page: str, title: str) -> str:
    """The text below a heading, up to the next heading of the same level or a higher one."""
    text = (ROOT / page).read_text()
    heading = re.search(rf"^(#+) {re.escape(title)}$", text, re.MULTILINE)
    assert heading, f"{page} has no section {title!r}"
    rest = text[heading.end() :]
    end = re.search(rf"^#{{1,{len(heading[1])}}} ", outside_blocks(rest), re.MULTILINE)
    return rest[: end.start()] if end else rest


def outside_blocks(text: str) -> str:
    """The text with its code blocks blanked, at the same length."""
    return re.sub(r"```.*?```", lambda block: re.sub(r"[^\n]", " ", block[0]), text, flags=re.DOTALL)


def blocks(page: str, title: str, language: str = "sh") -> list[str]:
    """The code blocks of a section in one language."""
    return re.findall(rf"```{language}\n(.*?)```", section(page, title), re.DOTALL)


def shell(block: str, folder: Path, port: int, **variables: str) -> list[str]:
    """Run a block and return the printed lines."""
    text = block.replace("localhost:8000", f"localhost:{port}")
    for name, value in variables.items():
        text = re.sub(rf"^{name}=…$", f"{name}={value}", text, flags=re.MULTILINE)
    assert "…" not in re.sub(r"#.*", "", text)
    text = text.replace("\\\n", " ")
    text = re.sub(r"^(curl -s .*?)( +#.*)?$", r"\1; echo", text, flags=re.MULTILINE)  # answers end without a newline
    done = subprocess.run(["bash", "-euc", text], cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return [line for line in done.stdout.splitlines() if line]


def run_as_promised(block: str, folder: Path, port: int) -> None:
    """Run a block whose every `curl` line ends with a comment; each part of the comment is in that line's answer."""
    promises = re.findall(r"# (.*)$", block, re.MULTILINE)
    lines = shell(block, folder, port)
    assert len(lines) == len(promises) > 0
    for answer, promise in zip(lines, promises, strict=True):
        assert [part for part in promise.rstrip("…").split(",") if part not in answer] == [], answer
