"""The layers: imports run downwards, each framework is used in one place, and modules are short."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness import ROOT

SERVER = ROOT / "server"

#: Each part of `server/` may import itself and these parts.
LAYERS: dict[str, set[str]] = {
    "settings": set(),
    "logs": {"settings"},
    "store": {"settings", "logs"},
    "sdk": {"settings", "logs", "store"},
    "services": {"settings", "logs", "store", "sdk"},
    "tasks": {"settings", "sdk"},
    "celery_app": {"settings", "logs", "store", "sdk", "services", "tasks"},
    "web": {"settings", "logs", "store", "sdk", "services", "tasks"},
    "testing": {"settings", "store", "sdk"},
    "cli": {"settings", "logs", "store", "sdk", "services", "tasks", "celery_app", "web"},
}

#: Where a framework may be imported, from the root.
ALLOWED = {
    "flask": ("server/web/",),
    "werkzeug": ("server/web/",),
    "celery": ("server/celery_app/", "wsgi.py"),
    "kombu": ("server/celery_app/",),
    "billiard": ("server/celery_app/worker/",),
    "gunicorn": ("server/web/gunicorn_worker/", "gunicorn.conf.py"),
    "redis": (
        *("server/store/", "server/celery_app/transport.py", "server/celery_app/result_backend.py"),
        *("server/cli/", "server/web/errors.py", "server/web/gunicorn_worker/"),
    ),
    "PIL": ("server/tasks/",),
}

MAX_ENTRIES, MAX_MODULES, MAX_LINES, MAX_FUNCTION_LINES = 10, 14, 330, 40


def sources() -> list[Path]:
    """Return every file of the server, and those next to it."""
    return sorted([*SERVER.rglob("*.py"), *ROOT.glob("*.py")])


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def part_of(path: Path) -> str:
    """Return the entry of `server/` that a file is, or belongs to."""
    return path.relative_to(SERVER).parts[0].removesuffix(".py")


def imports(path: Path, *, run_time: bool = False) -> Iterator[str]:
    """Return a file's imports, also those inside functions, but not those for type checkers only."""
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if run_time and isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            node.body = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute here"
            assert node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_the_server_has_at_most_ten_entries_and_each_is_in_a_layer() -> None:
    entries = {part_of(path) for path in SERVER.rglob("*.py")} - {"__init__"}

    assert len(entries) <= MAX_ENTRIES
    assert sorted(entries - LAYERS.keys()) == []


@pytest.mark.parametrize("folder", sorted({path.parent for path in SERVER.rglob("*.py")}), ids=name_of)
def test_a_package_has_at_most_fourteen_modules(folder: Path) -> None:
    modules = [path for path in folder.glob("*.py") if not path.stem.startswith("__")]
    assert len(modules) <= MAX_MODULES, "put the modules of one concern into a package of their own"


@pytest.mark.parametrize("path", sorted(SERVER.rglob("*.py")), ids=name_of)
def test_a_module_imports_only_from_the_layers_below_its_own(path: Path) -> None:
    package = part_of(path)
    if package == "__init__":
        return
    used = {name.split(".")[1] for name in imports(path) if name.startswith("server.")} - {package, "__version__"}

    assert sorted(used - LAYERS[package]) == []


@pytest.mark.parametrize("folder", sorted(path for path in (SERVER / "tasks").iterdir() if path.is_dir()), ids=name_of)
def test_a_task_package_imports_no_other_task_package(folder: Path) -> None:
    package = f"server.tasks.{folder.name}"
    used = {name for path in folder.rglob("*.py") for name in imports(path) if name.startswith("server.tasks")}

    assert sorted(name for name in used if not name.startswith(package)) == []


@pytest.mark.parametrize("framework", ALLOWED)
def test_a_framework_is_imported_only_where_it_is_allowed(framework: str) -> None:
    users = {
        name_of(path) for path in sources() if framework in {n.split(".")[0] for n in imports(path, run_time=True)}
    }

    assert sorted(name for name in users if not name.startswith(ALLOWED[framework])) == []


def lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Return the length of a function, without its docstring."""
    body = function.body[1:] if ast.get_docstring(function) else function.body
    return (function.end_lineno or 0) - body[0].lineno + 1 if body else 0


@pytest.mark.parametrize("path", sources(), ids=name_of)
def test_modules_and_functions_have_a_maximum_length(path: Path) -> None:
    text = path.read_text()
    functions = [n for n in ast.walk(ast.parse(text)) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]

    assert text.count("\n") <= MAX_LINES, f"a module has up to {MAX_LINES} lines; split what outgrows that"
    assert [function.name for function in functions if lines(function) > MAX_FUNCTION_LINES] == []


def test_a_lua_script_and_its_lines_have_a_maximum_length() -> None:
    long = [
        f"{path.relative_to(SERVER)}:{number}"
        for path in sorted(SERVER.rglob("*.lua"))
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if number > MAX_LINES or len(line) > 120
    ]

    assert long == []
