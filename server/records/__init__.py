"""The record of each task: the truth that web, worker, Celery's own tools and the sweeper read and write.

states.py    the states, in our words and Celery's
record.py    the hash, field by field
lua/         every change, each one script
store.py     the life of a task        upkeep.py  what workers and the sweeper do
figures.py   counters                  webhooks.py  which are still to be delivered
timetable.py schedules, and their next ticks       traffic.py  what ended in the last day, and what runs
"""

from server.records.figures import figures
from server.records.intake import IdempotencyKey, Intake, Order, Receipt, intake, rate_limit
from server.records.listing import Filter, Listing, Page, listing
from server.records.record import (
    DEFAULT_QUEUE,
    FREE,
    NO_MESSAGE,
    PRIORITIES,
    EarlierRun,
    Message,
    NewTask,
    Record,
    Throttle,
)
from server.records.states import Ending, Status
from server.records.store import Entry, Records, Run, records
from server.records.timetable import Stored, Tick, Timetable, timetable
from server.records.upkeep import Upkeep, upkeep

__all__ = [
    "DEFAULT_QUEUE",
    "FREE",
    "NO_MESSAGE",
    "PRIORITIES",
    "EarlierRun",
    "Ending",
    "Entry",
    "Filter",
    "IdempotencyKey",
    "Intake",
    "Listing",
    "Message",
    "NewTask",
    "Order",
    "Page",
    "Receipt",
    "Record",
    "Records",
    "Run",
    "Status",
    "Stored",
    "Throttle",
    "Tick",
    "Timetable",
    "Upkeep",
    "figures",
    "intake",
    "listing",
    "rate_limit",
    "records",
    "timetable",
    "upkeep",
]
