"""Webhooks, for administrators: who is told of what happens, the log of what was sent, and sending it once more."""

from __future__ import annotations

import datetime
import json
import logging
from collections.abc import Mapping, Sequence
from itertools import groupby

from aiohttp import web
from yarl import URL

from server.api.cursors import Page, Place, read_cursor
from server.deliveries import Deliveries
from server.destinations import AddressNotAllowed
from server.happenings import HappeningType
from server.meeting_form import FormProblems
from server.pages import once
from server.pages.forms import see_other
from server.pages.reception import Reception
from server.pages.times import Times, reader_zone
from server.subscriptions import STATUSES, Delivery, Subscription, Subscriptions
from server.texts import WrongInput

logger = logging.getLogger(__name__)

PATH = "/webhooks"
ONE = f"{PATH}/{{webhook:WH_[0-9a-f]+}}"
MESSAGE = f"{ONE}/deliveries/{{delivery:DL_[0-9a-f]+}}"
PAGE_LENGTH = 30
"""Messages of a log that are shown together."""
GROUPS: Mapping[str, Sequence[HappeningType]] = {
    "meetings": ("meeting.created", "meeting.updated", "meeting.cancelled", "meeting.deleted"),
    "holdings": ("occurrence.started", "occurrence.ended"),
    "people": ("participant.joined", "participant.left", "participant.role_changed", "host.left"),
    "lobby": ("lobby.knocked", "lobby.admitted", "lobby.refused", "lobby.expired"),
}
"""What the form offers. `webhook.test` is sent to whoever asks for it, whatever else they want."""
ALL = "all"
"""The choice to be told of everything, of what later versions tell too."""
_ON = "on"


