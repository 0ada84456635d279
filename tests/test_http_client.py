"""The guarded HTTP client with real servers on loopback, which `allow_private` permits."""

import gzip
import ipaddress
import os
import socket
import ssl
import subprocess
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import trustme
from harness import ROOT
from http_servers import Exchange, serve

from server.sdk.http import FetchError, RequestLimits, check_url, connection, request
from server.sdk.http.urls import is_allowed

Behaviour = Callable[[Exchange], None]

NOT_PUBLIC = "The URL's host has no public address."
WRONG_NAME = "The server's certificate is not valid for its name."


def fetch(url: str, limits: RequestLimits | None = None, *, allow_private: bool = True) -> tuple[int, bytes]:
    """Return status and body of a GET."""
    with request("GET", url, limits=limits or RequestLimits(), allow_private=allow_private) as answer:
        return answer.status, answer.read()


def refusal(url: str, limits: RequestLimits | None = None, *, allow_private: bool = True) -> FetchError:
    """Return the reason for a failed GET."""
    with pytest.raises(FetchError) as caught:
        fetch(url, limits, allow_private=allow_private)
    return caught.value


def on_localhost(url: str) -> str:
    """The same server, addressed by its name."""
    return url.replace("127.0.0.1", "localhost")


def replies(body: bytes = b"", status: int = 200, **headers: str) -> Behaviour:
    """A server that always sends the same answer."""
    return lambda exchange: exchange.reply(status, body, **headers)


@pytest.fixture(scope="module")
def hello() -> Iterator[str]:
    """A server that behaves correctly."""
    with serve(replies(b"hello")) as url:
        yield url


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """Names to add to the resolver, with their addresses."""
    names: dict[str, list[str]] = {}
    real = socket.getaddrinfo

    def look_up(host: str, port: int, *rest: object, **more: object) -> object:
        if host in names:
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in names[host]]
        return real(host, port, *rest, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    return names


# -- addresses and URLs


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "127.9.9.9", "0.0.0.0", "0.1.2.3", "10.0.0.1", "172.16.0.1", "192.168.1.1", "100.64.0.1"),
        *("169.254.169.254", "168.63.129.16", "100.100.100.200", "224.0.0.1", "239.1.1.1", "255.255.255.255"),
        *("192.0.2.1", "198.18.0.1", "240.0.0.1", "192.0.0.8"),
        *("::1", "::", "fe80::1", "fe80::1%eth0", "fc00::1", "fd00:ec2::254", "ff02::1", "fec0::1", "2001:db8::1"),
        *("::ffff:127.0.0.1", "::ffff:8.8.8.8", "::127.0.0.1", "64:ff9b::7f00:1", "64:ff9b:1::a00:1"),
        *("2002:7f00:1::", "2001:0:4136:e378::1"),
    ],
)
def test_a_non_public_address_is_refused(address: str) -> None:
    assert not is_allowed(ipaddress.ip_address(address), allow_private=False)


@pytest.mark.parametrize("address", ["8.8.8.8", "93.184.215.14", "2606:4700::1111", "2a00:1450:4001::1"])
def test_a_public_address_is_allowed(address: str) -> None:
    assert is_allowed(ipaddress.ip_address(address), allow_private=False)


@pytest.mark.parametrize("address", ["127.0.0.1", "10.0.0.1", "192.168.1.1", "::1", "fd12::1", "100.64.0.1"])
def test_the_setting_allows_loopback_and_private_networks(address: str) -> None:
    assert is_allowed(ipaddress.ip_address(address), allow_private=True)


@pytest.mark.parametrize(
    "address", ["169.254.169.254", "0.0.0.0", "fd00:ec2::254", "::ffff:169.254.169.254", "ff02::1"]
)
def test_the_setting_does_not_allow_cloud_metadata_addresses(address: str) -> None:
    assert not is_allowed(ipaddress.ip_address(address), allow_private=True)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("ftp://example.com/", "must begin with http"),
        ("file:///etc/passwd", "must begin with http"),
        ("example.com/x", "must begin with http"),
        ("https://user:pw@example.com/", "user name"),
        ("https://example.com@127.0.0.1/", "user name"),
        ("https:///x", "no host"),
        ("https://exa mple.com/", "not a URL"),
        ("https://[/", "not a URL"),
        ("https://\uff11\uff12\uff17.0.0.1/", "not a URL"),
        ("https://example.com:99999/", "not a URL"),
        ("https://example.com/\n", "not a URL"),
        ("https://" + "a" * 2050, "2048 characters"),
        ("http://127.0.0.1/", NOT_PUBLIC),
        ("http://127.1/", NOT_PUBLIC),
        ("http://2130706433/", NOT_PUBLIC),
        ("http://0x7f.1/", NOT_PUBLIC),
        ("http://[::1]:8080/", NOT_PUBLIC),
        ("http://[::ffff:a00:1]/", NOT_PUBLIC),
        ("http://169.254.169.254/latest/meta-data/", NOT_PUBLIC),
    ],
)
def test_an_invalid_url_is_refused_before_anything_is_sent(url: str, message: str) -> None:
    with pytest.raises(FetchError, match=message) as caught:
        check_url(url, allow_private=False)
    assert caught.value.reason == "refused"


