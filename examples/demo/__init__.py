"""A shop for `make demo`: its tasks, two days of history, and new tasks while the demo runs."""
