"""Coatcheck: hand a slow job in over HTTP, get a ticket, come back for the result."""