# -- requests and responses


def test_an_answer_has_status_headers_body_and_the_url_that_it_came_from() -> None:
    requests = []

    def answer(exchange: Exchange) -> None:
        requests.append((exchange.command, exchange.path, exchange.headers["Host"], exchange.body))
        exchange.reply(201, b"made", X_Thing="1")

    with serve(answer) as url:
        with request("POST", f"{url}/a?b=c%20d", content=b"body", limits=RequestLimits(), allow_private=True) as got:
            assert (got.status, got.headers["x-thing"], got.read()) == (201, "1", b"made")
            assert str(got.url) == f"{url}/a?b=c%20d"
        fetch(on_localhost(url))
    host = url.removeprefix("http://")
    assert requests == [("POST", "/a?b=c%20d", host, b"body"), ("GET", "/", on_localhost(host), b"")]


def test_a_body_is_read_in_chunks_or_not_at_all() -> None:
    with serve(replies(b"x" * 300_000)) as url:
        with request("GET", url, limits=RequestLimits(), allow_private=True) as answer:
            sizes = [len(chunk) for chunk in answer.chunks()]
        assert (sum(sizes), max(sizes) <= 65536) == (300_000, True)
        with request("GET", url, limits=RequestLimits(), allow_private=True) as answer:
            assert answer.status == 200


def test_proxies_passwords_and_cookies_of_the_environment_are_ignored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login a password b\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    credentials = []

    def answer(exchange: Exchange) -> None:
        credentials.append((exchange.headers["Authorization"], exchange.headers["Cookie"]))
        exchange.reply(Set_Cookie="a=b")

    with serve(answer) as url:
        fetch(url)
        fetch(url)
    assert credentials == [(None, None), (None, None)]


# -- names


def test_a_name_that_resolves_to_loopback_is_refused(hello: str) -> None:
    assert fetch(on_localhost(hello)) == (200, b"hello")
    error = refusal(on_localhost(hello), allow_private=False)
    assert (error.reason, str(error)) == ("refused", NOT_PUBLIC)


def test_an_unknown_name_has_the_same_error_as_a_private_one() -> None:
    assert str(refusal("http://nobody.invalid/")) == NOT_PUBLIC


def test_a_name_is_resolved_once_and_the_checked_address_is_used(monkeypatch: pytest.MonkeyPatch, hello: str) -> None:
    """Use a rebinding name: public at its first look-up, loopback from the second on."""
    hosts = []

    def rebinding(host: str, port: int, *_: object, **__: object) -> object:
        hosts.append(host)
        addresses = {"rebinding.example": "192.0.2.1" if hosts.count(host) == 1 else "127.0.0.1"}
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (addresses.get(host, host), port))]

    monkeypatch.setattr(socket, "getaddrinfo", rebinding)
    monkeypatch.setattr(connection, "is_allowed", lambda address, private: str(address) == "192.0.2.1")
    url = hello.replace("127.0.0.1", "rebinding.example")
    monkeypatch.setattr(connection, "CONNECT_SECONDS", 0.5)
    assert refusal(url, allow_private=False).reason in ("timeout", "unreachable")
    assert hosts == ["rebinding.example", "192.0.2.1"]
    assert refusal(url, allow_private=False).reason == "refused"


def test_a_refused_address_is_skipped_for_an_allowed_one(
    monkeypatch: pytest.MonkeyPatch, names: dict[str, list[str]], hello: str
) -> None:
    names["two.example"] = ["127.0.0.2", "127.0.0.1"]
    monkeypatch.setattr(connection, "is_allowed", lambda address, private: str(address) == "127.0.0.1")
    assert fetch(hello.replace("127.0.0.1", "two.example"), allow_private=False) == (200, b"hello")


