"""Private attributes of dependencies that the server uses: each stands in one module, and a new version may lack it."""

import ast
import inspect
from collections.abc import Iterator

import celery
import kombu
import pytest
import redis
from celery.backends.base import BaseKeyValueStoreBackend
from celery.concurrency.prefork import TaskPool
from celery.result import AsyncResult
from harness import ROOT
from kombu.transport.redis import Channel, QoS
from redis.connection import Connection
from werkzeug.local import LocalProxy

from server.celery_app import transport

#: For each module, the class of a dependency and what it uses of it. `self` attributes are found in the class's source.
USED = {
    "server/celery_app/exposed/sending.py": {celery.Celery: {"_get_backend"}},
    "server/celery_app/result_backend.py": {
        BaseKeyValueStoreBackend: {"_get_task_meta_for"},
        AsyncResult: {"_maybe_set_cache"},
    },
    "server/celery_app/transport.py": {
        QoS: {"_delivered"},
        Channel: {
            *("_brpop_start", "_brpop_read", "_brpop_sent_at", "_flush_brpop_reauth", "_queue_cycle", "_queue_bind"),
            *("_connparams", "_create_client", "_disconnect_pools", "_get_pool", "_pool"),
            *("_delete", "_expires", "_get", "_get_message_priority", "_maybe_update_queues_expire", "_put"),
        },
    },
    "server/celery_app/worker/shutdown.py": {TaskPool: {"_pool"}},
    "server/store/connection/bulk.py": {Connection: {"_sock"}},
    "server/store/connection/pool.py": {
        redis.ConnectionPool: {
            *("_available_connections", "_checkpid", "_created_connections", "_in_use_connections", "_lock"),
        }
    },
    "server/web/current.py": {LocalProxy: {"_get_current_object"}},
    "server/web/gunicorn_worker/notifier.py": {Connection: {"_sock"}},
}

VERSIONS = f"celery {celery.__version__}, kombu {kombu.__version__}, redis {redis.__version__}"


@pytest.mark.parametrize(
    ("module", "owner", "name"),
    [(module, owner, name) for module, owners in USED.items() for owner in owners for name in sorted(owners[owner])],
)
def test_a_dependency_has_the_private_attribute_that_a_module_uses(module: str, owner: type, name: str) -> None:
    exists = name in dir(owner) or name in _source(owner)
    assert exists, f"{owner.__qualname__} lacks {name}, which {module} uses ({VERSIONS})"


#: Documented names of Python: `os._exit`, and a method of named tuples.
PUBLIC = {"_exit", "_replace"}


def test_no_other_module_uses_a_private_attribute_of_a_dependency() -> None:
    defined, used = set(), []
    for path in sorted((ROOT / "server").rglob("*.py")):
        tree = ast.parse(path.read_text())
        defined |= set(_defined(tree))
        used += [(str(path.relative_to(ROOT)), name) for name in _used(tree)]
    listed = {(module, name) for module, owners in USED.items() for names in owners.values() for name in names}

    foreign = {(module, name) for module, name in used if name not in defined | PUBLIC}
    assert foreign <= listed, f"Use them in one module each, and list them in USED: {sorted(foreign - listed)}"


def test_every_private_method_that_the_transport_overrides_is_listed() -> None:
    listed = USED["server/celery_app/transport.py"][Channel]
    inherited = {name for each in Channel.__mro__ for name in vars(each)}
    ours = {name for each in transport.Channel.__mro__ if each.__module__.startswith("server.") for name in vars(each)}

    overridden = {name for name in ours & inherited if name.startswith("_") and not name.startswith("__")}
    assert overridden <= listed


def _source(owner: type) -> str:
    """The source of a class and of those above it, which also names the attributes of `self`."""
    return "".join(inspect.getsource(each) for each in owner.__mro__ if each is not object)


def _defined(tree: ast.AST) -> Iterator[str]:
    """Names that a module defines itself: functions, classes, and attributes of `self`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.attr


def _used(tree: ast.AST) -> Iterator[str]:
    """Private attributes that a module reads."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr.startswith("_") and not node.attr.startswith("__"):
            yield node.attr
