"""Hundreds of faults, on this server and on plain Celery: `make faults` writes `benchmarks/faults.md`.

sides.py       the two set-ups, which differ only in the commands that are started
fault_runs.py  causes one fault repeatedly, and follows every accepted task to its end
scenarios/     the faults: one module for each, with its cause
soak.py        many tasks, and the memory, connections and keys that they leave
report.py      the page with all figures
"""
