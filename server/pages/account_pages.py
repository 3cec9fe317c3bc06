"""One's own account with its sign-ins, and, for administrators, everybody's: invite, change the role, close."""

from __future__ import annotations

import datetime
import logging
import time
from collections.abc import Mapping

from aiohttp import web

from server.accounts import EMAIL_LENGTH, ROLES, Account, EmailTaken, LastAdministrator, clean_role
from server.attempts import Attempts
from server.pages import once
from server.pages.forms import see_other
from server.pages.reception import Reception
from server.pages.times import Times, reader_zone
from server.problems import TooMany
from server.texts import WrongInput

logger = logging.getLogger(__name__)

PAGE_LENGTH = 50
"""Accounts that are shown together."""
ID_LENGTH = 64
"""Characters of an id, at most."""


class AccountPages:
    """The routes."""

    def __init__(self, reception: Reception) -> None:
        self._reception = reception
        self._attempts = Attempts()

    def routes(self) -> list[web.RouteDef]:
        """Routes for an application."""
        return [
            web.get("/account", self.own),
            web.post("/account/name", self.do_rename),
            web.post("/account/password", self.do_change_password),
            web.post("/account/sign-ins", self.do_end_others),
            web.post("/account/sign-ins/{id}", self.do_end_one),
            web.get("/accounts", self.all),
            web.post("/accounts", self.do_invite),
            web.post("/accounts/{id}/link", self.do_make_link),
            web.post("/accounts/{id}/role", self.do_set_role),
            web.post("/accounts/{id}/disabled", self.do_disable),
        ]

    async def own(self, request: web.Request) -> web.Response:
        """Name, password, and where one is signed in."""
        self._reception.renderer.to_https(request)
        return await self._own(request, await self._reception.signed_in(request), saved=request.query.get("saved", ""))

    async def do_rename(self, request: web.Request) -> web.Response:
        """Another name."""
        account, fields = await self._asked(request)
        try:
            await self._reception.accounts.rename(account, fields.get("name", ""))
        except WrongInput:
            return await self._own(request, account, problem="name", status=422)
        return see_other("/account?saved=name")

    async def do_change_password(self, request: web.Request) -> web.Response:
        """Another password, for who knows the present one; all other browsers are signed out."""
        account, fields = await self._asked(request)
        now = time.monotonic()
        if wait := self._attempts.wait(account.id, "", now):
            raise TooMany("the present password was wrong too often", wait)
        # Counted before it is known to be wrong: guesses sent all at once wait as well.
        self._attempts.failed(account.id, "", now)
        if not await self._reception.accounts.check_password(account, fields.get("present", "")):
            return await self._own(request, account, problem="present", status=422)
        self._attempts.succeeded(account.id, "")
        try:
            await self._reception.accounts.set_password(account, fields.get("password", ""))
        except WrongInput:
            return await self._own(request, account, problem="password", status=422)
        sign_in = await self._reception.visitors.sign_in(request)
        await self._reception.sign_ins.end_all(account.id, but=sign_in.id if sign_in else "")
        return see_other("/account?saved=password")

    async def do_end_others(self, request: web.Request) -> web.Response:
        """Signs all other browsers out."""
        account, _ = await self._asked(request)
        sign_in = await self._reception.visitors.sign_in(request)
        await self._reception.sign_ins.end_all(account.id, but=sign_in.id if sign_in else "")
        return see_other("/account?saved=sign-ins")

    async def do_end_one(self, request: web.Request) -> web.Response:
        """Signs one browser out."""
        account, _ = await self._asked(request)
        await self._reception.sign_ins.end(account, request.match_info["id"])
        return see_other("/account?saved=sign-ins")

    async def all(self, request: web.Request) -> web.Response:
        """Everybody's accounts; right after somebody was invited, the link for them."""
        self._reception.renderer.to_https(request)
        await self._reception.administrator(request)
        shown = once.shown_once(request)
        link, invited = shown.get("link", ""), shown.get("invited", "")
        response = await self._all(request, link=link, invited=invited, sent="sent" in shown)
        once.forget(request, response)
        return response

    async def do_invite(self, request: web.Request) -> web.Response:
        """A new account, and a link for its owner: by mail, or to be handed over."""
        _, fields = await self._asked(request, administrator=True)
        try:
            role = clean_role(fields.get("role", ""))
            now = datetime.datetime.now(datetime.UTC)
            invited = await self._reception.accounts.create(fields.get("email", ""), "", role, now)
        except WrongInput:
            return await self._all(request, problem="email", email=fields.get("email", ""), status=422)
        except EmailTaken:
            return await self._all(request, problem="taken", email=fields.get("email", ""), status=409)
        logger.info("%s is invited", invited.id)
        return await self._hand_over(request, invited)

    async def do_make_link(self, request: web.Request) -> web.Response:
        """Another link for who has lost the invitation, or the password."""
        await self._asked(request, administrator=True)
        return await self._hand_over(request, await self._reception.accounts.get(request.match_info["id"]))

    async def do_set_role(self, request: web.Request) -> web.Response:
        """Another role."""
        _, fields = await self._asked(request, administrator=True)
        try:
            await self._reception.accounts.set_role(request.match_info["id"], clean_role(fields.get("role", "")))
        except LastAdministrator:
            return await self._all(request, problem="last", status=409)
        return see_other("/accounts")

    async def do_disable(self, request: web.Request) -> web.Response:
        """Closes an account, and signs it out everywhere; or opens it again."""
        _, fields = await self._asked(request, administrator=True)
        account_id = request.match_info["id"]
        if fields.get("disabled") == "no":
            await self._reception.accounts.enable(account_id)
            return see_other("/accounts")
        try:
            await self._reception.accounts.disable(account_id, datetime.datetime.now(datetime.UTC))
        except LastAdministrator:
            return await self._all(request, problem="last", status=409)
        await self._reception.sign_ins.end_all(account_id)
        return see_other("/accounts")

    async def _hand_over(self, request: web.Request, account: Account) -> web.Response:
        link, sent = await self._reception.hand_over(request, account)
        how = {"sent": "yes"} if sent else {}
        return self._reception.show_once(request, "/accounts", link=link, invited=account.email, **how)

    async def _asked(self, request: web.Request, *, administrator: bool = False) -> tuple[Account, Mapping[str, str]]:
        """Who sent a form, and its fields."""
        account, fields = await self._reception.asked(request)
        if administrator:
            await self._reception.administrator(request)
        return account, fields

    async def _own(
        self, request: web.Request, account: Account, *, saved: str = "", problem: str = "", status: int = 200
    ) -> web.Response:
        present = await self._reception.visitors.sign_in(request)
        zone, now = reader_zone(request), datetime.datetime.now(datetime.UTC)
        values = {
            "times": Times(self._reception.renderer.locale(request), zone, now),
            "sign_ins": await self._reception.sign_ins.list(account),
            "present": present.id if present else "",
            "calendar_since": await self._reception.feeds.made_at(account),
            "saved": saved,
            "problem": problem,
        }
        return self._reception.renderer.page(request, "account.html", status, **values)

    async def _all(
        self,
        request: web.Request,
        *,
        status: int = 200,
        problem: str = "",
        email: str = "",
        link: str = "",
        invited: str = "",
        sent: bool = False,
    ) -> web.Response:
        find, after = request.query.get("find", "")[:EMAIL_LENGTH], request.query.get("after", "")[:ID_LENGTH]
        found = await self._reception.accounts.list(PAGE_LENGTH + 1, find, after)
        values = {
            "accounts": found[:PAGE_LENGTH],
            "find": find,
            "after": after,
            "next": found[PAGE_LENGTH - 1].id if len(found) > PAGE_LENGTH else "",
            "roles": ROLES,
            "problem": problem,
            "email": email,
            "link": link,
            "invited": invited,
            "sent": sent,
        }
        return self._reception.renderer.page(request, "accounts.html", status, **values)
