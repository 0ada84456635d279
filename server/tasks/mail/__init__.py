"""Mail to many, each with a text of their own.

    tasks        the task and its parameters
    addresses    e-mail addresses, with or without a display name
    recipients   the recipients: a list, or an uploaded CSV
    templates    subject, text, HTML and unsubscribe addresses with each recipient's fields
    messages     a message as it is sent
    server       SMTP_URL, and one conversation with that server
    delivery     the state of every recipient
    settings     the mail server, and who may be the sender

A message that the server has accepted is noted beside the task's record before the next one is begun. What is left
is the moment between the server's answer and that note: a worker killed there writes to that one recipient again,
under the same Message-ID, by which a mail server or a reader can tell the two apart from two messages.
"""

from server.tasks.mail import errors as errors
from server.tasks.mail.tasks import send_email

__all__ = ["send_email"]
