"""Routes of several tasks: lists and counts, batches, bulk cancel and retry, and the status of up to 500 tasks."""
