"""Benchmarks and fault runs, each against plain Celery and Flask in the same run."""
