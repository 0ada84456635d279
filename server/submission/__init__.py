"""From a validated request to a stored task: uploads to the blob store, then record and message in one step.

options.py    how to run a task
incoming.py   the uploads of a submit
submit.py     one submit, and a new one from the stored request of an old one
storing.py    records and messages of any number of tasks, in one step
"""

from server.submission.options import Options
from server.submission.storing import first_record, store_and_publish
from server.submission.submit import Accepted, Submission, retry

__all__ = ["Accepted", "Options", "Submission", "first_record", "retry", "store_and_publish"]
