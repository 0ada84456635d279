"""The Gunicorn worker: one asyncio loop holds every connection, and the application runs in threads.

worker.py      the worker class: signals, heartbeats, stopping
server.py      state shared by all connections: accepting, rounds, stopping
connection.py  one client; answering.py: its answers; parking.py: its long polls
slow_clients.py  the progress of a connection's client; deadlines.py: connections that exceed a time limit
http1/         HTTP/1.1 without a network: strict heads, chunked bodies, the states of a connection
wsgi/          calls the WSGI application in threads
polls.py       requests that need no thread; status_cache.py: the task records that answer them
submits.py     small submits, stored in groups
notifier.py    task changes published by Redis
shared_counts.py  counts of all processes in shared memory: slots for waiting requests, and connections
"""
