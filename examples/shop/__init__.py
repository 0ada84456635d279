"""A shop's own package: nothing in it is part of the server."""
