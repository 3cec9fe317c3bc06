"""What the pages about accounts and meetings work with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from aiohttp import web
from yarl import URL

from server.accounts import Account, Accounts
from server.api.requests import Callers
from server.calendar_feeds import CalendarFeeds
from server.links import Links
from server.mail import Mail
from server.pages.forms import read_form
from server.pages.rendering import Renderer
from server.sign_in import SignIns, Visitors


@dataclass(frozen=True, slots=True)
class Reception:
    """Everything that knows somebody, and what draws pages for them."""

    renderer: Renderer
    callers: Callers
    accounts: Accounts
    sign_ins: SignIns
    visitors: Visitors
    links: Links
    mail: Mail
    feeds: CalendarFeeds

    async def signed_in(self, request: web.Request) -> Account:
        """The account; raises the way to sign in."""
        account = await self.visitors.account(request)
        if account is None:
            raise web.HTTPSeeOther(URL("/sign-in").with_query({"next": request.path}))
        return account

    async def asked(self, request: web.Request) -> tuple[Account, Mapping[str, str]]:
        """Who sent a form, and its fields. Raises as read_form, and the way to sign in."""
        fields = await read_form(request, self.callers)
        return await self.signed_in(request), fields
