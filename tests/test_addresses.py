"""The address that a client used, from the settings, a proxy's header fields and the request itself."""

import pytest

from server.settings import Settings
from server.web.addresses import Forwarded, Locator, RequestAddress, base_url, is_within, make_absolute

ARRIVED = RequestAddress("http", "inner:8000", "", "/tasks/divide")
FORWARDED = Forwarded("/jobs", "example.org", "https")
PROXY, STRANGER = "10.1.2.3", "203.0.113.9"


def located(
    forwarded: Forwarded = FORWARDED, client: str = PROXY, arrived: RequestAddress = ARRIVED, **settings: object
) -> tuple[str, str, str, str]:
    values = {"redis_url": "redis://unused", "host": "127.0.0.1", "trusted_proxies": "10.0.0.0/8, ::1", **settings}
    return tuple(Locator(Settings(**values), {"tasks", "ui"}).locate(arrived, client, forwarded))  # type: ignore[arg-type, return-value]


def test_a_trusted_proxy_sets_prefix_host_and_scheme() -> None:
    assert located() == ("https", "example.org", "/jobs", "/tasks/divide")
    assert located(client="::1") == located(client="::ffff:10.1.2.3") == located(client="") == located()


@pytest.mark.parametrize("settings", [{}, {"trusted_proxies": ""}, {"host": "0.0.0.0"}])
def test_headers_of_an_untrusted_client_are_ignored(settings: dict[str, str]) -> None:
    assert located(client=STRANGER, **settings) == tuple(ARRIVED)


def test_a_server_on_a_platform_trusts_only_the_scheme() -> None:
    location = located(client=STRANGER, trusted_proxies="", host="0.0.0.0")
    assert location == ("https", "inner:8000", "", "/tasks/divide")


def test_the_last_of_several_values_counts_and_a_malformed_one_does_not() -> None:
    forwarded = Forwarded("/evil, /jobs/", "evil.example, example.org", "http, https")
    assert located(forwarded) == located()
    for prefix in ("//evil.example", "jobs", "/a b", "/a?b", "/"):
        assert located(Forwarded(prefix))[2] == ""
    assert located(Forwarded(host="evil.example/path", proto="ftp")) == tuple(ARRIVED)


def test_the_prefix_is_removed_once_unless_it_is_one_of_our_paths() -> None:
    assert located(arrived=ARRIVED._replace(path="/jobs/tasks/divide"))[3] == "/tasks/divide"
    assert located(arrived=ARRIVED._replace(path="/jobs"))[3] == "/"
    assert located(arrived=ARRIVED._replace(path="/jobsearch"))[3] == "/jobsearch"
    assert located(Forwarded("/tasks")) == ("http", "inner:8000", "/tasks", "/tasks/divide")


def test_a_proxys_prefix_is_added_before_a_dispatchers_prefix() -> None:
    mounted = ARRIVED._replace(prefix="/jobs")
    assert located(arrived=mounted)[2] == "/jobs"
    assert located(Forwarded("/outer"), arrived=mounted)[2] == "/outer/jobs"


def test_the_public_url_overrides_proxy_and_request() -> None:
    location = located(arrived=ARRIVED._replace(prefix="/inner"), public_url="https://jobs.example.org/a/b/")
    assert location == ("https", "jobs.example.org", "/a/b", "/tasks/divide")


def test_header_fields_become_absolute_urls_once() -> None:
    base = base_url("https", "example.org:443", "/jobs")
    fields = {"Location": "/tasks/1", "Link": '</tasks?cursor=2>; rel="next"', "ETag": "/x"}
    for _ in range(2):
        make_absolute(fields, base)
    assert fields == {
        "Location": "https://example.org/jobs/tasks/1",
        "Link": '<https://example.org/jobs/tasks?cursor=2>; rel="next"',
        "ETag": "/x",
    }


@pytest.mark.parametrize(
    ("address", "within"),
    [
        ("10.1.2.3", True),
        ("::ffff:10.1.2.3", True),
        ("192.0.2.1", True),
        ("192.0.2.2", False),
        ("", False),
        ("x", False),
    ],
)
def test_an_address_is_within_a_network_or_is_the_address_itself(address: str, within: bool) -> None:
    assert is_within(address, ["10.0.0.0/8", "192.0.2.1"]) is within
