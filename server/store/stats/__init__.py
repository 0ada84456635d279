"""Figures: counters, histograms, throughput, hourly statistics, and what arrives, waits and ends by type and owner."""

from server.store.stats.counters import (
    DAY_STEP,
    ENDS,
    Counters,
    DayStats,
    Ends,
    Histogram,
    HourlyStats,
    Queues,
    Throughput,
    reads,
)
from server.store.stats.flow import OTHERS, STEPS, Flow, Flows, FlowStats, Range, percentile
from server.store.stats.pauses import Pause, Pauses
from server.store.stats.tally import Tally

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
    "Histogram",
    "HourlyStats",
    "Pause",
    "Pauses",
    "Queues",
    "Range",
    "Tally",
    "Throughput",
    "percentile",
    "reads",
]
