"""Mail through a real SMTP server that misbehaves."""

import base64
import email
import email.policy
import json
import signal
from collections.abc import Iterator
from email.header import decode_header, make_header
from email.utils import getaddresses
from pathlib import Path
from typing import Any

import pytest
from harness import Service
from mail_server import MailServer, make_certificate

FROM = "Shop <shop@example.org>"


@pytest.fixture(scope="module")
def server() -> Iterator[MailServer]:
    with MailServer() as mail_server:
        yield mail_server


@pytest.fixture(scope="module")
def mailing(server: MailServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service whose mail goes to the server."""
    settings = {"SMTP_URL": f"smtp://127.0.0.1:{server.port}", "MAIL_FROM": FROM}
    with Service(tmp_path_factory.mktemp("post"), **settings) as service:
        yield service.start()


def send(service: Service, *recipients: Any, seconds: float = 15, **fields: Any) -> dict[str, Any]:
    """The result of a mailing by JSON."""
    letter = {"subject": "Hello", "text": "Hi", "rate": 100, **fields}
    result: dict[str, Any] = service.result(service.submit("send_email", recipients=recipients, **letter), seconds)
    return result


def failure(service: Service, **fields: Any) -> dict[str, Any]:
    ended = service.wait_for(service.submit("send_email", **{"subject": "x", "text": "x", **fields}))
    assert ended["status"] == "failed", ended
    error: dict[str, Any] = ended["error"]
    return error


def test_each_recipient_gets_their_own_text(mailing: Service, server: MailServer) -> None:
    ada = {"email": "ada@example.org", "fields": {"name": "Ada <3", "first name": "A"}}
    result = send(
        mailing,
        ada,
        {"email": "bob@bücher.example", "fields": {"name": "Bob", "first name": "B"}},
        subject="For {{ name }} ✓",
        text='{{ fields["first name"] }}, {{ email }}\n.\nend',
        html="<b>{{ name }}</b>",
        attachments=[{"data": "aGVsbG8=", "filename": "../../ä b.txt", "media_type": "text/plain"}],
    )
    assert (result["sent"], result["refused"], result["to_do"]) == (2, 0, 0)
    message = server.message("ada@example.org")
    assert (message["To"], message["From"], message["Subject"]) == ("ada@example.org", FROM, "For Ada <3 ✓")
    text, html = message.get_body(("plain",)), message.get_body(("html",))
    assert text and html
    assert text.get_content().split() == ["A,", "ada@example.org", ".", "end"]
    assert html.get_content().strip() == "<b>Ada &lt;3</b>"
    [file] = message.iter_attachments()
    assert (file.get_filename(), file.get_content()) == ("ä b.txt", "hello")
    assert server.message("bob@xn--bcher-kva.example")["Subject"] == "For Bob ✓"


def test_long_texts_beyond_ascii_keep_their_spaces_in_headers(mailing: Service, server: MailServer) -> None:
    subject = "fällig 15. kaufen! … Angebot/Änderung 😀 für „XL“ 株式会社 für März"
    name = "Abt. François & 田中 & Größe-Öl 株式会社 Müller, 田中"
    copies = ["Jürgen Müller <copy@example.org>", "Ada <second@example.org>"]
    send(mailing, {"email": "una@example.org", "name": name}, subject=subject, cc=copies, headers={"X-Text": subject})
    raw = next(each for each in server.raw if b"<una@" in each)
    headers = email.message_from_bytes(raw, policy=email.policy.compat32)
    assert [decoded(headers[each]) for each in ("Subject", "X-Text")] == [subject, subject]
    addresses = [(decoded(text), address) for text, address in getaddresses([headers["To"], headers["Cc"]])]
    assert addresses == [
        (name, "una@example.org"), ("Jürgen Müller", "copy@example.org"), ("Ada", "second@example.org")
    ]  # fmt: skip
    assert max(map(len, raw.split(b"\r\n"))) <= 100


def decoded(text: str) -> str:
    return str(make_header(decode_header(text)))


def test_recipients_come_from_a_csv(mailing: Service, server: MailServer) -> None:
    data = "Name;Email\nCleo;cleo@example.org\nDirk;dirk at home\n".encode("utf-16")
    answer = mailing.http.post(
        "/tasks/send_email",
        files=[("recipients_csv", ("who.csv", data, "text/csv")), ("attachments", ("a.bin", b"\x00\xff"))],
        data={"subject": "{{ Name }}", "text": "{{ Name }}", "rate": "100"},
    )
    result = mailing.result(answer.json()["task_id"])
    assert [one["status"] for one in result["recipients"]] == ["sent", "refused"]
    assert result["recipients"][1] == {
        "recipient": "dirk at home", "status": "refused", "tries": 0,
        "message": "This is not an e-mail address such as ada@example.org or Ada <ada@example.org>.",
    }  # fmt: skip
    message = server.message("cleo@example.org")
    assert message["Subject"] == "Cleo"
    assert [part.get_content() for part in message.iter_attachments()] == [b"\x00\xff"]


def test_a_permanent_refusal_is_final_and_quotes_the_server(mailing: Service, server: MailServer) -> None:
    result = send(mailing, "never@example.org", "full@example.org", "eve@example.org")
    assert (result["sent"], result["refused"]) == (1, 2)
    assert [one["message"] for one in result["recipients"]] == [
        "550 5.1.1 nobody here by that name",
        "552 5.2.2 mailbox full",
        None,
    ]
    assert server.offers["never@example.org"] == 1


def test_a_temporary_refusal_and_a_dropped_connection_are_retried(mailing: Service, server: MailServer) -> None:
    people = ["later1@example.org", "drop@example.org", "finn@example.org", "never2@example.org"]
    task_id = mailing.submit("send_email", subject="x", text="x\n" * 50, recipients=people, rate=100)
    waiting = mailing.wait_for(task_id, "retrying")
    assert waiting["error"]["type"] == "/problems/mail-deferred"
    assert waiting["error"]["detail"].startswith("2 of 4 are still to do; again in 2 s.")
    result = mailing.result(task_id)
    assert (result["sent"], result["refused"], result["to_do"]) == (3, 1, 0)
    assert [one["tries"] for one in result["recipients"]] == [2, 2, 1, 1]
    assert [server.got()[one] for one in people] == [1, 1, 1, 0]


def test_a_retry_by_the_client_sends_only_refused_messages_again(mailing: Service, server: MailServer) -> None:
    task_id = mailing.submit("send_email", subject="x", text="x", recipients=["never3@example.org", "jo@example.org"])
    mailing.result(task_id)
    again = mailing.result(mailing.http.post(f"/tasks/{task_id}/retry").json()["task_id"])
    assert [one["status"] for one in again["recipients"]] == ["refused", "sent"]
    assert (server.offers["never3@example.org"], server.offers["jo@example.org"]) == (2, 1)


def test_a_retry_with_other_recipients_knows_by_address_who_has_got_the_message(
    mailing: Service, server: MailServer
) -> None:
    task_id = mailing.submit("send_email", subject="x", text="x", recipients=["zita@example.org", "never4@example.org"])
    mailing.result(task_id)
    changed = {"input": {"recipients": ["zeno@example.org", "Zita@example.org"]}}
    again = mailing.result(mailing.http.post(f"/tasks/{task_id}/retry", json=changed).json()["task_id"])
    assert (again["sent"], [one["tries"] for one in again["recipients"]]) == (2, [1, 1])
    assert (server.got()["zeno@example.org"], server.got()["zita@example.org"]) == (1, 1)
    assert not server.offers["Zita@example.org"]


@pytest.mark.parametrize(
    ("fields", "type_", "message"),
    [
        ({"subject": "{{ nope }}"}, "mail-template", "The subject for gus@example.org: 'nope' is undefined"),
        ({"text": "a\n{% if %}"}, "mail-template", "The text, line 2:"),
        ({"text": "{{ ''.__class__.__mro__ }}"}, "mail-template", "unsafe"),
        ({"text": "{{ 9 ** 9 ** 9 }}"}, "mail-template", "does not work in a template"),
        ({"text": "{% include '/etc/passwd' %}"}, "mail-template", "Nothing was sent"),
        (
            {"subject": "Hi {{ n }}", "recipients": [{"email": "gus@example.org", "fields": {"n": "x\r\nBcc: a@b.c"}}]},
            "mail-template",
            "would have a line break",
        ),
    ],
)
def test_a_message_that_cannot_be_sent_is_a_clear_error_and_nothing_is_sent(
    mailing: Service, server: MailServer, fields: dict[str, Any], type_: str, message: str
) -> None:
    error = failure(mailing, **{"recipients": ["hal@example.org", "gus@example.org"][1:], **fields})
    assert error["type"] == f"/problems/{type_}"
    assert message in error["detail"]
    assert server.offers["gus@example.org"] == 0


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"subject": "a\r\nBcc: eve@example.org"}, "The subject is one line"),
        ({"recipients": ["a@example.org\r\nBcc: eve@example.org"]}, "not an e-mail address such as ada@example.org"),
        ({"recipients": ["a@example.org, eve@example.org"]}, "not an e-mail address"),
        ({"recipients": ['"a\r\nBcc: eve@x.y" <a@example.org>']}, "not an e-mail address"),
        ({"reply_to": "nobody"}, "not an e-mail address"),
        ({"headers": {"X-A": "a\r\nBcc: eve@x.y"}}, "its value is one line"),
        ({"headers": {"bcc": "eve@example.org"}}, "The header bcc cannot be set here"),
        ({"recipients": []}, "at least 1 item"),
        ({"rate": 0}, "greater than 0"),
        ({"text": None}, "Give `text`, `html` or both"),
        ({"recipients": None}, "Give either `recipients` or `recipients_csv`"),
        ({"recipients_csv": {"data": "ZW1haWwKYUBiLmM="}}, "Give either `recipients` or `recipients_csv`"),
        ({"recipients": ["a@example.org"] * 200, "rate": 0.01}, "raise `rate`"),
    ],
)
def test_invalid_input_is_refused_before_the_task_is_queued(
    mailing: Service, fields: dict[str, Any], message: str
) -> None:
    letter = {"subject": "x", "text": "x", "recipients": ["a@example.org"], **fields}
    answer = mailing.http.post("/tasks/send_email", json=letter)
    assert answer.status_code == 422
    assert message in answer.json()["errors"][0]["msg"]


def test_a_message_has_the_headers_of_a_mailing(mailing: Service, server: MailServer) -> None:
    send(
        mailing,
        {"email": "kim@example.org", "name": "Kim Ü", "fields": {"id": "a b"}},
        "Lee, Jr <lee@example.org>",
        sender="News <news@example.org>",
        reply_to="Help <help@example.org>",
        cc=["Boss <boss@example.org>", "lee@example.org"],
        bcc=["archive@example.org"],
        headers={"X-Campaign": "spring"},
        unsubscribe_url="https://example.org/u/{{ fields.id | default('x') | urlencode }}",
        unsubscribe_mail="off+{{ email | urlencode }}@example.org",
    )
    kim = server.message("kim@example.org")
    assert b"\r\nList-Unsubscribe: <https://example.org/u/" in b"".join(server.raw)
    assert (kim["From"], kim["To"], kim["Reply-To"]) == (
        "News <news@example.org>", "Kim Ü <kim@example.org>", "Help <help@example.org>"
    )  # fmt: skip
    assert (kim["Cc"], kim["Bcc"]) == ("Boss <boss@example.org>, lee@example.org", None)
    assert kim["X-Campaign"] == "spring"
    assert kim["List-Unsubscribe"] == "<https://example.org/u/a%20b>, <mailto:off+kim%40example.org@example.org>"
    assert kim["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    got = server.got()
    assert (got["boss@example.org"], got["archive@example.org"], got["lee@example.org"]) == (2, 2, 2)
    assert "news@example.org" in server.senders


def test_a_refused_copy_is_reported_and_the_message_is_still_sent(mailing: Service, server: MailServer) -> None:
    [one] = send(mailing, "max@example.org", cc=["never7@example.org"])["recipients"]
    assert one["status"] == "sent"
    assert one["message"] == "No copy to never7@example.org: 550 5.1.1 nobody here by that name"


def test_a_refused_recipient_sends_no_copies(mailing: Service, server: MailServer) -> None:
    send(mailing, "never8@example.org", bcc=["quiet@example.org"])
    assert server.got()["quiet@example.org"] == 0


def test_a_repeated_address_gets_one_message(mailing: Service, server: MailServer) -> None:
    result = send(mailing, "nia@example.org", "Nia <NIA@example.org>", "ole@example.org")
    assert [one["status"] for one in result["recipients"]] == ["sent", "duplicate", "sent"]
    assert (result["sent"], result["duplicates"]) == (2, 1)
    assert server.got()["nia@example.org"] == 1


def test_a_dry_run_returns_what_would_be_sent_and_sends_nothing(mailing: Service, server: MailServer) -> None:
    people = [{"email": f"dry{n}@example.org", "fields": {"n": n}} for n in range(60)]
    before = len(server.accepted)
    result = send(
        mailing, *people, "DRY0@example.org", subject="For {{ n }}", html="<b>{{ n }}</b>", bcc=["x@example.org"],
        attachments=[{"data": "aGk=", "filename": "a.txt"}], dry_run=True,
    )  # fmt: skip
    assert len(server.accepted) == before
    assert (result["to_do"], result["duplicates"], result["sent"], len(result["previews"])) == (60, 1, 0, 50)
    first = result["previews"][1]
    assert (first["recipient"], first["copies"], first["text"], first["html"]) == (
        "dry1@example.org", ["x@example.org"], "Hi", "<b>1</b>"
    )  # fmt: skip
    assert (first["headers"]["Subject"], first["headers"]["From"], first["attachments"]) == ("For 1", FROM, ["a.txt"])


def test_another_sender_must_be_allowed_by_the_setting(mailing: Service) -> None:
    error = failure(mailing, recipients=["a@example.org"], sender="ceo@bank.example")
    assert (error["type"], "MAIL_SENDERS" in error["detail"]) == ("/problems/mail-sender", True)


def test_a_url_to_unsubscribe_is_checked_before_anything_is_sent(mailing: Service, server: MailServer) -> None:
    error = failure(mailing, recipients=["gus@example.org"], unsubscribe_url="http://example.org/{{ email }}")
    assert error["detail"] == "The unsubscribe_url for gus@example.org is not an https URL. Nothing was sent."


@pytest.mark.slow
def test_bodies_are_seven_bit_and_addresses_beyond_ascii_need_smtputf8(tmp_path: Path) -> None:
    with MailServer() as plain, MailServer(extensions=("8BITMIME", "SMTPUTF8")) as able:
        settings = {"SMTP_URL": f"smtp://127.0.0.1:{plain.port}", "MAIL_FROM": FROM}
        with Service(tmp_path, **settings) as service:
            service.start()
            result = send(service, "jörg@example.org", "una@example.org", text="Grüße, 東京\n" + "x" * 2000)
            assert [one["status"] for one in result["recipients"]] == ["refused", "sent"]
            assert "SMTPUTF8" in result["recipients"][0]["message"]
            assert plain.raw[0].isascii()
            assert max(map(len, plain.raw[0].split(b"\r\n"))) <= 998
            body = plain.message("una@example.org").get_body()
            assert body and body.get_content().startswith("Grüße, 東京")
            service.workers[0].signal(signal.SIGTERM)
            service.start_worker(SMTP_URL=f"smtp://127.0.0.1:{able.port}")
            service.workers[0].wait()
            assert send(service, "jörg@bücher.example")["sent"] == 1
            assert able.message("jörg@xn--bcher-kva.example")["To"] == "jörg@xn--bcher-kva.example"


def test_after_an_error_at_the_data_the_next_message_is_sent(mailing: Service, server: MailServer) -> None:
    task_id = mailing.submit("send_email", subject="x", text="x", recipients=["nodata@example.org", "pia@example.org"])
    assert mailing.result(task_id)["sent"] == 2


def test_a_csv_with_too_many_recipients_for_the_rate_is_a_clear_error(mailing: Service) -> None:
    rows = base64.b64encode(b"email\n" + b"gus@example.org\n" * 200).decode()
    error = failure(mailing, recipients=None, recipients_csv={"data": rows}, rate=0.01)
    assert error["type"] == "/problems/mail-recipients"
    assert "raise `rate`" in error["detail"]


def test_without_a_mail_server_the_error_names_the_setting(service: Service) -> None:
    error = failure(service, recipients=["a@example.org"])
    assert error["type"] == "/problems/mail-not-configured"
    assert "SMTP_URL" in error["detail"]


@pytest.mark.slow
def test_a_mailing_continues_after_a_worker_was_killed(tmp_path: Path) -> None:
    people = [f"p{n}@example.org" for n in range(5)] + ["hold@example.org"] + [f"q{n}@example.org" for n in range(5)]
    with MailServer() as server:
        settings = {"SMTP_URL": f"smtp://127.0.0.1:{server.port}", "MAIL_FROM": FROM, "LEASE_SECONDS": "3"}
        with Service(tmp_path, **settings) as service:
            service.start()
            task_id = service.submit("send_email", subject="x", text="x", recipients=people, rate=100)
            assert server.holding.wait(15)
            service.workers[0].kill()
            server.let_go.set()
            service.start_worker()
            result = service.result(task_id, seconds=30)
            assert result["sent"] == len(people)
            assert server.got() == dict.fromkeys(people, 1)
            assert service.status(task_id)["deliveries"] == 2
            assert service.redis.client.exists(service.keys.checkpoints(task_id))
            again = service.http.post(f"/tasks/{task_id}/retry").json()["task_id"]
            assert service.result(again)["sent"] == len(people)
            assert server.got() == dict.fromkeys(people, 1)
            assert service.http.delete(f"/tasks/{task_id}").status_code == 204
            assert not service.redis.client.exists(service.keys.checkpoints(task_id))


def test_a_mailing_keeps_to_its_rate_and_can_be_canceled(mailing: Service, server: MailServer) -> None:
    people = [f"slow{n}@example.org" for n in range(50)]
    task_id = mailing.submit("send_email", subject="x", text="x", recipients=people, rate=0.5)
    mailing.wait_for(task_id, "running")
    mailing.http.post(f"/tasks/{task_id}/cancel")
    assert mailing.wait_for(task_id)["status"] == "canceled"
    assert sum(server.got()[one] for one in people) <= 2


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["smtp", "smtps"])
def test_the_password_is_sent_only_over_tls(tmp_path: Path, scheme: str) -> None:
    certificate = make_certificate(tmp_path)
    login = ("shop@example.org", "p@ss/word")
    with MailServer(login=login, certificate=certificate, tls_at_once=scheme == "smtps") as server:
        url = f"{scheme}://shop%40example.org:p%40ss%2Fword@localhost:{server.port}"
        with Service(tmp_path, SMTP_URL=url, SSL_CERT_FILE=str(certificate)) as service:
            service.start()
            assert send(service, "ivy@example.org")["sent"] == 1
            assert server.secure == [True]
            assert server.message("ivy@example.org")["From"] == "shop@example.org"
            service.workers[0].signal(signal.SIGTERM)
            service.start_worker(SMTP_URL=url.replace("p%40ss", "wrong%40"), SSL_CERT_FILE=str(certificate))
            service.workers[0].wait()
            error = failure(service, recipients=["ivy@example.org"])
            assert error["type"] == "/problems/mail-login-refused"
            assert "no such login: … …" in error["detail"]
            texts = [service.workers[n].output() for n in (0, 1)] + [json.dumps(error)]
            assert not any("wrong@" in text or "p@ss" in text or "shop%40" in text for text in texts)


@pytest.mark.slow
def test_a_relay_with_its_own_certificate_is_trusted_only_by_a_setting(tmp_path: Path) -> None:
    certificate = make_certificate(tmp_path)
    with (
        MailServer(certificate=certificate) as server,
        Service(tmp_path, SMTP_URL=f"smtp://localhost:{server.port}", MAIL_FROM=FROM) as service,
    ):
        service.start()
        error = failure(service, recipients=["ivy@example.org"])
        assert error["type"] == "/problems/mail-login-refused"
        assert "certificate is not trusted" in error["detail"]
        assert "SMTP_CA_FILE" in error["detail"]
        assert server.accepted == []
        service.workers[0].signal(signal.SIGTERM)
        service.start_worker(SMTP_CA_FILE=str(certificate))
        service.workers[0].wait()
        assert send(service, "ivy@example.org")["sent"] == 1
        assert server.secure == [True]
