"""The worker's HTTP/1.1 without a network: heads, bodies, answers, and refused requests."""

import itertools

import pytest

from server.web.gunicorn_worker.deadlines import Deadlines, Stage
from server.web.gunicorn_worker.http1.head import MAX_FIELDS, MAX_REQUEST_LINE, Head, Refused, parse
from server.web.gunicorn_worker.http1.machine import Machine, State

GET = b"GET /a?b=c HTTP/1.1\r\nHost: here\r\n"
POST = b"POST /a HTTP/1.1\r\nHost: here\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
DATE = "Thu, 01 Jan 2026 00:00:00 GMT"


def received(*pieces: bytes) -> Machine:
    machine = Machine()
    for piece in pieces:
        machine.receive(piece)
    return machine


def read(machine: Machine) -> tuple[Head, bytes]:
    """Return the next request, which must be complete."""
    head = machine.read_head()
    assert head is not None
    body = b""
    while machine.state is State.BODY:
        piece = machine.read_body()
        assert piece or machine.state is not State.BODY, "the body does not end"
        body += piece
    return head, body


def answer(machine: Machine, *body: bytes, status: str = "200 OK", **fields: str) -> bytes:
    """Return the complete answer as it is sent; several pieces make a body of unknown length."""
    named = [(name.replace("_", "-"), value) for name, value in fields.items()]
    whole = len(body[0]) if len(body) == 1 else None
    text = machine.start_answer(status, named, DATE, whole)
    return text + b"".join(map(machine.frame, body)) + machine.end_answer()


def status_of(*pieces: bytes) -> int:
    """Return the status that refuses these bytes."""
    machine = Machine()
    with pytest.raises(Refused) as refused:
        for piece in pieces:
            machine.receive(piece)
            if machine.state is State.HEAD:
                machine.read_head()
            if machine.state is State.BODY:
                machine.read_body()
    return refused.value.status


# -- heads


def test_a_head_is_read_when_complete_however_it_is_split() -> None:
    text = GET + b"Accept: */*\r\n\r\n"
    for cut in range(1, len(text)):
        machine = received(text[:cut])
        assert machine.read_head() is None
        machine.receive(text[cut:])
        head = machine.read_head()
        assert head is not None
        assert (head.method, head.target, head.version) == ("GET", "/a?b=c", "1.1")
        assert head.fields == (("Host", "here"), ("Accept", "*/*"))


def test_unknown_methods_are_left_to_the_application() -> None:
    for method in ("BREW", "QUERY", "PRI", "SOURCE", "PATCH"):
        assert parse(f"{method} / HTTP/1.1\r\nHost: here\r\n\r\n".encode()).method == method


def test_spaces_around_a_value_are_not_part_of_it() -> None:
    assert parse(GET + b"A:\t b c \t\r\n\r\n").fields[1] == ("A", "b c")


