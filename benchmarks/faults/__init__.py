"""Hundreds of faults, on this server and on plain Celery: `make faults` writes `benchmarks/faults.md`.

sides.py    the two set-ups, which differ only in the commands that are started
parts.py    the faults: what each one does, and what is counted
soak.py     many tasks, and the memory, connections and keys that they leave
report.py   the page with all figures
"""
