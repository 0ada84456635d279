"""Counters, histograms, throughput, hourly statistics, and arrivals, waits and ends by type and owner."""

from server.store.stats.counter_buffer import CounterBuffer
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

__all__ = [
    "DAY_STEP",
    "ENDS",
    "OTHERS",
    "STEPS",
    "CounterBuffer",
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
    "Throughput",
    "percentile",
    "reads",
]