class WebhookPages:
    """The routes."""

    def __init__(self, reception: Reception, subscriptions: Subscriptions, deliveries: Deliveries) -> None:
        self._reception = reception
        self._subscriptions = subscriptions
        self._deliveries = deliveries

    def routes(self) -> list[web.RouteDef]:
        """Routes for an application."""
        return [
            web.get(PATH, self.list),
            web.get(f"{PATH}/new", self.new),
            web.post(f"{PATH}/new", self.do_make),
            web.get(ONE, self.one),
            web.post(ONE, self.do),
            web.get(f"{ONE}/edit", self.edit),
            web.post(f"{ONE}/edit", self.do_change),
            web.get(MESSAGE, self.message),
            web.post(MESSAGE, self.do_replay),
        ]

    async def list(self, request: web.Request) -> web.Response:
        """All webhooks, whether they work, and what was sent last."""
        await self._reader(request)
        newest = await self._subscriptions.newest()
        webhooks = [(one, newest.get(one.id)) for one in await self._subscriptions.list()]
        return self._page(request, "webhooks.html", webhooks=webhooks, gone=request.query.get("said") == "deleted")

    async def new(self, request: web.Request) -> web.Response:
        """The empty form."""
        await self._reader(request)
        return self._form(request, {"which": ALL})

    async def do_make(self, request: web.Request) -> web.Response:
        """A new webhook; the page after this alone shows its secret."""
        _, fields = await self._reception.asked(request)
        account = await self._reception.administrator(request)
        try:
            address, events = self._read(fields)
            made, secret = await self._subscriptions.create(address, events, _now())
        except FormProblems as error:
            return self._form(request, fields, problems=error.problems)
        except WrongInput:  # there are as many as may be
            return self._form(request, fields, problems={"url": "most"})
        logger.info("%s has made the webhook %s", account.id, made.id)
        return self._reception.show_once(request, f"{PATH}/{made.id}", secret=secret)

    async def one(self, request: web.Request) -> web.Response:
        """What it is told, whether it works, and the log; right after a secret was made, that."""
        await self._reader(request)
        webhook = await self._subscriptions.get(request.match_info["webhook"])
        shown = once.shown_once(request)
        secret, rotated = shown.get("secret", ""), "rotated" in shown
        said = request.query.get("said", "")
        response = await self._show(request, webhook, said=said, secret=secret, rotated=rotated)
        once.forget(request, response)
        return response

    async def do(self, request: web.Request) -> web.Response:
        """`do` is `test`, `rotate`, `enable`, `disable` or `delete`. The page after `rotate` alone shows the secret."""
        _, fields = await self._reception.asked(request)
        account = await self._reception.administrator(request)
        webhook_id, asked = request.match_info["webhook"], fields.get("do", "")
        match asked:
            case "test":
                await self._subscriptions.test(webhook_id, _now())
                self._deliveries.wake()
            case "rotate":
                secret = await self._subscriptions.rotate(webhook_id, _now())
                logger.info("%s has given the webhook %s another secret", account.id, webhook_id)
                return self._reception.show_once(request, f"{PATH}/{webhook_id}", secret=secret, rotated="yes")
            case "enable" | "disable":
                await self._subscriptions.change(webhook_id, _now(), enabled=asked == "enable")
                logger.info("%s: the webhook %s, by %s", asked, webhook_id, account.id)
            case "delete":
                await self._subscriptions.delete(webhook_id)
                logger.info("%s has deleted the webhook %s", account.id, webhook_id)
                return see_other(f"{PATH}?said=deleted")
            case _:
                raise WrongInput(f"do: got {asked[:60]!r}, takes test, rotate, enable, disable or delete")
        return see_other(f"{PATH}/{webhook_id}?said={asked}")

    async def edit(self, request: web.Request) -> web.Response:
        """The form with what is so now."""
        await self._reader(request)
        webhook = await self._subscriptions.get(request.match_info["webhook"])
        fields = {"url": webhook.url, "which": "" if webhook.events else ALL}
        fields.update((event, _ON) for event in webhook.events)
        return self._form(request, fields, webhook)

    async def do_change(self, request: web.Request) -> web.Response:
        """Another address, other events."""
        _, fields = await self._reception.asked(request)
        account = await self._reception.administrator(request)
        webhook = await self._subscriptions.get(request.match_info["webhook"])
        try:
            address, events = self._read(fields)
        except FormProblems as error:
            return self._form(request, fields, webhook, error.problems)
        await self._subscriptions.change(webhook.id, _now(), url=address, events=events)
        logger.info("%s has changed the webhook %s", account.id, webhook.id)
        return see_other(f"{PATH}/{webhook.id}?said=changed")

    async def message(self, request: web.Request) -> web.Response:
        """One message: what was sent, and what became of it."""
        await self._reader(request)
        webhook = await self._subscriptions.get(request.match_info["webhook"])
        sent = await self._subscriptions.delivery(webhook.id, request.match_info["delivery"])
        body = json.dumps(json.loads(sent.body), ensure_ascii=False, indent=2)
        return self._page(request, "webhook_message.html", webhook=webhook, host=_host(webhook), sent=sent, body=body)

    async def do_replay(self, request: web.Request) -> web.Response:
        """The same message once more."""
        await self._reception.asked(request)
        await self._reception.administrator(request)
        webhook_id = request.match_info["webhook"]
        await self._subscriptions.replay(webhook_id, request.match_info["delivery"], _now())
        self._deliveries.wake()
        return see_other(f"{PATH}/{webhook_id}?said=again")

    async def _reader(self, request: web.Request) -> None:
        self._reception.renderer.to_https(request)
        await self._reception.administrator(request)

    def _read(self, fields: Mapping[str, str]) -> tuple[str, Sequence[HappeningType]]:
        """Address and events of the form; no events are all of them. Raises FormProblems with all that is wrong."""
        problems: dict[str, str] = {}
        address = fields.get("url", "").strip()
        try:
            address = self._subscriptions.clean_address(address)
        except AddressNotAllowed:
            problems["url"] = "inside"
        except WrongInput:
            problems["url"] = "wrong"
        chosen = [event for group in GROUPS.values() for event in group if fields.get(event) == _ON]
        is_all = fields.get("which") == ALL
        if not is_all and not chosen:
            problems["events"] = "none"
        if problems:
            raise FormProblems(problems)
        return address, [] if is_all else chosen

    async def _show(
        self, request: web.Request, webhook: Subscription, *, said: str = "", secret: str = "", rotated: bool = False
    ) -> web.Response:
        only = next((known for known in STATUSES if known == request.query.get("status")), None)
        after = _after(request)
        found = await self._subscriptions.deliveries(webhook.id, PAGE_LENGTH + 1, after, only)
        page = Page(found, PAGE_LENGTH, lambda one: (one.created_at, one.id))
        return self._page(
            request,
            "webhook.html",
            webhook=webhook,
            host=_host(webhook),
            days=_by_day(self._times(request), page.items),
            next=page.next_cursor,
            is_first=after is None,
            only=only,
            statuses=STATUSES,
            said=said,
            secret=secret,
            rotated=rotated,
        )

    def _form(
        self,
        request: web.Request,
        fields: Mapping[str, str],
        webhook: Subscription | None = None,
        problems: Mapping[str, str] | None = None,
    ) -> web.Response:
        values = {"fields": fields, "webhook": webhook, "problems": problems or {}, "groups": GROUPS}
        return self._page(request, "webhook_form.html", 422 if problems else 200, **values)

    def _times(self, request: web.Request) -> Times:
        return Times(self._reception.renderer.locale(request), reader_zone(request), _now())

    def _page(self, request: web.Request, template: str, status: int = 200, **values: object) -> web.Response:
        return self._reception.renderer.page(request, template, status, times=self._times(request), **values)


def _after(request: web.Request) -> Place | None:
    """Behind what the shown part of the log begins; None for its beginning, and for what no page gave out."""
    try:
        return read_cursor(request.query.get("after", ""))
    except WrongInput:
        return None


def _by_day(times: Times, messages: Sequence[Delivery]) -> Sequence[Sequence[Delivery]]:
    """Messages under the reader's days."""
    return [list(day) for _, day in groupby(messages, lambda one: times.days_ahead(one.created_at))]


def _host(webhook: Subscription) -> str:
    """What a webhook is called for short: the rest of an address may hold a secret."""
    return URL(webhook.url).host or ""


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)
