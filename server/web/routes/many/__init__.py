"""Routes for many tasks at a time: lists and bulk calls, batches, many polls in one request."""