def test_an_unresponsive_address_leaves_time_for_the_next_one(
    monkeypatch: pytest.MonkeyPatch, names: dict[str, list[str]], hello: str
) -> None:
    monkeypatch.setattr(connection, "CONNECT_SECONDS", 2)
    names["two.example"] = ["127.0.0.2", "127.0.0.1"]
    port = int(hello.rpartition(":")[2])
    with socket.create_server(("127.0.0.2", port), backlog=0) as full, socket.create_connection(full.getsockname()):
        url = hello.replace("127.0.0.1", "two.example")
        assert fetch(url) == (200, b"hello")


def test_a_slow_name_lookup_times_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: time.sleep(1) or [])
    monkeypatch.setattr(connection, "CONNECT_SECONDS", 0.2)
    assert refusal("http://slow.example/").reason == "timeout"


# -- redirects


def test_a_redirect_is_followed_up_to_the_limit(hello: str) -> None:
    with serve(replies(status=302, Location=hello)) as url:
        assert fetch(url) == (200, b"hello")
        assert fetch(url, RequestLimits(redirects=0)) == (302, b"")
    with serve(replies(status=302, Location="/again")) as url:
        assert "redirects more than 5 times" in str(refusal(url))


@pytest.mark.parametrize(
    "target",
    [
        *("http://169.254.169.254/", "http://user:pw@127.0.0.1/", "gopher://127.0.0.1/", "http://[::ffff:7f00:1]/"),
        *("file:///etc/passwd", "//169.254.169.254/"),
    ],
)
def test_the_url_of_a_redirect_is_checked_like_the_first(target: str) -> None:
    with serve(replies(status=302, Location=target)) as url:
        assert refusal(url).reason == "refused"


@pytest.mark.parametrize("target", ["127.0.0.3", "inside.example"])
def test_a_redirect_to_loopback_is_refused(
    monkeypatch: pytest.MonkeyPatch, names: dict[str, list[str]], target: str, hello: str
) -> None:
    """Treat 127.0.0.1, the address of the test's server, as public; nothing else is changed."""
    real = connection.is_allowed
    monkeypatch.setattr(connection, "is_allowed", lambda at, private: str(at) == "127.0.0.1" or real(at, private))
    names |= {"public.example": ["127.0.0.1"], "inside.example": ["127.0.0.3"]}
    with serve(replies(status=307, Location=hello.replace("127.0.0.1", target))) as url:
        error = refusal(url.replace("127.0.0.1", "public.example"), allow_private=False)
    assert (error.reason, str(error)) == ("refused", NOT_PUBLIC)


def test_the_body_of_a_redirect_is_not_read(hello: str) -> None:
    def answer(exchange: Exchange) -> None:
        exchange.begin(302, Location=hello)
        while True:
            exchange.wfile.write(b"x" * 65536)

    with serve(answer) as url:
        assert fetch(url) == (200, b"hello")


def test_a_password_is_not_sent_to_another_server() -> None:
    credentials = []

    def other(exchange: Exchange) -> None:
        credentials.append(exchange.headers["Authorization"])
        exchange.reply()

    with serve(other) as target, serve(replies(status=302, Location=target)) as url:
        for at in (url, target):
            with request(
                "GET", at, headers={"Authorization": "Bearer x"}, limits=RequestLimits(), allow_private=True
            ) as answer:
                assert answer.status == 200
    assert credentials == [None, "Bearer x"]


# -- limits


def says_nothing(exchange: Exchange) -> None:
    """Read the request, and wait."""
    time.sleep(3)


def drips_head(exchange: Exchange) -> None:
    """Send one header line after the other, slowly."""
    exchange.wfile.write(b"HTTP/1.1 200 OK\r\n")
    for number in range(30):
        exchange.wfile.write(b"X-%d: 1\r\n" % number)
        time.sleep(0.1)


def drips_body(exchange: Exchange) -> None:
    """Send the body byte by byte, slowly."""
    exchange.begin()
    for _ in range(30):
        exchange.wfile.write(b"x")
        time.sleep(0.1)


@pytest.mark.parametrize("slow", [says_nothing, drips_head, drips_body])
def test_a_slow_server_times_out(slow: Behaviour) -> None:
    with serve(slow) as url:
        assert refusal(url, RequestLimits(seconds=0.5)).reason == "timeout"


