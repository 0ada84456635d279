"""Names of dependencies that are not part of their interface: each is used in one module, and must still exist."""

import ast
import importlib
import inspect
from pathlib import Path

import pytest
from harness import ROOT

FOLDER = ROOT / "server" / "celery_app"

#: Our module, then the classes or modules that have the names that it uses.
NAMES: dict[str, dict[str, tuple[str, ...]]] = {
    "transport.py": {
        "kombu.transport.redis:Channel": (
            "_brpop_read",
            "_brpop_sent_at",
            "_brpop_start",
            "_connparams",
            "_create_client",
            "_disconnect_pools",
            "_flush_brpop_reauth",
            "_get_message_priority",
            "_in_poll",
            "_q_for_pri",
            "_queue_bind",
            "_queue_cycle",
        ),
        "kombu.transport.virtual.base:QoS": ("_delivered",),
        "kombu.transport.virtual.base:Transport": ("_deliver",),
    },
    "result_backend.py": {"celery.backends.redis:RedisBackend": ("_get_task_meta_for",)},
    "worker/shutdown.py": {
        "celery.concurrency.prefork:TaskPool": ("_pool",),
        "celery.concurrency.asynpool:AsynPool": ("_pool",),
    },
    "worker/child_memory.py": {"billiard.pool": ("mem_rss",)},
}


def _used(file: Path) -> set[str]:
    """Return the private attributes that a module uses."""
    nodes = ast.walk(ast.parse(file.read_text()))
    names = {node.attr for node in nodes if isinstance(node, ast.Attribute)}
    return {name for name in names if name.startswith("_") and not name.startswith("__")} - {"_exit"}


def _own(file: Path) -> set[str]:
    """Return the private names that a module's classes define or set themselves."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.FunctionDef):
            found.add(node.name)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            found.add(node.attr)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
    return found


@pytest.mark.parametrize(
    ("module", "place", "name"),
    [(module, place, name) for module, places in NAMES.items() for place, names in places.items() for name in names],
)
def test_a_private_name_of_a_dependency_still_exists(module: str, place: str, name: str) -> None:
    path, _, cls = place.partition(":")
    owner = importlib.import_module(path)
    holder = getattr(owner, cls) if cls else owner
    sources = [inspect.getsource(each) for each in inspect.getmro(holder) if each is not object] if cls else []
    there = hasattr(holder, name) or any(f"self.{name} =" in source for source in sources)
    library = path.partition(".")[0]
    assert there, f"{library} no longer has {place}.{name}: server/celery_app/{module} must be changed"


def test_every_private_name_in_use_is_in_the_list_and_in_one_module() -> None:
    for file in FOLDER.rglob("*.py"):
        module = str(file.relative_to(FOLDER))
        listed = {name for names in NAMES.get(module, {}).values() for name in names}
        foreign = _used(file) - _own(file)
        assert foreign <= listed, f"{module} uses {sorted(foreign - listed)}, which NAMES does not have"
        assert listed <= _used(file) | _own(file), f"{module} no longer uses {sorted(listed - _used(file))}"
