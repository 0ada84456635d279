"""The error types of these tasks."""

from server.sdk.errors import ErrorType, register_error_types

register_error_types(
    {
        "mail-not-configured": ErrorType("No mail server is configured", "Set `SMTP_URL` and `MAIL_FROM`."),
        "mail-recipients": ErrorType("The recipients cannot be read", "The detail names the wrong ones."),
        "mail-sender": ErrorType("The sender is not allowed", "Use the domain of `MAIL_FROM`; or see `MAIL_SENDERS`."),
        "mail-template": ErrorType(
            "A template cannot be filled in", "The detail names the place. No message was sent."
        ),
        "mail-login-refused": ErrorType("The mail server refuses the login", "Check `SMTP_URL`; no message was sent."),
        "mail-server-unreachable": ErrorType(
            "The mail server does not answer", "Try again later; no message was sent."
        ),
        "mail-deferred": ErrorType("Some recipients are still to do", "The task retries them automatically."),
    }
)
