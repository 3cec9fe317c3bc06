"""What the pages about accounts and meetings work with."""

from __future__ import annotations

import datetime
import logging
from collections.abc import Mapping
from dataclasses import dataclass

from aiohttp import web
from yarl import URL

from server.accounts import Account, Accounts
from server.api.requests import Callers
from server.calendar_feeds import CalendarFeeds
from server.links import LinkKind, Links
from server.mail import Mail, MailNotSent
from server.pages import once
from server.pages.forms import keep, read_form, unpacked
from server.pages.rendering import Renderer
from server.problems import SignInEnded
from server.sign_in import SignIns, Visitors
from signaling.errors import NotAllowed

logger = logging.getLogger(__name__)


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

    async def hand_over(self, request: web.Request, account: Account, *, send: bool = True) -> tuple[str, bool]:
        """A new link with which somebody chooses their password, and whether a letter with it went to them."""
        kind: LinkKind = "reset" if account.has_password else "invitation"
        secret = await self.links.make(kind, datetime.datetime.now(datetime.UTC), account.id)
        link = str(self.callers.shared_base(request) / kind / secret)
        if not send or not self.mail.is_set_up:
            return link, False
        subject, text = self.renderer.mail(request, "invitation.txt", link=link)
        try:
            await self.mail.send(account.email, subject, text)
        except MailNotSent as error:
            logger.error("an invitation was not sent: %s", error)
            return link, False
        return link, True

    def show_once(self, request: web.Request, where: str, **texts: str) -> web.Response:
        """What a form answers that made something secret: the way to the page that shows it, once."""
        secure = self.callers.base(request).scheme == "https"
        return once.show_once(request, where, secure=secure, **texts)

    async def signed_in(self, request: web.Request) -> Account:
        """The account; raises the way to sign in."""
        account = await self.visitors.account(request)
        if account is None:
            raise web.HTTPSeeOther(URL("/sign-in").with_query({"next": request.path}))
        return account

    async def administrator(self, request: web.Request) -> Account:
        """The account, if it may administer the service; raises the way to sign in, and NotAllowed."""
        account = await self.signed_in(request)
        if not account.is_administrator:
            raise NotAllowed("takes an administrator")
        return account

    async def asked(self, request: web.Request) -> tuple[Account, Mapping[str, str]]:
        """Who sent a form, and its fields. Raises as read_form, and SignInEnded, which loses nothing of the form."""
        fields = unpacked(await read_form(request, self.callers))
        account = await self.visitors.account(request)
        if account is None:
            raise SignInEnded(keep(fields))
        return account, fields
