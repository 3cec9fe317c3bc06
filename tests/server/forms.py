"""A browser without scripts: keeps cookies, reads forms of our pages, and sends them."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aiohttp
from yarl import URL

from tests.application import DEADLINE, Site


@dataclass
class Page:
    """What came: the status, where from, and the text."""

    status: int
    path: str
    text: str

    def has(self, test_id: str) -> bool:
        return f'data-testid="{test_id}"' in self.text

    def value(self, pattern: str) -> str:
        found = re.search(pattern, self.text)
        assert found is not None, self.text
        return found[1]


class Reader:
    """Reads pages and sends their forms; `url` is where the service is, `web` keeps the cookies."""

    def __init__(self, url: str, web: aiohttp.ClientSession) -> None:
        self.url = url
        self.web = web

    async def open(self, path: str) -> Page:
        """GETs a page, following redirects of this site."""
        async with self.web.get(self.url + path, headers={"Accept": "text/html"}) as answer:
            return Page(answer.status, answer.url.path, await answer.text())

    async def send(self, path: str, fields: dict[str, str] | None = None, *, shown: str | None = None) -> Page:
        """Sends a form that was shown on `path`, or on the page `shown`, to `path`."""
        page = await self.open(shown or path)
        token = page.value(r'name="form" value="([^"]+)"')
        headers = {"Accept": "text/html", "Origin": str(URL(self.url).origin())}
        form = {"form": token, **(fields or {})}
        async with self.web.post(self.url + path, data=form, headers=headers) as answer:
            return Page(answer.status, answer.url.path, await answer.text())

    async def signed_in_as(self) -> str:
        """The name that the landing page shows; "" for nobody."""
        found = re.search(r'data-testid="account">([^<]*)<', (await self.open("/")).text)
        return found[1] if found else ""


class Browser(Reader):
    """One browser at the site."""

    def __init__(self, site: Site, web: aiohttp.ClientSession) -> None:
        super().__init__(site.url, web)
        self.site = site


@asynccontextmanager
async def browser(site: Site) -> AsyncIterator[Browser]:
    """A browser of its own."""
    jar = aiohttp.CookieJar(unsafe=True)
    async with aiohttp.ClientSession(cookie_jar=jar, timeout=aiohttp.ClientTimeout(DEADLINE)) as web:
        yield Browser(site, web)
