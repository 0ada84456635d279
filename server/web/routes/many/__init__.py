"""Routes for many tasks at a time."""
