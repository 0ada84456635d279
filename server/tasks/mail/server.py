"""The mail server of `SMTP_URL`, and a connection to it. No error message contains its address or its password."""

import smtplib
import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import EmailPolicy
from ipaddress import ip_address
from urllib.parse import SplitResult, unquote, urlsplit

from server.sdk.errors import TaskError
from server.tasks.mail.addresses import parse
from server.tasks.mail.settings import MailSettings

#: Seconds to wait for each answer of the server. The one after the data may take long (RFC 5321, section 4.5.3.2).
_TIMEOUT = 60.0

_MAX_REPLY_LENGTH = 300

_PORTS = {"smtp": 587, "smtps": 465}


class Refused(Exception):
    """The server refused one message: permanently (5xx), or temporarily (4xx). The text is its reply."""

    def __init__(self, code: int, reply: str) -> None:
        super().__init__(f"{code} {reply}".strip())
        self.permanent = code >= 500


class Unreachable(Exception):
    """No connection: the server does not answer, it broke off, or the login is refused (`permanent`)."""

    def __init__(self, sentence: str, *, permanent: bool = False) -> None:
        super().__init__(sentence)
        self.permanent = permanent


@dataclass(frozen=True, slots=True)
class Account:
    """The mail server, and the default sender."""

    host: str
    port: int
    tls_first: bool
    sender: Address
    ca_file: str
    user: str = field(repr=False)
    password: str = field(repr=False)

    @property
    def needs_tls(self) -> bool:
        """Return whether the password needs TLS: only a server on this machine may get it without."""
        return bool(self.user) and not self.tls_first and not _is_loopback(self.host)


def account(settings: MailSettings) -> Account:
    """Return the account of the settings.

    Raises:
        TaskError: `mail-not-configured`, with the settings to set.
    """
    url = settings.smtp_url
    if not url:
        raise TaskError(
            "mail-not-configured",
            "No mail server is configured. Set SMTP_URL, such as smtp://user:password@smtp.example.org:587, and "
            "MAIL_FROM for web and worker, and start them again.",
        )
    parts = urlsplit(url)
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    tls_first = parts.scheme == "smtps"
    return Account(
        parts.hostname or "", _port(parts), tls_first, sender(settings), settings.smtp_ca_file, user, password
    )


def sender(settings: MailSettings) -> Address:
    """Return the sender of the settings: `MAIL_FROM`, else the user of `SMTP_URL`.

    Raises:
        TaskError: `mail-not-configured`.
    """
    text = settings.mail_from or unquote(urlsplit(settings.smtp_url).username or "")
    try:
        return parse(text)
    except ValueError:
        raise TaskError(
            "mail-not-configured", "Set MAIL_FROM to the sender, such as Shop <shop@example.org>."
        ) from None


def may_send_as(address: Address, settings: MailSettings) -> bool:
    """Return whether a submit may use this sender: its domain is that of `MAIL_FROM`, or `MAIL_SENDERS` lists it."""
    allowed = {each.casefold().removeprefix("@") for each in settings.mail_senders}
    domain, spec = address.domain.casefold(), address.addr_spec.casefold()
    return domain == sender(settings).domain.casefold() or bool(allowed & {domain, spec, "*"})


def _port(parts: SplitResult) -> int:
    try:
        return parts.port or _PORTS[parts.scheme]
    except ValueError:
        raise TaskError("mail-not-configured", "The port in SMTP_URL is not a number of a port.") from None


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _trust(ca_file: str) -> ssl.SSLContext:
    """Trust the system's authorities, and the certificate or authority in `SMTP_CA_FILE`."""
    context = ssl.create_default_context()
    if ca_file:
        try:
            context.load_verify_locations(ca_file)
        except (OSError, ssl.SSLError):
            raise Unreachable("The certificates in SMTP_CA_FILE cannot be read.", permanent=True) from None
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT  # a relay's own certificate often violates the strict rules
    return context


