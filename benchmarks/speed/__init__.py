"""This server's speed beside what a user would have instead: `make bench` writes `benchmarks/RESULTS.md`.

figures.py     medians, ratios of one round, what was to be reached
sides.py       the set-ups: this server, Flask and FastAPI as tutorials have them, Flower
load.py        wrk, and what it prints (request.lua: its requests)
web.py         submits, polls, batches
queue.py       tasks drained, from submit to the end
images.py      CPU per image beside libvips and Pillow; pictures.py: what they are made from, and how alike they are
memory.py      at rest, per waiter, per record
growth.py      with many records, with a long queue, and how long a start takes
report.py      the page; drawing.py: its bars
"""
