"""`coatcheck`: run everything, one process, or an administrator's command.

run.py        `coatcheck run`: an embedded Valkey where REDIS_URL is unset, then the Procfile's own lines
keys.py       `coatcheck keys`: make, list and revoke API keys
valkey.py, processes.py, orphan_guard.py, welcome.py   parts of `run`
"""
