"""What a test needs of a browser, whichever it is: pages that run a script and answer with JSON."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Protocol

from playwright.async_api import BrowserContext, Error, Page, async_playwright

from tests.browser.firefox import ScriptFailed, firefox
from tests.browser.people import chromium, new_context

NAMES = ("chromium", "firefox")


class Tab(Protocol):
    """A page in front of everything else of its browser."""

    async def run(self, function: str, *arguments: object) -> object:
        """Calls a JavaScript function with JSON arguments and awaits it; raises ScriptFailed where it throws."""
        ...

    async def close(self) -> None: ...


class Browser(Protocol):
    """A browser that opens tabs."""

    async def open(self, address: str) -> Tab: ...


class ChromiumTab:
    def __init__(self, page: Page) -> None:
        self.page = page

    async def run(self, function: str, *arguments: object) -> object:
        called = f"async (given) => JSON.stringify((await ({function})(...JSON.parse(given))) ?? null)"
        try:
            answer: object = json.loads(await self.page.evaluate(called, json.dumps(arguments)))
        except Error as problem:
            raise ScriptFailed(problem.message) from None
        return answer

    async def close(self) -> None:
        await self.page.close()


class Chromium:
    def __init__(self, context: BrowserContext) -> None:
        self._context = context

    async def open(self, address: str) -> ChromiumTab:
        page = await self._context.new_page()
        await page.goto(address)
        return ChromiumTab(page)


@asynccontextmanager
async def browser(name: str, folder: Path) -> AsyncIterator[Browser]:
    """The browser of a name in `NAMES`, with a fake camera and microphone; its files are in `folder`."""
    if name == "firefox":
        async with firefox(folder) as running:
            yield running
    else:
        async with async_playwright() as playwright, chromium(playwright) as process:
            yield Chromium(await new_context(process))
