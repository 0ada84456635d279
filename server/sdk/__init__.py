"""Task types: how a typed function becomes one, and what its author imports."""
