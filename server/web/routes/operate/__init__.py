"""Routes for whoever operates the server: queues and workers, failures, keys."""
