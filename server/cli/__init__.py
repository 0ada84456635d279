"""The `coatcheck` command: run everything, run one process, or administer the server.

run.py        `coatcheck run`: an embedded Valkey if REDIS_URL is not set, then the Procfile's lines
keys.py       `coatcheck keys`: create, list and revoke API keys
doctor.py     `coatcheck doctor`: check settings, Redis and files, and say what to change
valkey.py, processes.py, orphan_guard.py   parts of `run`
"""
