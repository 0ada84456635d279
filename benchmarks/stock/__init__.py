"""Plain Celery and Flask: `tutorial.py` as in tutorials, `app.py` with settings that lose fewer tasks."""
