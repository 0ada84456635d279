"""The settings of mail: the mail server, and the allowed senders."""

import ssl

from pydantic import Field, field_validator

from server.settings import Names, TaskSettings, split_url
from server.tasks.mail.addresses import parse


class MailSettings(TaskSettings):
    """The mail server, and the allowed senders."""

    smtp_url: str = Field(
        "",
        description="Mail server for `send_email`: `smtp://user:password@host:587` (STARTTLS) or `smtps://…:465`.",
        repr=False,
    )
    mail_from: str = Field(
        "", description="Sender for `send_email`, such as `Shop <shop@example.org>`. If empty, the user in `SMTP_URL`."
    )
    mail_senders: Names = Field(
        (), description="More senders that `send_email` may use: addresses, domains or `*`, separated by commas."
    )
    smtp_ca_file: str = Field("", description="Certificate of a mail relay, or of its authority, as a PEM file.")

    @field_validator("smtp_url")
    @classmethod
    def _mail_scheme(cls, value: str) -> str:
        parts = split_url(value, "smtp://user:password@host:587")
        if value and (parts.scheme not in ("smtp", "smtps") or not parts.hostname):
            raise ValueError("must be smtp://user:password@host:587 or smtps://user:password@host:465")
        return value

    @field_validator("mail_from")
    @classmethod
    def _is_an_address(cls, value: str) -> str:
        if value:
            parse(value)
        return value

    @field_validator("smtp_ca_file")
    @classmethod
    def _has_certificates(cls, value: str) -> str:
        try:
            if value:
                ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(value)
        except OSError:  # `ssl.SSLError` is one
            raise ValueError(f"{value!r} is not a PEM file with a certificate") from None
        return value
