"""Speed of this server, compared with the usual alternatives: `make bench` writes `benchmarks/RESULTS.md`.

figures.py     medians, ratios within a round, goals
sides.py       the set-ups: this server, Flask and FastAPI as in tutorials, Flower
load.py        wrk and its output (request.lua: its requests)
web.py         submits, polls, batches
queue.py       tasks per second, time from submit to the end
images.py      CPU per image, compared with libvips and Pillow; pictures.py: test images and their similarity
memory.py      idle, per waiting client, per record
growth.py      latency with many records and with a long queue
report.py      the page; drawing.py: its charts
"""