class Conversation:
    """One connection to the server, opened for the first message and again after it broke."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self._smtp: smtplib.SMTP | None = None

    def send(self, message: EmailMessage, sender: str, to: str, copies: Sequence[str]) -> list[str]:
        """Send a message to a recipient and to the copies' addresses. Return the copies that were refused, with the
        reasons.

        Raises:
            Refused: the server does not accept it for `to`; then no copy is sent.
            Unreachable: it is unknown whether the server accepted it.
        """
        smtp = self._smtp or self._connect()
        try:
            return self._offer(smtp, message, sender, to, copies)
        except smtplib.SMTPResponseException as error:
            raise self._refused(error.smtp_code, error.smtp_error) from None
        except smtplib.SMTPNotSupportedError:
            text = "The mail server lacks SMTPUTF8, which letters beyond ASCII before the @ need."
            raise Refused(553, text) from None
        except (smtplib.SMTPException, OSError) as error:
            self.close()
            raise Unreachable(f"The connection to the mail server broke ({type(error).__name__}).") from None

    def _offer(
        self, smtp: smtplib.SMTP, message: EmailMessage, sender: str, to: str, copies: Sequence[str]
    ) -> list[str]:
        smtp.ehlo_or_helo_if_needed()
        smtp.command_encoding = "ascii"
        options = ["SMTPUTF8"] if isinstance(message.policy, EmailPolicy) and message.policy.utf8 else []
        data = message.as_bytes()
        if smtp.has_extn("size"):
            options.append(f"size={len(data)}")
        _expect(smtp.mail(sender, options))
        _expect(smtp.rcpt(to))
        refused = []
        for each in copies:
            code, reply = smtp.rcpt(each)
            if code >= 300:
                refused.append(f"{each}: {code} {self._harmless(reply)}")
        _expect(smtp.data(data))
        return refused

    def _refused(self, code: int, reply: bytes | str) -> Refused:
        if code == 421 or code < 400 or not self._reset():  # the server is closing down, or its answer is invalid
            self.close()
        return Refused(max(code, 450) if code < 400 else code, self._harmless(reply))

    def _reset(self) -> bool:
        """Prepare for the next message. Return whether the server is ready."""
        try:
            return bool(self._smtp and self._smtp.rset()[0] == 250)
        except (smtplib.SMTPException, OSError):
            return False

    def _harmless(self, reply: bytes | str) -> str:
        text = " ".join((reply.decode("utf-8", "replace") if isinstance(reply, bytes) else reply).split())
        for secret in (self._account.password, self._account.user):
            text = text.replace(secret, "…") if secret else text
        return "".join(c if c.isprintable() else "?" for c in text)[:_MAX_REPLY_LENGTH]

    def _connect(self) -> smtplib.SMTP:
        try:
            smtp = self._smtp = self._greet()
            if self._account.user:
                smtp.login(self._account.user, self._account.password)
            return smtp
        except smtplib.SMTPAuthenticationError as error:
            permanent, reply = error.smtp_code >= 500, self._harmless(error.smtp_error)
            text = f"The mail server refuses the login of SMTP_URL: {error.smtp_code} {reply}"
        except ssl.SSLCertVerificationError as error:
            permanent = True
            text = f"The mail server's certificate is not trusted: {error.verify_message}. See SMTP_CA_FILE."
        except (smtplib.SMTPNotSupportedError, UnicodeEncodeError):
            permanent, text = True, "The mail server does not support the login of SMTP_URL."
        except (smtplib.SMTPException, OSError) as error:
            permanent, text = False, f"The mail server does not answer ({type(error).__name__})."
        self.close()
        raise Unreachable(text, permanent=permanent)

    def _greet(self) -> smtplib.SMTP:
        """Connect, with TLS if the server offers it."""
        mine, tls = self._account, _trust(self._account.ca_file)
        name = mine.sender.domain
        if mine.tls_first:
            return smtplib.SMTP_SSL(mine.host, mine.port, name, timeout=_TIMEOUT, context=tls)
        smtp = smtplib.SMTP(mine.host, mine.port, name, timeout=_TIMEOUT)
        smtp.ehlo_or_helo_if_needed()
        if smtp.has_extn("starttls"):
            smtp.starttls(context=tls)
        elif mine.needs_tls:
            smtp.close()
            raise Unreachable("The mail server offers no STARTTLS: the password is not sent in clear.", permanent=True)
        return smtp

    def close(self) -> None:
        """End the connection, if there is one."""
        smtp, self._smtp = self._smtp, None
        if smtp is not None:
            try:
                smtp.quit()
            except (smtplib.SMTPException, OSError):
                smtp.close()


def _expect(answer: tuple[int, bytes]) -> None:
    """Raise `SMTPResponseException` for an answer that is not a success."""
    code, reply = answer
    if not 200 <= code < 300:
        raise smtplib.SMTPResponseException(code, reply)
