"""A real SMTP server whose behavior depends on the recipient's name.

never@…     550 always                         later2@…   451 twice, then accepted
drop@…      the first connection breaks in the middle of the data, then accepted
full@…      552 after the data                 hold@…     its first RCPT waits until the test releases it
nodata@…    451 at DATA the first time, then accepted

A second MAIL before the transaction has ended gets a 503, as from real servers.
"""

import base64
import contextlib
import datetime
import email
import email.policy
import re
import socket
import socketserver
import ssl
import threading
from collections import Counter
from email.message import EmailMessage
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


class MailServer(socketserver.ThreadingTCPServer):
    """Listens on its own port. `login` is `(user, password)`, `certificate` a file for TLS."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(
        self,
        *,
        login: tuple[str, str] | None = None,
        certificate: Path | None = None,
        tls_at_once: bool = False,
        extensions: tuple[str, ...] = (),
    ) -> None:
        super().__init__(("127.0.0.1", 0), _Session)
        self.port = int(self.server_address[1])
        self.login = login
        self.tls: ssl.SSLContext | None = None
        if certificate:
            self.tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            self.tls.load_cert_chain(certificate)
        self.tls_at_once = tls_at_once
        self.extensions = extensions
        self.senders: list[str] = []
        self.raw: list[bytes] = []
        self.accepted: list[tuple[str, EmailMessage]] = []
        self.offers: Counter[str] = Counter()
        self.secure: list[bool] = []
        self.holding, self.let_go = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    def __enter__(self) -> "MailServer":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.let_go.set()
        self.shutdown()
        self.server_close()
        self._thread.join()

    def got(self) -> Counter[str]:
        """Return how many messages were accepted for each recipient."""
        return Counter(to for to, _ in self.accepted)

    def message(self, to: str) -> EmailMessage:
        """Return the message accepted for a recipient."""
        return next(message for each, message in self.accepted if each == to)


class _Session(socketserver.BaseRequestHandler):
    server: MailServer

    def handle(self) -> None:
        with contextlib.suppress(OSError, ssl.SSLError):
            self._talk()

    def _talk(self) -> None:
        secure = self.server.tls_at_once
        sock: socket.socket = self._wrapped(self.request) if secure else self.request
        self._open(sock)
        self._say("220 mail.test ready")
        logged_in, to, open_ = self.server.login is None, list[str](), False
        while line := self._lines.readline().decode().rstrip("\r\n"):
            verb, _, rest = line.partition(" ")
            match verb.upper():
                case "EHLO":
                    offers = ["STARTTLS"] if self.server.tls and not secure else []
                    offers += ["AUTH PLAIN"] if self.server.login else []
                    names = ["mail.test", *offers, *self.server.extensions, "SIZE 1000000"]
                    self._say(*(f"250{'-' if at < len(names) - 1 else ' '}{name}" for at, name in enumerate(names)))
                case "STARTTLS":
                    self._say("220 go on")
                    sock, secure = self._wrapped(sock), True
                    self._open(sock)
                case "AUTH":
                    login = tuple(base64.b64decode(rest.split()[1]).decode().split("\0")[1:])
                    logged_in = login == self.server.login
                    self._say("235 welcome" if logged_in else f"535 5.7.8 no such login: {login[0]} {login[1]}")
                case "MAIL":
                    if not logged_in or open_:
                        self._say("530 5.7.0 log in first" if not logged_in else "503 5.5.1 nested MAIL")
                        continue
                    to, open_ = [], True
                    self.server.senders.append(re.search("<(.*)>", rest)[1])  # type: ignore[index]
                    self._say("250 ok")
                case "RCPT":
                    one = re.search("<(.*)>", rest)[1]  # type: ignore[index]
                    verdict = self._verdict(one)
                    to += [one] if verdict.startswith("250") else []
                    self._say(verdict)
                case "DATA" if to[0].startswith("nodata") and self.server.offers[to[0]] == 1:
                    self._say("451 4.3.0 try again")
                case "DATA":
                    if not self._accept(sock, to, secure):
                        return
                    open_ = False
                case "RSET":
                    open_ = False
                    self._say("250 ok")
                case "QUIT":
                    self._say("221 bye")
                    return
                case _:
                    self._say("250 ok")

    def _verdict(self, to: str) -> str:
        offers = self.server.offers
        offers[to] += 1
        if to.startswith("hold") and offers[to] == 1:
            self.server.holding.set()
            self.server.let_go.wait(60)
        if to.startswith("never"):
            return "550 5.1.1 nobody here by that name"
        if (later := re.match(r"later(\d+)", to)) and offers[to] <= int(later[1]):
            return "451 4.7.1 greylisted, come back"
        return "250 ok"

    def _accept(self, sock: socket.socket, to: list[str], secure: bool) -> bool:
        self._say("354 go on")
        lines: list[bytes] = []
        while (line := self._lines.readline()) not in (b".\r\n", b""):
            lines.append(line.removeprefix(b"."))
            if to[0].startswith("drop") and self.server.offers[to[0]] == 1 and len(lines) == 3:
                sock.shutdown(socket.SHUT_RDWR)
                return False
        if to[0].startswith("full"):
            self._say("552 5.2.2 mailbox full")
            return True
        parsed: Any = email.message_from_bytes(b"".join(lines), policy=email.policy.default)
        self.server.accepted += [(each, parsed) for each in to]
        self.server.raw.append(b"".join(lines))
        self.server.secure.append(secure)
        self._say("250 taken")
        return True

    def _wrapped(self, sock: socket.socket) -> ssl.SSLSocket:
        assert self.server.tls
        return self.server.tls.wrap_socket(sock, server_side=True)

    def _open(self, sock: socket.socket) -> None:
        self._sock, self._lines = sock, sock.makefile("rb")

    def finish(self) -> None:
        """Close everything, so that the garbage collector has nothing to warn about."""
        with contextlib.suppress(OSError, AttributeError):
            self._lines.close()
            self._sock.close()

    def _say(self, *lines: str) -> None:
        self._sock.sendall("".join(f"{line}\r\n" for line in lines).encode())


def make_certificate(folder: Path) -> Path:
    """A certificate for 127.0.0.1 with its key, in one file that is its own authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "mail.test")])
    now = datetime.datetime.now(datetime.UTC)
    tomorrow = now + datetime.timedelta(days=1)
    names = x509.SubjectAlternativeName([x509.DNSName("localhost")])
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now, tomorrow)
    builder = builder.add_extension(names, critical=False)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    file = folder / "certificate.pem"
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    file.write_bytes(key.private_bytes(*form) + builder.sign(key, hashes.SHA256()).public_bytes(form[0]))
    return file
