"""Sends e-mail to many recipients, each with their own text.

    tasks        the task and its parameters
    addresses    e-mail addresses, with or without a display name
    recipients   the recipients: a list, or an uploaded CSV
    templates    subject, text, HTML and unsubscribe addresses with each recipient's fields
    messages     builds a message
    server       SMTP_URL, and one connection to that server
    delivery     sends to the recipients, and records the state of each
    settings     the mail server, and the allowed senders

Each message that the server has accepted is recorded as a checkpoint before the next one is sent. One gap remains,
between the server's answer and that record: after a worker is killed there, the recipient gets the message again, with
the same Message-ID, so that a mail server or a mail program can recognize the copy.
"""

from server.tasks.mail import errors as errors
from server.tasks.mail.tasks import send_email

__all__ = ["send_email"]
