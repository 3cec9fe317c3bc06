"""How the suite is handed to three processes: browsers' tests in one, LiveKit's SDKs in another, the rest in the third.

Most tests wait for something, so that others can run meanwhile; two browsers' stories at once would take each other's
processor, and so would SDKs beside SDKs. Whoever has done what is theirs helps the others, by files.
"""

from __future__ import annotations

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling
from xdist.workermanage import WorkerController

BROWSERS = ("tests/browser/", "tests/interop/web/")
PICTURES = "tests/browser/test_accessibility.py"
"""Looks at pages for minutes, in a browser without a meeting: whoever has time does it."""
SDKS = "tests/interop/"


class Lanes(LoadScopeScheduling):  # type: ignore[misc]
    """What belongs together is done by one process, in its order: fixtures of a file are made once."""

    def __init__(self, config: pytest.Config, log: Producer) -> None:
        super().__init__(config, log)
        # In the order of their names: by the number of its tests, what takes longest would come last.
        config.option.loadscopereorder = False

    def _split_scope(self, nodeid: str) -> str:
        file: str = nodeid.partition("::")[0]
        return "browsers" if file.startswith(BROWSERS) and file != PICTURES else file

    def _assign_work_unit(self, node: WorkerController) -> None:
        """Gives a process the next of a kind that no other is at, else the next of all."""
        others = {
            _kind(scope)
            for other, work in self.assigned_work.items()
            for scope, tests in work.items()
            if other is not node and not all(tests.values())
        }
        scope = next((scope for scope in self.workqueue if _kind(scope) not in others), next(iter(self.workqueue)))
        self.workqueue.move_to_end(scope, last=False)
        super()._assign_work_unit(node)


def _kind(scope: str) -> str:
    if scope == "browsers":
        return scope
    return "sdks" if scope.startswith(SDKS) else "rest"
