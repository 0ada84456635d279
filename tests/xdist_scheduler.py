"""Distribution of tests to the processes of pytest-xdist.

Tests of a file stay together, because they share servers. A fault test has its own server and runs in any process.
"""

from xdist.scheduler import LoadScopeScheduling


class FileScheduling(LoadScopeScheduling):
    """Units with the most tests come first, as in xdist."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return nodeid if file.startswith("tests/faults/") else file
