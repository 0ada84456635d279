"""A shop for `make demo`: its tasks, two days of history, and work that goes on while one looks."""
