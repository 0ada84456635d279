"""The states of a task: our words, and Celery's for the same."""

from enum import StrEnum


class Status(StrEnum):
    """What `status` says on the wire."""

    SCHEDULED = "scheduled"
    QUEUED = "queued"
    RUNNING = "running"
    RETRYING = "retrying"
    CANCELING = "canceling"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELED = "canceled"

    @property
    def done(self) -> bool:
        """Whether the task has ended."""
        return self in (Status.SUCCEEDED, Status.FAILED, Status.CANCELED)

    @property
    def celery_state(self) -> str:
        """Celery's name for it, as `AsyncResult.state` gives it."""
        return _CELERY_STATES[self]


_CELERY_STATES = {
    Status.SCHEDULED: "PENDING",
    Status.QUEUED: "PENDING",
    Status.RUNNING: "STARTED",
    Status.RETRYING: "RETRY",
    Status.CANCELING: "STARTED",
    Status.SUCCEEDED: "SUCCESS",
    Status.FAILED: "FAILURE",
    Status.CANCELED: "REVOKED",
}


class Ending(StrEnum):
    """How a run ended that another one follows."""

    #: Its function failed, and is tried again.
    FAILED = "failed"
    #: Its process died under it.
    CRASHED = "crashed"
    #: Its worker fell silent.
    LOST = "lost"
    #: Its worker was stopped, and gave it back.
    HANDED_BACK = "handed_back"
