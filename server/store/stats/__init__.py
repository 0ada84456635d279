"""Figures: counters, throughput, hourly statistics, and what arrives, waits and ends by task type and owner."""

from server.store.stats.counters import DAY_STEP, ENDS, Counters, DayStats, Ends, HourlyStats, Queues, Throughput, reads
from server.store.stats.flow import OTHERS, STEPS, Flow, Flows, FlowStats, Range, percentile

__all__ = [
    "DAY_STEP",
    "ENDS",
    "OTHERS",
    "STEPS",
    "Counters",
    "DayStats",
    "Ends",
    "Flow",
    "FlowStats",
    "Flows",
    "HourlyStats",
    "Queues",
    "Range",
    "Throughput",
    "percentile",
    "reads",
]
