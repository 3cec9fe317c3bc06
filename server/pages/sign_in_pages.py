"""Signing in and out, the first administrator, invitations, and another password for who forgot theirs."""

from __future__ import annotations

import asyncio
import datetime
import logging
import time
from collections.abc import Coroutine
from functools import partial

from aiohttp import web

from server import passwords
from server.accounts import Account, AccountNotFound, clean_email
from server.attempts import Attempts
from server.links import Link, LinkKind, LinkNotFound
from server.mail import MailNotSent
from server.pages.forms import KEPT, local_path, read_form, see_other, send_again
from server.pages.reception import Reception
from server.problems import TooMany
from server.rates import Rate
from server.texts import WrongInput, clean_name
from server.turns import Turns

logger = logging.getLogger(__name__)

RESETS_PER_MINUTE = 5
"""Mails that one address may have sent."""
AT_ONCE = 2
"""Passwords of one address that are compared together: all of an office sign in from one, one after another."""
MOST_WAITING = 100
"""Sign-ins of one address; with two at a time each lasts some tenths of a second."""
BUSY_WAIT = 10
"""Seconds after which who found too many waiting is told to try again."""


class SignInPages:
    """The routes. `failures_per_minute` are wrong passwords and links from one address; 0 is no limit."""

    def __init__(self, reception: Reception, failures_per_minute: int) -> None:
        self._reception = reception
        self._attempts = Attempts()
        self._turns = Turns(AT_ONCE, MOST_WAITING)
        self._failures = Rate(failures_per_minute)
        self._resets = Rate(RESETS_PER_MINUTE)
        self._sending: set[asyncio.Task[None]] = set()

    def routes(self) -> list[web.RouteDef]:
        """Routes for an application."""
        return [
            web.get("/sign-in", self.sign_in),
            web.post("/sign-in", self.do_sign_in),
            web.post("/sign-out", self.do_sign_out),
            web.get("/set-up/{secret}", self.choose_password),
            web.post("/set-up/{secret}", self.do_set_up),
            web.get("/invitation/{secret}", self.choose_password),
            web.post("/invitation/{secret}", self.do_choose_password),
            web.get("/forgotten", self.forgotten),
            web.post("/forgotten", self.do_forgotten),
            web.get("/reset/{secret}", self.choose_password),
            web.post("/reset/{secret}", self.do_choose_password),
        ]

    async def sign_in(self, request: web.Request) -> web.Response:
        """Asks for address and password; who is signed in goes on."""
        self._reception.renderer.to_https(request)
        onward = local_path(request.query.get("next", "/"))
        if await self._reception.visitors.account(request) is not None:
            raise web.HTTPSeeOther(onward)
        return self._form(request, onward=onward)

    async def do_sign_in(self, request: web.Request) -> web.Response:
        """Signs in, and sends the form on that was kept meanwhile; or keeps it in another language (`speak`).

        Whatever is wrong, the answer is the same and takes as long.
        """
        fields = await read_form(request, self._reception.callers)
        email, onward = fields.get("email", "").strip().lower()[:300], local_path(fields.get("next", "/"))
        ask = partial(self._form, request, onward=onward, email=email, kept=fields.get(KEPT, ""))
        if "speak" in fields:
            return ask(200)
        address = self._reception.callers.address(request)
        if self._turns.are_taken(address):
            return ask(429, problem="wait", seconds=BUSY_WAIT)
        async with self._turns.one(address):
            # Only now: of guesses sent all at once those before this one may have been wrong.
            now = time.monotonic()
            wait = self._attempts.wait(email, address, now)
            if wait or self._failures.is_spent(address, now):
                return ask(429, problem="wait", seconds=max(1, round(wait)))
            account = await self._reception.accounts.authenticate(email, fields.get("password", ""))
            if account is None:
                self._attempts.failed(email, address, now)
                self._failures.count(address, now)
                logger.info("a sign-in failed")
                return ask(401, problem="wrong")
            self._attempts.succeeded(email, address)
        return await self._welcome(request, account, onward, again=KEPT in fields)

    async def do_sign_out(self, request: web.Request) -> web.Response:
        """Signs this browser out."""
        await read_form(request, self._reception.callers)
        response = see_other("/")
        await self._reception.visitors.end(request, response)
        return response

    async def choose_password(self, request: web.Request) -> web.Response:
        """Opens a link: who you are is known or asked, and a password is chosen."""
        self._reception.renderer.to_https(request)
        kind, link = await self._link(request)
        account = await self._reception.accounts.get(link.account_id) if link.account_id else None
        return self._password_form(request, kind, account)

    async def do_set_up(self, request: web.Request) -> web.Response:
        """Makes the first administrator, once."""
        kind, link = await self._link(request)
        fields = await read_form(request, self._reception.callers)
        if await self._reception.accounts.exist():
            raise LinkNotFound("the service is set up")
        email, name, password = (fields.get(field, "") for field in ("email", "name", "password"))
        try:
            passwords.check(password, unlike=(clean_email(email), clean_name(name)))
        except WrongInput as error:
            return self._password_form(request, kind, None, email, name, error)
        await self._reception.links.use(link)  # before anything is made: of two who have the link one gets in
        now = datetime.datetime.now(datetime.UTC)
        account = await self._reception.accounts.create(email, name, "administrator", now, password)
        logger.info("the first administrator is %s", account.id)
        return await self._welcome(request, account, "/")

    async def do_choose_password(self, request: web.Request) -> web.Response:
        """Takes an invitation, or another password: signed out everywhere, and in here."""
        kind, link = await self._link(request)
        fields = await read_form(request, self._reception.callers)
        account = await self._reception.accounts.get(link.account_id or "")
        password = fields.get("password", "")
        try:
            name = clean_name(fields.get("name", "")) if kind == "invitation" else account.name
            passwords.check(password, unlike=(account.email, name))
        except WrongInput as error:
            return self._password_form(request, kind, account, name=fields.get("name", ""), error=error)
        await self._reception.links.use(link)
        account = await self._reception.accounts.set_password(
            await self._reception.accounts.rename(account, name), password
        )
        await self._reception.sign_ins.end_all(account.id)
        logger.info("%s has chosen a password", account.id)
        return await self._welcome(request, account, "/")

    async def forgotten(self, request: web.Request) -> web.Response:
        """Asks where to send a link for another password."""
        self._reception.renderer.to_https(request)
        return self._reception.renderer.page(
            request, "forgotten.html", sent=False, email="", mail=self._reception.mail.is_set_up
        )

    async def do_forgotten(self, request: web.Request) -> web.Response:
        """Sends the link, if there is such an account; the answer does not tell."""
        fields = await read_form(request, self._reception.callers)
        address, now = self._reception.callers.address(request), time.monotonic()
        if self._resets.is_spent(address, now):
            raise TooMany(f"more than {self._resets.limit} in a minute")
        self._resets.count(address, now)
        email = fields.get("email", "")
        self._later(self._send_reset(request, email))
        return self._reception.renderer.page(
            request, "forgotten.html", sent=True, email=email[:300], mail=self._reception.mail.is_set_up
        )

    async def _send_reset(self, request: web.Request, email: str) -> None:
        account = await self._reception.accounts.find(email)
        if account is None or account.disabled_at is not None or not self._reception.mail.is_set_up:
            return
        secret = await self._reception.links.make("reset", datetime.datetime.now(datetime.UTC), account.id)
        link = str(self._reception.callers.shared_base(request) / "reset" / secret)
        subject, text = self._reception.renderer.mail(request, "reset.txt", name=account.name, link=link)
        try:
            await self._reception.mail.send(account.email, subject, text)
        except MailNotSent as error:
            logger.error("a link for another password was not sent: %s", error)

    def _later(self, work: Coroutine[None, None, None]) -> None:
        """Does it once the answer is out: how long it takes tells nobody whether an account exists."""
        task = asyncio.get_running_loop().create_task(work)
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    async def _link(self, request: web.Request) -> tuple[LinkKind, Link]:
        kinds: dict[str, LinkKind] = {"set-up": "set-up", "invitation": "invitation", "reset": "reset"}
        kind = kinds[request.path.split("/")[1]]
        address, now = self._reception.callers.address(request), time.monotonic()
        try:
            link = await self._reception.links.find(
                kind, request.match_info["secret"], datetime.datetime.now(datetime.UTC)
            )
            if kind == "set-up" and await self._reception.accounts.exist():
                raise LinkNotFound("the service is set up")
        except (LinkNotFound, AccountNotFound):
            if self._failures.is_spent(address, now):
                raise TooMany(f"more than {self._failures.limit} wrong links in a minute") from None
            self._failures.count(address, now)
            raise
        return kind, link

    async def _welcome(
        self, request: web.Request, account: Account, onward: str, *, again: bool = False
    ) -> web.Response:
        response = send_again(onward) if again else see_other(onward)
        await self._reception.visitors.begin(request, response, account)
        await self._reception.accounts.speak(account, self._reception.renderer.locale(request))
        return response

    def _form(
        self,
        request: web.Request,
        status: int = 200,
        *,
        onward: str,
        email: str = "",
        problem: str = "",
        seconds: int = 0,
        kept: str = "",
    ) -> web.Response:
        values = {"onward": onward, "email": email, "problem": problem, "seconds": seconds, "kept": kept}
        response = self._reception.renderer.page(request, "sign_in.html", status, **values)
        if status == 429:
            response.headers["Retry-After"] = str(seconds)
        return response

    def _password_form(
        self,
        request: web.Request,
        kind: LinkKind,
        account: Account | None,
        email: str = "",
        name: str = "",
        error: WrongInput | None = None,
    ) -> web.Response:
        field = str(error).partition(":")[0] if error else ""
        known = account.name if account else ""
        values = {"kind": kind, "person": account, "email": email, "name": name or known, "problem": field}
        return self._reception.renderer.page(request, "choose_password.html", 422 if error else 200, **values)
