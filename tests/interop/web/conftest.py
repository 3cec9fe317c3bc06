"""Browsers that the stories of a file share: each is started once for it, and every story has a page of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.browser.tabs import NAMES, Browser, Tab, browser
from tests.interop.web.guests import Meeting, page_of, pages
from tests.service import Service


@pytest_asyncio.fixture(scope="package", loop_scope="package")
async def address(network: None) -> AsyncIterator[str]:
    """Where the page is."""
    async with pages() as served:
        yield served


@pytest_asyncio.fixture(scope="package", loop_scope="package")
async def chromium(network: None, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Browser]:
    async with browser("chromium", tmp_path_factory.mktemp("chromium")) as running:
        yield running


@pytest_asyncio.fixture(scope="package", loop_scope="package")
async def firefox(network: None, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Browser]:
    async with browser("firefox", tmp_path_factory.mktemp("firefox")) as running:
        yield running


@pytest.fixture(scope="package", params=NAMES)
def browser_name(request: pytest.FixtureRequest) -> str:
    """Which browser a story runs in."""
    name: str = request.param
    return name


@pytest.fixture(params=[True, pytest.param(False, marks=pytest.mark.long)], ids=["single", "two"])
def single(request: pytest.FixtureRequest) -> bool:
    """With a single PeerConnection as the client has by itself, or with two as its older versions have."""
    return bool(request.param)


@pytest.fixture(scope="package")
def running_browser(request: pytest.FixtureRequest, browser_name: str) -> Browser:
    """The browser of `browser_name`."""
    found: Browser = request.getfixturevalue(browser_name)
    return found


@pytest_asyncio.fixture(loop_scope="package")
async def page(request: pytest.FixtureRequest, running_browser: Browser, address: str) -> AsyncIterator[Tab]:
    """A page with LiveKit's client in it. A story names in `complains` what the page may say besides what is expected:

    @pytest.mark.complains("a pattern")
    """
    marked = request.node.get_closest_marker("complains")
    async with page_of(running_browser, address, *(marked.args if marked else ())) as tab:
        yield tab


@pytest.fixture
def meeting(request: pytest.FixtureRequest, service: Service, single: bool) -> Meeting:
    """A room of its own for a story."""
    return Meeting(service, request.node.name, single)
