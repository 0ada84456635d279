"""What a user would have instead: `tutorial.py` as tutorials set it up, `app.py` with what keeps more of its tasks."""