def test_an_endless_body_is_stopped_at_the_limit() -> None:
    def answer(exchange: Exchange) -> None:
        exchange.begin()
        while True:
            exchange.wfile.write(b"x" * 65536)

    with serve(answer) as url:
        assert refusal(url, RequestLimits(bytes=100_000)).reason == "too-large"


def test_a_body_that_is_declared_too_large_is_not_read() -> None:
    with serve(lambda exchange: exchange.begin(Content_Length="100001")) as url:
        assert refusal(url, RequestLimits(bytes=100_000)).reason == "too-large"


@pytest.mark.parametrize("members", [1, 2, 3])
def test_gzip_with_several_members_is_read(members: int) -> None:
    parts = [os.urandom(100_000) + bytes(2**17), b"", b"end"][:members]
    with serve(replies(b"".join(map(gzip.compress, parts)), Content_Encoding="gzip")) as url:
        assert fetch(url)[1] == b"".join(parts)


def test_a_gzip_bomb_is_stopped_at_the_limit_before_it_fills_memory() -> None:
    deflate = zlib.compressobj(wbits=31)
    bomb = b"".join(deflate.compress(bytes(2**20)) for _ in range(512)) + deflate.flush()
    largest = 0
    with (
        serve(replies(bomb, Content_Encoding="gzip")) as url,
        request("GET", url, limits=RequestLimits(bytes=2**24), allow_private=True) as answer,
        pytest.raises(FetchError) as caught,
    ):
        for chunk in answer.chunks():
            largest = max(largest, len(chunk))
    assert caught.value.reason == "too-large"
    assert largest <= 65536


# -- errors


@pytest.mark.parametrize(
    "body",
    [b"no gzip at all", gzip.compress(b"x" * 1000)[:-20], gzip.compress(b"x") + b"more"],
    ids=["none at all", "cut off", "more behind it"],
)
def test_a_broken_gzip_is_an_error(body: bytes) -> None:
    with serve(replies(body, Content_Encoding="gzip")) as url:
        assert refusal(url).reason == "unreachable"


def test_an_unrequested_compression_is_an_error() -> None:
    with serve(replies(b"x", Content_Encoding="br")) as url:
        assert "not requested" in str(refusal(url))


def test_a_refused_connection_is_reported_as_unreachable() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        error = refusal(f"http://127.0.0.1:{closed.getsockname()[1]}/")
    assert (error.reason, str(error)) == ("unreachable", "The server cannot be reached.")


def breaks_off(exchange: Exchange) -> None:
    """Announce more bytes than are sent."""
    exchange.begin(Content_Length="100")
    exchange.wfile.write(b"half")


def speaks_smtp(exchange: Exchange) -> None:
    """Answer like an SMTP server."""
    exchange.wfile.write(b"220 smtp.example ESMTP\r\n")


@pytest.mark.parametrize("answer", [breaks_off, speaks_smtp, replies(status=302, Location="http://a:b/")])
def test_a_malformed_response_is_reported_as_unreachable(answer: Behaviour) -> None:
    with serve(answer) as url:
        assert refusal(url).reason == "unreachable"


# -- TLS

_FETCH = """
import sys
from server.sdk.http import FetchError, RequestLimits, request
for url in sys.argv[1:]:
    try:
        with request("GET", url, limits=RequestLimits(), allow_private=True) as answer:
            print(answer.read().decode())
    except FetchError as error:
        print(error)
"""


def test_a_certificate_is_checked_against_the_name(tmp_path: Path) -> None:
    """Run in another process, whose OpenSSL trusts the test's authority by `SSL_CERT_FILE`."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(tls)
    sent: list[str | None] = []
    tls.sni_callback = lambda _socket, name, _context: sent.append(name)

    def printed(**trust: str) -> list[str]:
        command = [sys.executable, "-c", _FETCH, on_localhost(url), url]
        env = {**os.environ, "PYTHONPATH": str(ROOT), **trust}
        return subprocess.run(command, env=env, capture_output=True, text=True, check=True).stdout.splitlines()

    with serve(replies(b"hello"), tls) as url:
        assert printed(SSL_CERT_FILE=str(tmp_path / "ca.pem")) == ["hello", WRONG_NAME]
        assert printed() == [WRONG_NAME, WRONG_NAME]
    assert sent == ["localhost", None] * 2
