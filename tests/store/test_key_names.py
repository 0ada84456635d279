"""Every key has one definition, a prefix, and the same name in Python and in Lua."""

import re
from pathlib import Path

import pytest
from submitting import submit_many

from server.settings import Settings
from server.store import Store
from server.store.api_keys import Role
from server.store.keys import Keys
from server.store.lua import _LUA, _assembled
from server.store.lua.key_names import with_keys
from server.store.record import Status

SCRIPTS = sorted(path.stem for path in _LUA.glob("*.lua"))

#: The names that Celery, kombu and their tools expect.
BROKER = {b"default", b"unacked", b"unacked_index"}


def test_lua_and_python_use_the_same_key_names(store: Store) -> None:
    keys = Keys("app-1.jobs:")
    script = """
        local lists, queue, owner = {keys.high_list}, 'q', nil
        local index = keys.index(owner or 'o', 't', string.sub('(s)', 2, 2))
        return {index, keys.due, keys.task(queue .. 1), lists[1](queue)}
    """

    names = store.redis.eval(with_keys(keys, script), 0)

    assert [name.decode() for name in names] == [
        keys.index("o", "t", "s"), keys.due, keys.task("q1"), keys.high_list("q")
    ]  # fmt: skip


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_script_has_a_header_and_names_no_key_itself(script: str) -> None:
    text = (_LUA / f"{script}.lua").read_text()

    header = text.partition("--- @include")[0]
    assert all(word in header for word in ("Input:", "Output:", "Publishes", "\n-- ")), header
    calls = re.findall(r"redis\.call\('\w+', *([^,)]*)", _assembled(script))
    assert [call for call in calls if call.startswith(("'", '"'))] == []


@pytest.mark.parametrize("path", sorted((_LUA / "lib").glob("*.lua")), ids=lambda path: path.stem)
def test_each_part_of_the_library_is_used(path: Path) -> None:
    texts = [other.read_text() for other in _LUA.rglob("*.lua") if other != path]

    assert any(f'--- @include "{path.stem}"' in text for text in texts)


def test_all_our_keys_have_the_prefix(store: Store) -> None:
    mine = Store(store.settings.model_copy(update={"key_prefix": "jobs-1:"}))
    first, second = submit_many(mine, 2, tags=("red",), webhook="https://example.org/")
    mine.tasks.claim(first, "worker/1")
    mine.tasks.finish(first, "worker/1", Status.SUCCEEDED, r="x" * 100)
    mine.leases.elect_leader("worker")
    mine.leases.heartbeat("worker", {"concurrency": 2})
    mine.api_keys.create("alice", Role.SUBMIT)
    mine.checks.at_start()

    keys = set(store.redis.keys("*"))
    assert {key for key in keys if not key.startswith(b"jobs-1:")} <= BROKER
    assert mine.tasks.get(second) is not None
    assert store.tasks.get(second) is None


@pytest.mark.parametrize("prefix", ["with space", "{tag}", "quote'", "x" * 65])
def test_a_prefix_that_could_break_a_script_is_refused(prefix: str) -> None:
    with pytest.raises(ValueError, match="key_prefix"):
        Settings(redis_url="redis://localhost", key_prefix=prefix)


def test_a_store_of_another_format_is_refused_with_a_message(store: Store) -> None:
    assert store.checks.at_start() is None
    assert store.checks.at_start() is None
    store.redis.set(store.keys.format, "1")

    reason = Store(store.settings).checks.at_start()

    assert reason is not None
    assert "has data in the format '1', and this release knows the format '2'" in reason
