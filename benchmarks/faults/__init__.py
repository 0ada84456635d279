"""Hundreds of faults, on this server and on plain Celery: `make faults` writes `benchmarks/faults.md`.

sides.py    the two set-ups, which differ only in the commands that are started
tally.py    causes one fault again and again, and follows every accepted task to its end
kinds/      the faults: one module for each kind, with its cause
soak.py     many tasks, and the memory, connections and keys that they leave
report.py   the page with all figures
"""
