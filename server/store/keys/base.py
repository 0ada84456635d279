"""The prefix that all key definitions share."""


class Prefixed:
    """Keys under one prefix. An empty `owner` in their parameters means all owners."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
