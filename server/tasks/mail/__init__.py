"""Mail to many, each with a text of their own.

    tasks        the task, and what it gives back
    recipients   who gets one: a list, or an uploaded CSV
    templates    subject, text and HTML with each recipient's fields
    messages     a message as it is sent
    server       SMTP_URL, and one conversation with that server
    delivery     who has been written to, who refused, who is still to do

A message that the server has accepted is noted beside the task's record before the next one is begun. What is left
is the moment between the server's answer and that note: a worker killed there writes to that one recipient again,
under the same Message-ID, by which a mail server or a reader can tell the two apart from two messages.
"""

from server.tasks.mail import errors as errors
from server.tasks.mail.tasks import send_email

__all__ = ["send_email"]
