"""What the suites with real SDKs share."""

from __future__ import annotations

import logging
import re
from collections.abc import AsyncIterator, Iterator

import pytest

from tests.interop.clients import Join, connected_client
from tests.interop.complaints import Complaints
from tests.interop.meetings import Meeting, meeting_of
from tests.service import Service


@pytest.fixture(params=[True, False], ids=["single", "two"])
def join(request: pytest.FixtureRequest, service: Service) -> Join:
    """Lets somebody into a room, with a single PeerConnection or with two."""
    single = bool(request.param)
    return lambda room, identity: connected_client(service, f"{room}-{single}", identity, single=single)


@pytest.fixture(params=[True, False], ids=["single", "two"])
async def meeting(request: pytest.FixtureRequest, service: Service) -> AsyncIterator[Meeting]:
    """A room of the test's own, whose clients have a single PeerConnection or two."""
    async with meeting_of(service, re.sub(r"\W+", "-", request.node.name), single=bool(request.param)) as made:
        yield made


@pytest.fixture(scope="session")
def _complaints() -> Iterator[Complaints]:
    handler = Complaints()
    logger = logging.getLogger("livekit")
    logger.addHandler(handler)
    yield handler
    logger.removeHandler(handler)


@pytest.fixture(autouse=True)
def nothing_to_complain_of(request: pytest.FixtureRequest, _complaints: Complaints) -> Iterator[None]:
    """Fails where an SDK logged a warning, here or a moment before, that nothing in complaints.py explains."""
    yield
    unexplained = _complaints.take(cut=request.node.get_closest_marker("cuts") is not None)
    assert not unexplained, "\n".join(unexplained)
