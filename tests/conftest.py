"""What all tests share: the test network around the whole run, and the service itself as a process."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from xdist.remote import Producer

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from tests.lanes import Lanes  # noqa: E402
from tests.network import NetworkUnavailable, enter  # noqa: E402
from tests.service import Service, running_service  # noqa: E402

_network_problem: str | None = None


def pytest_configure(config: pytest.Config) -> None:
    """Enters the test network before any thread starts; without one, only the tests that need it fail."""
    global _network_problem
    config.addinivalue_line("markers", "network: needs the test network (speaks WebRTC)")
    config.addinivalue_line("markers", "long: takes minutes; only `make test-long` runs it")
    config.addinivalue_line("markers", "complains(*patterns): what LiveKit's client may say in a browser's story")
    config.addinivalue_line(
        "markers", "cuts: cuts connections or ends sessions on purpose, of which clients may complain"
    )
    is_worker = hasattr(config, "workerinput")
    if config.option.numprocesses and not is_worker:
        return  # this process only hands tests out; each worker has a network of its own
    try:
        enter(anew=is_worker)
    except NetworkUnavailable as problem:
        _network_problem = str(problem)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Lanes:
    """Called where the suite runs in several processes (`--numprocesses`)."""
    return Lanes(config, log)


@pytest.fixture(scope="session")
def network() -> None:
    """Fails, and says why, where this machine could make no test network."""
    if _network_problem is not None:
        pytest.fail(f"no test network: {_network_problem}", pytrace=False)


@pytest.fixture(scope="session")
def service(network: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One running service for all tests that need nothing special of it."""
    with running_service(tmp_path_factory.mktemp("service")) as running:
        yield running
