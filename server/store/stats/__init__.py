"""Figures: counters, histograms, throughput, hourly statistics, and what arrives, waits and ends by type and owner."""

from server.store.stats.counters import DAY_STEP, ENDS, Counters, DayStats, Ends, HourlyStats, Queues, Throughput, reads
from server.store.stats.flow import OTHERS, STEPS, Flow, Flows, FlowStats, Range, percentile
from server.store.stats.histograms import Histogram, Histograms
from server.store.stats.pauses import Pause, Pauses
from server.store.stats.tally import Tally
from server.store.stats.usage import RedisUsage, Usage

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
    "Histograms",
    "HourlyStats",
    "Pause",
    "Pauses",
    "Queues",
    "Range",
    "RedisUsage",
    "Tally",
    "Throughput",
    "Usage",
    "percentile",
    "reads",
]
