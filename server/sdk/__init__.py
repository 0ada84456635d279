"""Task types: how a typed function becomes one, and the objects that its author uses."""
