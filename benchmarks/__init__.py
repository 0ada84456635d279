"""Every figure that the README quotes, each against plain Celery and Flask in the same run."""
