"""Request bodies: JSON, forms and raw bytes, and the options in the query."""
