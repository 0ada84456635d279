"""The Gunicorn worker, which parks the requests of waiting clients."""