def test_one_empty_line_before_a_request_is_skipped() -> None:
    assert received(b"\r\n" + GET + b"\r\n").read_head() is not None
    assert status_of(b"\r\n\r\n" + GET + b"\r\n") == 400


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"NONSENSE\r\n\r\n", 400),
        (b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"GET / HTTP/1.1 \r\nHost: a\r\n\r\n", 400),
        (b"get / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"GET /\r\n\r\n", 400),
        (b"GET a HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"GET * HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"GET /\xe9 HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n", 501),
        (b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505),
        (b"GET / HTTP/0.9\r\nHost: a\r\n\r\n", 505),
        (b"GET / HTTP/1.2\r\nHost: a\r\n\r\n", 505),
        (b"GET / RTSP/1.0\r\nHost: a\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (GET + b"Host: there\r\n\r\n", 400),
        (GET + b"host: here\r\n\r\n", 400),
        (b"GET / HTTP/1.1\nHost: a\n\n", 400),
        (GET + b"A: b\nC: d\r\n\r\n", 400),
        (GET + b"\n", 400),
        (GET + b"A: b\rC: d\r\n\r\n", 400),
        (GET + b"A: b\r\n c\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n Host: a\r\n\r\n", 400),
        (GET + b"A : b\r\n\r\n", 400),
        (GET + b": b\r\n\r\n", 400),
        (GET + b"A\r\n\r\n", 400),
        (GET + b"A(b): c\r\n\r\n", 400),
        (GET + b"A: b\0c\r\n\r\n", 400),
        (GET + b"A: b\x01c\r\n\r\n", 400),
        (GET + b"A: b\x7fc\r\n\r\n", 400),
        (POST + b"Content-Length: 1\r\nContent-Length: 1\r\n\r\nx", 400),
        (POST + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nx", 400),
        (POST + b"Content-Length: 1, 1\r\n\r\nx", 400),
        (POST + b"Content-Length: +1\r\n\r\nx", 400),
        (POST + b"Content-Length: -1\r\n\r\nx", 400),
        (POST + b"Content-Length: 1e1\r\n\r\nx", 400),
        (POST + b"Content-Length: \r\n\r\nx", 400),
        (POST + b"Content-Length: 99999999999999999999999\r\n\r\nx", 400),
        (POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (POST + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n", 400),
        (POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        (POST + b"Transfer-Encoding: chunked, identity\r\n\r\n", 400),
        (POST + b"Transfer-Encoding: \x0bchunked\r\n\r\n", 400),
        (POST + b"Transfer-Encoding: xchunked\r\n\r\n", 400),
        (POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n", 501),
        (b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (POST + b"Content-Type: a/b\r\nContent-Type: c/d\r\n\r\n", 400),
        (GET + b"Expect: much\r\n\r\n", 417),
        (b"GET /" + b"a" * MAX_REQUEST_LINE + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414),
        (b"GET /" + b"a" * MAX_REQUEST_LINE, 414),
        (GET + b"A: b\r\n" * MAX_FIELDS + b"\r\n", 431),
        (GET + b"A: " + b"b" * 9000 + b"\r\n\r\n", 431),
        (GET + b"A: " + b"b" * 70_000, 431),
    ],
)
def test_an_ambiguous_request_is_refused(head: bytes, status: int) -> None:
    assert status_of(head) == status


def test_a_bare_line_feed_is_refused_before_the_head_is_complete() -> None:
    assert status_of(b"GET / HTTP/1.1\r", b"\nHost: a\r\nA: b", b"\nC: d") == 400


def test_an_offer_to_upgrade_the_protocol_is_ignored() -> None:
    offer = b"Connection: Upgrade\r\nUpgrade: h2c\r\n"
    machine = received(POST + offer + b"Content-Length: 2\r\n\r\nhi" + GET + b"\r\n")
    assert read(machine)[1] == b"hi"
    answer(machine, b"")
    assert read(machine)[0].method == "GET"
    assert read(received(POST + offer + b"Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n"))[1] == b"hi"


def test_version_and_connection_options_decide_whether_a_connection_is_kept() -> None:
    kept = {
        b"HTTP/1.1": True,
        b"HTTP/1.1\r\nConnection: close": False,
        b"HTTP/1.1\r\nConnection: x, Close": False,
        b"HTTP/1.0": False,
        b"HTTP/1.0\r\nConnection: keep-alive": True,
    }
    for text, expected in kept.items():
        assert parse(b"GET / " + text + b"\r\nHost: a\r\n\r\n").keep_alive is expected


# -- bodies


def test_a_body_of_known_length_is_read_however_it_is_split() -> None:
    text = POST + b"Content-Length: 5\r\n\r\nhello"
    for cut in range(1, len(text)):
        machine = received(text[:cut])
        head = machine.read_head()
        body = machine.read_body()
        machine.receive(text[cut:])
        head = head or machine.read_head()
        assert head is not None and head.length == 5
        assert body + machine.read_body() == b"hello"
        assert machine.state is State.ANSWERING


def test_a_chunked_body_is_read_however_it_is_split_and_nothing_after_it() -> None:
    chunks = b"5;a=b\r\nhel\r\n\r\n1\r\n!\r\n000\r\nTrailer: x\r\nHost: y\r\n\r\n"
    following = GET + b"\r\n"
    text = CHUNKED + chunks + following
    for first, second in itertools.combinations(range(len(CHUNKED), len(text)), 2):
        machine = received(text[:first])
        assert machine.read_head() is not None
        body = machine.read_body()
        for piece in (text[first:second], text[second:]):
            machine.receive(piece)
            body += machine.read_body()
        assert body == b"hel\r\n!"
        assert machine.state is State.ANSWERING and machine.buffer == following


@pytest.mark.parametrize(
    "chunks",
    [
        b"ZZ\r\n\r\n",
        b"5\nhello\r\n0\r\n\r\n",
        b"5;a=b\nhello\r\n0\r\n\r\n",
        b"5;a\rb\r\nhello\r\n0\r\n\r\n",
        b"5\r\nhello\n0\r\n\r\n",
        b"5\r\nhello!\r\n0\r\n\r\n",
        b"5 \r\nhello\r\n0\r\n\r\n",
        b" 5\r\nhello\r\n0\r\n\r\n",
        b"0x5\r\nhello\r\n0\r\n\r\n",
        b"-5\r\nhello\r\n0\r\n\r\n",
        b"\r\nhello\r\n0\r\n\r\n",
        b"FFFFFFFFFFFFFFFFF\r\nhello",
        b"0\r\nContent-Length: 5\r\n\r\n",
        b"0\r\nA: b\n\r\n",
        b"0\r\n\n",
        b"0\r\n" + b"a: b\r\n" * 5000,
        b"5;" + b"a" * 20_000,
    ],
)
def test_malformed_chunks_are_refused(chunks: bytes) -> None:
    assert status_of(CHUNKED, chunks) == 400


def test_a_client_that_expects_100_continue_gets_it_once() -> None:
    head = POST + b"Content-Length: 2\r\nExpect: 100-Continue\r\n\r\n"
    machine = received(head)
    assert machine.read_head() is not None
    assert machine.ask_for_body() == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert machine.ask_for_body() == b""
    machine.receive(b"hi")
    assert machine.read_body() == b"hi"
    assert b"Connection: close" not in answer(machine, b"")

    machine = received(head + b"h")
    assert machine.read_head() is not None
    assert machine.ask_for_body() == b"", "it does not wait"


def test_a_client_without_100_continue_is_disconnected_after_the_response() -> None:
    machine = received(POST + b"Content-Length: 2\r\nExpect: 100-continue\r\n\r\n")
    machine.read_head()
    assert b"\r\nConnection: close\r\n" in answer(machine, b"no", status="413 Too Large")
    assert machine.state is State.CLOSING


def test_an_http_1_0_client_never_gets_100_continue() -> None:
    machine = received(b"POST / HTTP/1.0\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n")
    machine.read_head()
    assert machine.ask_for_body() == b""


# -- answers


def test_pipelined_requests_are_answered_in_order() -> None:
    machine = received(POST + b"Content-Length: 2\r\n\r\nhi" + CHUNKED + b"2\r\nho\r\n0\r\n\r\n" + GET + b"\r\n")
    for method, body in (("POST", b"hi"), ("POST", b"ho"), ("GET", b"")):
        head, received_body = read(machine)
        assert (head.method, received_body) == (method, body)
        assert machine.read_head() is None, "the next one waits for the answer"
        answer(machine, b"ok")
    assert machine.state is State.IDLE


def test_a_complete_response_has_a_content_length() -> None:
    machine = received(GET + b"\r\n")
    machine.read_head()
    text = answer(machine, b"hello", Content_Type="text/plain")
    assert text == (
        f"HTTP/1.1 200 OK\r\nDate: {DATE}\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello".encode()
    )


def test_a_response_of_unknown_length_is_chunked() -> None:
    machine = received(GET + b"\r\n")
    machine.read_head()
    text = answer(machine, b"hello", b"", b"!" * 16)
    assert b"\r\nTransfer-Encoding: chunked\r\n" in text
    assert text.endswith(b"\r\n\r\n5\r\nhello\r\n10\r\n" + b"!" * 16 + b"\r\n0\r\n\r\n")
    assert machine.state is State.IDLE


def test_an_http_1_0_client_reads_a_response_of_unknown_length_until_close() -> None:
    machine = received(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
    machine.read_head()
    text = answer(machine, b"hel", b"lo")
    assert text.endswith(b"\r\nConnection: close\r\n\r\nhello")
    assert machine.state is State.CLOSING


@pytest.mark.parametrize(("method", "status"), [("HEAD", "200 OK"), ("GET", "304 Not Modified"), ("GET", "204 None")])
def test_a_response_without_a_body_has_none_whatever_the_application_returns(method: str, status: str) -> None:
    machine = received(f"{method} / HTTP/1.1\r\nHost: a\r\n\r\n".encode())
    machine.read_head()
    text = answer(machine, b"hello", status=status, Content_Length="5")
    assert text.endswith(b"\r\nContent-Length: 5\r\n\r\n")
    assert machine.state is State.IDLE


def test_a_response_has_its_declared_length_or_the_connection_is_closed() -> None:
    machine = received(GET + b"\r\n")
    machine.read_head()
    assert answer(machine, b"hello", b"world", Content_Length="7").endswith(b"\r\n\r\nhellowo")
    assert machine.state is State.IDLE

    machine.receive(GET + b"\r\n")
    machine.read_head()
    answer(machine, b"hello", b"", Content_Length="7")
    assert machine.state is State.CLOSING


def test_a_response_may_end_before_the_request_body() -> None:
    machine = received(POST + b"Content-Length: 6\r\n\r\nhel")
    machine.read_head()
    machine.read_body()
    answer(machine, b"no", status="415 Unsupported")
    assert machine.state is State.BODY and machine.answered
    machine.receive(b"lo!" + GET + b"\r\n")
    assert machine.read_body() == b"lo!"
    assert read(machine)[0].method == "GET"


def test_the_application_may_close_the_connection_but_not_set_its_fields() -> None:
    machine = received(GET + b"\r\n")
    machine.read_head()
    text = answer(machine, b"", Connection="close", Transfer_Encoding="chunked", Upgrade="x")
    assert b"chunked" not in text and b"Upgrade" not in text
    assert text.count(b"Connection: close") == 1


@pytest.mark.parametrize("value", ["a\r\nB: c", "a\nb", "a\rb", "a\0b"])
def test_a_line_break_in_a_response_field_is_an_error(value: str) -> None:
    machine = received(GET + b"\r\n")
    machine.read_head()
    with pytest.raises(ValueError, match="line break"):
        answer(machine, b"", X=value)


# -- deadlines


def test_connections_time_out_in_the_order_in_which_they_entered_a_stage() -> None:
    deadlines: Deadlines[str] = Deadlines()
    for at, name in enumerate("abc"):
        deadlines.enter(name, None, Stage.HEAD, at)
    deadlines.enter("a", Stage.HEAD, Stage.HEAD, 3)
    deadlines.enter("c", Stage.HEAD, Stage.WRITE, 3)
    assert deadlines.oldest(Stage.HEAD) == "b"
    assert deadlines.over(Stage.HEAD, 11, 10) == ["b"]
    assert deadlines.over(Stage.HEAD, 13, 10) == ["b", "a"]
    assert deadlines.over(Stage.WRITE, 13, 10) == ["c"]
    deadlines.enter("b", Stage.HEAD, None, 4)
    deadlines.enter("a", Stage.HEAD, None, 4)
    assert deadlines.oldest(Stage.HEAD) is None
