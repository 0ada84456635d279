"""The Gunicorn worker: one asyncio loop holds every connection, and the application runs in threads.

worker.py      the worker class: signals, heartbeats, stopping
server.py      what connections share: accepting, rounds, stopping
connection.py  one client; answering.py: its answers; parking.py: its waits
pace.py        whether a client keeps up; deadlines.py: who is overdue
http1/         HTTP/1.1 without a network: strict heads, chunked bodies, the states of a connection
wsgi/          a request's way through the application, in threads
polls.py       requests that need no thread; status_cache.py: what they are answered from
submits.py     small submits, stored in groups
notifier.py    what Redis publishes of tasks; places.py: how many requests wait in all processes
"""
