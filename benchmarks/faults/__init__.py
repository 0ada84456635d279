"""Faults by the hundred, ours beside plain Celery: `make faults` writes `benchmarks/faults.md`.

sides.py    the two set-ups, which differ in nothing but what is started
parts.py    the faults: what is done to a side, and what is counted
soak.py     many tasks, and what they leave behind
report.py   the page
"""
