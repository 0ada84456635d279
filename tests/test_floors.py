"""The floors of the README's "Layout": imports run downwards, and each framework keeps to its place."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness import ROOT

HOUSE = ROOT / "server"

#: Where a framework may be imported, from the root.
PLACES = {
    "flask": ("server/web/",),
    "werkzeug": ("server/web/",),
    "celery": ("server/broker/", "server/registry/", "server/worker/", "wsgi.py"),
    "kombu": ("server/broker/", "server/worker/"),
    "billiard": ("server/worker/",),
    "gunicorn": ("server/web/worker.py", "gunicorn.conf.py"),
    "PIL": ("server/tasks/",),
}


def floors() -> dict[str, int]:
    """The table in the README: module to floor."""
    layout = (ROOT / "README.md").read_text().partition("\n## Layout\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (\d+) \| (.*?) \|", layout, re.MULTILINE)
    return {module: int(floor) for floor, modules in rows for module in re.findall(r"`(\w+)`", modules)}


def sources() -> list[Path]:
    """Every file of the house, and those beside it."""
    return sorted([*HOUSE.rglob("*.py"), *ROOT.glob("*.py")])


def imports(path: Path) -> Iterator[str]:
    """What a file imports, however late: full names of modules, and of what may be one."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute here"
            assert node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def module(path: Path) -> str:
    """The module of the house that a file is, or is a part of."""
    return path.relative_to(HOUSE).parts[0].removesuffix(".py")


def test_every_module_has_a_floor_and_every_floor_its_modules() -> None:
    there = {module(path) for path in HOUSE.rglob("*.py")} - {"__init__"}

    assert floors().keys() == there


@pytest.mark.parametrize("path", sorted(HOUSE.rglob("*.py")), ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_imports_only_from_floors_below_its_own(path: Path) -> None:
    own, table = module(path), floors()
    if own == "__init__":
        assert not list(imports(path))
        return
    used = {name.split(".")[1] for name in imports(path) if name.startswith("server.")} - {own}

    assert sorted(name for name in used if table[name] >= table[own]) == []


@pytest.mark.parametrize("framework", PLACES)
def test_a_framework_keeps_to_its_place(framework: str) -> None:
    users = {
        str(path.relative_to(ROOT)) for path in sources() if framework in {n.split(".")[0] for n in _run_time(path)}
    }

    assert sorted(name for name in users if not name.startswith(PLACES[framework])) == []


def _run_time(path: Path) -> Iterator[str]:
    """The imports of a file without those that only a type checker reads."""
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            node.body = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def test_the_web_and_the_worker_do_not_know_each_other() -> None:
    for one, other in (("web", "worker"), ("worker", "web")):
        users = [
            path for path in (HOUSE / one).rglob("*.py") for name in imports(path) if name.split(".")[1:2] == [other]
        ]
        assert users == []


def lines(function: ast.FunctionDef) -> int:
    """How long a function is, without its docstring."""
    body = function.body[1:] if ast.get_docstring(function) else function.body
    return (function.end_lineno or 0) - body[0].lineno + 1 if body else 0


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_is_short_and_its_functions_shorter(path: Path) -> None:
    text = path.read_text()
    functions = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef)]

    assert text.count("\n") <= 330, "a module has about 300 lines; what outgrows that becomes a folder"
    assert [function.name for function in functions if lines(function) > 40] == []
