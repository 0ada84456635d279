"""Speed of this server, compared with the usual alternatives: `make bench` writes `benchmarks/RESULTS.md`.

plan.py        how much each part measures: the short form and the full one; progress.py: its line on the terminal
ratios.py      medians, ratios within a round, goals
sides.py       the set-ups: this server, Flask and FastAPI as in tutorials, Flower; tasks.py: tasks that do nothing
proc.py        CPU and memory of processes
load.py        wrk and its output (request.lua: its requests)
web.py         submits, polls, batches
clients.py     slow clients and idle connections
queue.py       tasks per second, time from submit to the end
peers.py       the worker compared with those of other libraries
images.py      CPU per image, compared with libvips and Pillow; pictures.py: test images and their similarity
memory.py      idle, per waiting client, per record
store.py       the store alone, on a Valkey
growth.py      latency with many records and with a long queue
report.py      the page; drawing.py: its charts
"""
