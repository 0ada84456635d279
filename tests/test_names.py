"""Names are the field's: a coined or vague word is refused, with the term to use instead. Docstrings say something."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness import ROOT

ITS_OWN = "the name of the thing itself"

#: Words that are not the whole name of a variable, function or class, and what to write.
VAGUE = {
    **dict.fromkeys(("found", "given", "made", "seen", "known", "taken", "own", "there", "what"), ITS_OWN),
    **dict.fromkeys(("said", "told", "words"), "message, text"),
    "why": "reason",
    "asked": "requested",
    "who": "caller, owner",
    **dict.fromkeys(("kind", "kinds"), "task type, format"),
    **dict.fromkeys(("place", "places"), "position, location, slot"),
    "room": "capacity",
    **dict.fromkeys(("look", "looks", "looked"), "check, read, poll"),
    **dict.fromkeys(("take", "takes", "hold", "held"), "claim, accept, throttle, park"),
    **dict.fromkeys(("ahead", "behind"), "what is compared"),
    **dict.fromkeys(("guard", "answers", "watch", "lot", "ear", "outside"), ITS_OWN),
    "most": "maximum",
}

#: Words that no name contains, and what to write.
COINED = {
    **dict.fromkeys(("tick", "ticks", "timetable"), "fire time, scheduled run"),
    **dict.fromkeys(("memo", "memos"), "checkpoint, cache"),
    **dict.fromkeys(("figures", "traffic", "tally"), "counters, statistics"),
    **dict.fromkeys(("upkeep", "keeper", "sweeper", "courier"), "maintenance"),
    **dict.fromkeys(("holder", "bell", "unhold", "farewell", "nowhere", "intake", "adopted", "lookout"), ITS_OWN),
}

#: Words that no constant contains, and what to write.
LIMITS = {
    **dict.fromkeys(("most", "longest", "latest"), "MAX"),
    **dict.fromkeys(("least", "soonest"), "MIN"),
    "patience": "TIMEOUT",
}

#: Names that clients see, as fields of JSON or in the OpenAPI document. They stay.
PUBLIC = {
    "server/web/routes/operate/failures.py": {"place"},
    "server/web/routes/operate/queues.py": {"QueueFigures"},
    "server/web/routes/schedule_objects.py": {"tick"},
}

FOLDERS = ("server", "tests", "benchmarks", "examples")

#: The names that a line of Lua defines: locals, variables of loops, parameters, fields.
LUA = re.compile(r"\blocal (?:function )?([\w, ]+)|\bfor ([\w, ]+) in\b|\bfunction [\w.]*\(([\w, ]*)\)|\b(\w+) = ")


def names(path: Path) -> Iterator[tuple[int, str]]:
    """Return the names that a file defines, each with its line."""
    text = path.read_text()
    if path.suffix == ".py":
        yield from (pair for node in ast.walk(ast.parse(text)) for pair in defined(node))
        return
    for number, line in enumerate(text.splitlines(), 1):
        for match in LUA.finditer(line.partition("--")[0]):
            yield from ((number, name) for name in re.findall(r"\w+", " ".join(filter(None, match.groups()))))


def defined(node: ast.AST) -> Iterator[tuple[int, str]]:
    match node:
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            if not name.startswith("test_"):  # a sentence
                yield node.lineno, name
        case ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()) | ast.arg(arg=name):
            yield node.lineno, name


def instead(name: str) -> str | None:
    """Return what to write instead of a name; None if the name is good."""
    parts = [part.lower() for part in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)]
    if len(parts) == 1 and parts[0] in VAGUE:
        return VAGUE[parts[0]]
    coined = {**COINED, **LIMITS} if name.isupper() else COINED
    return next((coined[part] for part in parts if part in coined), None)


@pytest.mark.parametrize("folder", FOLDERS)
def test_no_name_is_coined_or_vague(folder: str) -> None:
    paths = [path for path in (ROOT / folder).rglob("*") if path.suffix in (".py", ".lua")]
    refused = [
        f"{path}:{line}: {name} (write {term})"
        for path in sorted(path.relative_to(ROOT) for path in paths)
        for line, name in [*names(ROOT / path), (0, path.stem)]
        if (term := instead(name)) and name not in PUBLIC.get(str(path), ())
    ]

    assert not refused, "\n".join(refused)


@pytest.mark.parametrize("name", ["found", "_MOST", "MOST_BYTES", "Kind", "next_tick", "_held", "Tally"])
def test_a_coined_name_is_refused(name: str) -> None:
    assert instead(name)


@pytest.mark.parametrize("name", ["record", "MAX_BYTES", "fire_time", "not_found", "is_known", "most_frequent"])
def test_a_plain_name_is_accepted(name: str) -> None:
    assert instead(name) is None


def is_view(node: ast.AST) -> bool:
    """Whether a function answers a route: its docstring is the summary in the OpenAPI document."""
    decorators = node.decorator_list if isinstance(node, ast.FunctionDef) else []
    return any(isinstance(each, ast.Call) and "route" in ast.unparse(each.func) for each in decorators)


def test_a_docstring_has_at_least_five_words() -> None:
    short = [
        f"{path.relative_to(ROOT)}: {text}"
        for path in sorted((ROOT / "server").rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and not is_view(node)
        if (text := ast.get_docstring(node)) and len(text.split()) < 5
    ]

    assert not short, "\n".join(short)


def test_the_tests_that_ci_names_exist() -> None:
    ids = re.findall(r"(tests/[\w/]+\.py)(?:::(\w+))?", (ROOT / ".ci/run").read_text())

    missing = [(path, test) for path, test in ids if f"def {test}" not in (ROOT / path).read_text()]

    assert ids
    assert not missing
