"""Maintenance finds lost messages and expired tasks."""

import socket
import time

import pytest
from harness import Service, eventually
from ledger import starts


@pytest.mark.slow
def test_a_task_whose_message_is_lost_is_published_again(fresh: Service) -> None:
    fresh.start_web()
    task_id = fresh.submit("ledgered")
    other = fresh.submit("ledgered")
    client = fresh.redis.client
    assert client.rpop("default")
    client.zincrby(fresh.keys.turns("default"), -1e13, task_id)  # a worker fetched it, and lost it
    fresh.start_worker()
    assert fresh.wait_for(task_id)["status"] == "succeeded"
    assert fresh.wait_for(other)["status"] == "succeeded"
    assert starts(fresh, task_id) == 1
    assert int(client.hget(fresh.keys.stats, "recovery:lost_messages")) >= 1
    assert 'coatcheck_recoveries_total{finding="lost_messages"} 1.0' in fresh.http.get("/metrics").text


@pytest.mark.slow
def test_an_expired_task_leaves_no_record_no_index_and_no_bytes(fresh: Service) -> None:
    fresh.env["RESULT_TTL_SECONDS"] = "1"
    fresh.start()
    answer = fresh.http.post("/tasks/echo_file", files={"file": ("a.txt", b"x" * 1000, "text/plain")})
    task_id = answer.json()["task_id"]
    eventually(lambda: fresh.http.get(f"/tasks/{task_id}").status_code == 410)
    eventually(lambda: not _traces(fresh, task_id))
    eventually(lambda: int(fresh.redis.client.get(fresh.keys.blob("bytes")) or 0) == 0)


@pytest.mark.slow
def test_files_are_deleted_while_tasks_run(fresh: Service) -> None:
    fresh.env["WORKER_CONCURRENCY"] = "1"
    fresh.start()
    file = {"file": ("a.txt", b"x" * 1000, "text/plain")}
    expiring = fresh.http.post("/tasks/echo_file?ttl=5", files=file).json()["task_id"]
    fresh.wait_for(expiring)
    running = fresh.submit("long_running_task", seconds=600)
    fresh.wait_for(running, "running")
    eventually(lambda: int(fresh.redis.client.get(fresh.keys.blob("bytes")) or 0) == 0)
    eventually(lambda: not _traces(fresh, expiring))
    assert fresh.status(running)["status"] == "running"


def test_files_of_records_deleted_by_a_killed_process_are_deleted_by_another(fresh: Service) -> None:
    fresh.start_web()
    file = {"file": ("a.txt", b"x" * 1000, "text/plain")}
    dropped = fresh.http.post("/tasks/echo_file", files=file).json()["task_id"]
    fresh.http.post(f"/tasks/{dropped}/cancel")
    leases = fresh.store.leases
    assert leases.drop(dropped)
    assert leases.lease_uncollected(1) == [dropped]  # and here the process ends
    fresh.redis.client.zadd(fresh.keys.uncollected, {dropped: 0}, xx=True)  # it has expired
    fresh.start_worker()
    eventually(lambda: int(fresh.redis.client.get(fresh.keys.blob("bytes")) or 0) == 0)
    eventually(lambda: not _traces(fresh, dropped))


@pytest.mark.slow
def test_expired_waiting_tasks_do_not_delay_due_tasks(fresh: Service) -> None:
    fresh.start()
    source = fresh.submit("ledgered", seconds=4)
    item = {"task": "echo_file", "input": {"file": {"task_id": source, "file": "none"}}}
    items = [item | {"options": {"ttl": 1, "tag": "gone"}}] * 200  # a whole round of maintenance
    gone = [each["task_id"] for each in fresh.http.post("/batches", json={"items": items}).json()["items"]]
    assert fresh.http.post("/bulk/cancel", params={"tag": "gone"}).json()["canceled"] == len(gone)
    eventually(lambda: not fresh.redis.client.exists(*(fresh.keys.task(each) for each in gone)))
    assert fresh.wait_for(source)["status"] == "succeeded"
    later = fresh.http.post("/tasks/ledgered?delay=0.1", json={}).json()["task_id"]
    assert fresh.wait_for(later)["status"] == "succeeded"
    eventually(lambda: not _traces(fresh, gone[0]))


@pytest.mark.slow
def test_files_of_a_killed_web_process_without_a_record_are_deleted(fresh: Service) -> None:
    web = fresh.start_web()
    part = "--x\r\nContent-Disposition: form-data; name=files; filename={name}\r\n\r\n{text}"
    body = part.format(name="a.txt", text="y" * 1000 + "\r\n") + part.format(name="b.txt", text="y" * 300_000)
    head = f"POST /tasks/count_files HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body) + 1000}\r\n"
    head += "Content-Type: multipart/form-data; boundary=x\r\n\r\n"
    client = fresh.redis.client
    with socket.create_connection(("127.0.0.1", fresh.port)) as connection:
        connection.sendall((head + body).encode())
        eventually(lambda: client.zcard(fresh.keys.blob("tasks")) == 1)
        web.kill()
    orphan = client.zrange(fresh.keys.blob("tasks"), 0, -1)[0]
    fresh_one = "01a1fbcc-bcc9-711e-b2b9-fa4a7edf3148"  # not an id that this server has issued
    client.zadd(fresh.keys.blob("tasks"), {orphan: time.time() - 7200, fresh_one: time.time() - 7200})
    fresh.start_worker()
    eventually(lambda: client.zscore(fresh.keys.blob("tasks"), orphan) is None)
    assert client.zscore(fresh.keys.blob("tasks"), fresh_one) is not None
    assert not client.keys(fresh.keys.blob(f"*{orphan.decode()}*"))


def _traces(service: Service, task_id: str) -> list[bytes]:
    """Every key that is named after the task, or contains its id."""
    client = service.redis.client
    keys = client.keys(f"*{task_id}*")
    for key in client.keys("*"):
        data_type = client.type(key)
        if data_type == b"zset" and client.zscore(key, task_id) is not None:
            keys.append(key)
        if data_type == b"hash" and client.hexists(key, task_id):
            keys.append(key)
        if data_type == b"list" and any(task_id.encode() in item for item in client.lrange(key, 0, -1)):
            keys.append(key)
    return keys
