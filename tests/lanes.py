"""How the suite is handed to two processes: everything with browsers in one, the rest, file by file, in the other.

Most tests wait for something, so two at once take half the time; two browsers' stories at once would take each
other's processor.
"""

from __future__ import annotations

from xdist.scheduler import LoadScopeScheduling

BROWSERS = ("tests/browser/", "tests/interop/web/")


class Lanes(LoadScopeScheduling):  # type: ignore[misc]
    """What belongs together is done by one process, in its order: fixtures of a file are made once."""

    def _split_scope(self, nodeid: str) -> str:
        return "browsers" if nodeid.startswith(BROWSERS) else nodeid.partition("::")[0]
