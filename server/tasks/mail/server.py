"""The mail server of `SMTP_URL`, and a conversation with it. Nothing said here holds its address or its password."""

import smtplib
import ssl
from dataclasses import dataclass, field
from email.headerregistry import Address
from email.utils import parseaddr
from ipaddress import ip_address
from types import TracebackType
from typing import Self
from urllib.parse import SplitResult, unquote, urlsplit

from server.sdk.errors import TaskError
from server.tasks.mail.settings import MailSettings

#: Seconds for each answer of the server. The one to the end of the data may take long (RFC 5321, section 4.5.3.2).
_TIMEOUT = 60.0

_LONGEST_WORDS = 300

_PORTS = {"smtp": 587, "smtps": 465}


class Refused(Exception):
    """The server said no to one message: for ever (5xx), or for now (4xx). The text is its words."""

    def __init__(self, code: int, words: str) -> None:
        super().__init__(f"{code} {words}".strip())
        self.permanent = code >= 500


class Unreachable(Exception):
    """There is no conversation: nobody answers, it broke off, or the login is refused (`permanent`)."""

    def __init__(self, sentence: str, *, permanent: bool = False) -> None:
        super().__init__(sentence)
        self.permanent = permanent


@dataclass(frozen=True, slots=True)
class Account:
    """Where mail is handed in, and who sends it."""

    host: str
    port: int
    tls_at_once: bool
    sender: Address
    user: str = field(repr=False)
    password: str = field(repr=False)

    @property
    def needs_tls(self) -> bool:
        """A password goes over the wire in clear to this machine alone."""
        return bool(self.user) and not self.tls_at_once and not _is_loopback(self.host)


def account(settings: MailSettings) -> Account:
    """The one that the settings name.

    Raises:
        TaskError: `mail-not-configured`, with what to set.
    """
    url = settings.smtp_url
    if not url:
        raise TaskError(
            "mail-not-configured",
            "No mail server is configured. Set SMTP_URL, such as smtp://user:password@smtp.example.org:587, and "
            "MAIL_FROM for web and worker, and start them again.",
        )
    parts = urlsplit(url)
    user = unquote(parts.username or "")
    sender = _sender(settings.mail_from or user)
    return Account(
        parts.hostname or "", _port(parts), parts.scheme == "smtps", sender, user, unquote(parts.password or "")
    )


def _port(parts: SplitResult) -> int:
    try:
        return parts.port or _PORTS[parts.scheme]
    except ValueError:
        raise TaskError("mail-not-configured", "The port in SMTP_URL is none.") from None


def _sender(text: str) -> Address:
    name, spec = parseaddr(text)
    try:
        return Address(display_name=name, addr_spec=spec)
    except (ValueError, IndexError, AttributeError):
        pass
    except Exception as error:  # the parser's own errors have no common name
        if type(error).__module__ != "email.errors":
            raise
    raise TaskError("mail-not-configured", "Set MAIL_FROM to the sender, such as Shop <shop@example.org>.")


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class Conversation:
    """One connection to the server, made when the first message goes out and again where it broke."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self._smtp: smtplib.SMTP | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._close()

    def send(self, to: str, message: bytes) -> None:
        """Hand one message in; returning is the server's word that it has taken it.

        Raises:
            Refused: the server's words.
            Unreachable: it cannot be said, or was not heard, whether it has taken it.
        """
        smtp = self._smtp = self._smtp or self._connect()
        try:
            smtp.sendmail(str(self._account.sender.addr_spec), [to], message)
        except smtplib.SMTPRecipientsRefused as error:
            raise self._refused(*error.recipients[to]) from None
        except smtplib.SMTPResponseException as error:
            raise self._refused(error.smtp_code, error.smtp_error) from None
        except (smtplib.SMTPException, OSError) as error:
            self._close()
            raise Unreachable(f"The connection to the mail server broke ({type(error).__name__}).") from None

    def _refused(self, code: int, words: bytes | str) -> Refused:
        if code == 421 or code < 400:  # the server is closing down, or makes no sense
            self._close()
        return Refused(max(code, 450) if code < 400 else code, self._harmless(words))

    def _harmless(self, words: bytes | str) -> str:
        text = " ".join((words.decode("utf-8", "replace") if isinstance(words, bytes) else words).split())
        for secret in (self._account.password, self._account.user):
            text = text.replace(secret, "…") if secret else text
        return "".join(c if c.isprintable() else "?" for c in text)[:_LONGEST_WORDS]

    def _connect(self) -> smtplib.SMTP:
        smtp: smtplib.SMTP | None = None
        try:
            smtp = self._greet()
            if self._account.user:
                smtp.login(self._account.user, self._account.password)
            return smtp
        except smtplib.SMTPAuthenticationError as error:
            _drop(smtp)
            words = self._harmless(error.smtp_error)
            said = f"The mail server refuses the login of SMTP_URL: {error.smtp_code} {words}"
            raise Unreachable(said, permanent=error.smtp_code >= 500) from None
        except ssl.SSLCertVerificationError as error:
            _drop(smtp)
            said = f"The mail server's certificate is not to be trusted: {error.verify_message}."
            raise Unreachable(said, permanent=True) from None
        except (smtplib.SMTPNotSupportedError, UnicodeEncodeError):
            _drop(smtp)
            raise Unreachable("The mail server takes no login in the way that SMTP_URL says.", permanent=True) from None
        except (smtplib.SMTPException, OSError) as error:
            _drop(smtp)
            raise Unreachable(f"The mail server does not answer ({type(error).__name__}).") from None

    def _greet(self) -> smtplib.SMTP:
        """Connect, in TLS wherever the server offers it."""
        mine, tls = self._account, ssl.create_default_context()
        name = mine.sender.domain
        if mine.tls_at_once:
            return smtplib.SMTP_SSL(mine.host, mine.port, name, timeout=_TIMEOUT, context=tls)
        smtp = smtplib.SMTP(mine.host, mine.port, name, timeout=_TIMEOUT)
        smtp.ehlo_or_helo_if_needed()
        if smtp.has_extn("starttls"):
            smtp.starttls(context=tls)
        elif mine.needs_tls:
            smtp.close()
            raise Unreachable("The mail server offers no STARTTLS: the password is not sent in clear.", permanent=True)
        return smtp

    def _close(self) -> None:
        _drop(self._smtp)
        self._smtp = None


def _drop(smtp: smtplib.SMTP | None) -> None:
    if smtp is None:
        return
    try:
        smtp.quit()
    except (smtplib.SMTPException, OSError):
        smtp.close()
