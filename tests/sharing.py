"""Which process runs which tests, where there are several (pytest-xdist).

A file's tests stay together, for they share servers; a fault has one of its own, and goes wherever there is room.
"""

from xdist.scheduler import LoadScopeScheduling


class Sharing(LoadScopeScheduling):
    """The units with the most tests come first, as xdist has it."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return nodeid if file.startswith("tests/faults/") else file
