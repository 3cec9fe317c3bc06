"""What the suites with real SDKs share."""

from __future__ import annotations

import pytest

from tests.interop.clients import Join, connected_client
from tests.service import Service


@pytest.fixture(params=[True, False], ids=["single", "two"])
def join(request: pytest.FixtureRequest, service: Service) -> Join:
    """Lets somebody into a room, with a single PeerConnection or with two."""
    single = bool(request.param)
    return lambda room, identity: connected_client(service, f"{room}-{single}", identity, single=single)
