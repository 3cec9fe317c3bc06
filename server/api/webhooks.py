"""/api/v1/webhooks: who is told of what happens, the log of what was sent, and sending it once more."""

from __future__ import annotations

import datetime

from aiohttp import web
from pydantic import Field

from server.api.authority import check_administrator
from server.api.cursors import Page, PageQuery
from server.api.meetings import Body, json_answer
from server.api.operations import Operation, serves
from server.api.requests import Callers, read_json, read_query
from server.deliveries import Deliveries
from server.happenings import TYPES, HappeningType
from server.problems import SignInRequired
from server.sign_in import Visitors
from server.subscriptions import (
    Delivery,
    DeliveryNotFound,
    DeliveryStatus,
    Subscription,
    SubscriptionNotFound,
    Subscriptions,
)

PATH = "/api/v1/webhooks"
ONE = f"{PATH}/{{webhook}}"
LOG = f"{ONE}/deliveries"
URL_LENGTH = 2000
"""Characters."""


class NewWebhook(Body):
    """Somebody who is to be told."""

    url: str = Field(max_length=URL_LENGTH)
    """Where messages are posted to: http or https, not within the premises unless the operator allows the network."""
    events: list[HappeningType] = Field(default=[], max_length=len(TYPES))
    """What they are told of; empty is all."""


class WebhookPatch(Body):
    """What a webhook becomes; what is left out stays."""

    url: str | None = Field(default=None, max_length=URL_LENGTH)
    events: list[HappeningType] | None = Field(default=None, max_length=len(TYPES))
    enabled: bool | None = None
    """Whether it is told at all; turning it on again forgets what failed before."""


class WebhookDetails(Body):
    """A webhook, without its secret."""

    id: str
    url: str
    events: list[HappeningType]
    """Empty is all."""
    created_at: datetime.datetime
    failing_since: datetime.datetime | None
    """Since when nothing could be delivered."""
    disabled_at: datetime.datetime | None
    """Told no more: by hand, after a day of failures, or because the receiver answered 410."""


class WebhookMade(Body):
    """A webhook that was made."""

    webhook: WebhookDetails
    secret: str
    """With which its messages are signed (Standard Webhooks). It is shown this once."""


class WebhookList(Body):
    """All webhooks, the oldest first."""

    webhooks: list[WebhookDetails]


class WebhookSecret(Body):
    """Another secret. For a day messages are signed with the former one, too."""

    secret: str


class DeliveryQuery(PageQuery):
    """Which part of the log."""

    status: DeliveryStatus | None = None


class DeliveryDetails(Body):
    """One message that was sent, or is to be."""

    id: str
    event_id: str
    """The header `webhook-id`: the same in each attempt, and when it is sent once more."""
    event: str
    status: DeliveryStatus
    attempts: int
    created_at: datetime.datetime
    tried_at: datetime.datetime | None
    due_at: datetime.datetime | None
    """When it is tried next."""
    answer: str
    """To the last attempt: "HTTP 200", or why there was none."""
    body: str
    """What is posted, as it is signed."""


class DeliveryPage(Body):
    """A part of the log, the newest first. It reaches back a week."""

    deliveries: list[DeliveryDetails]
    next_cursor: str | None
    """For the next part; null at the end."""


class WebhooksApi:
    """The routes."""

    def __init__(
        self, subscriptions: Subscriptions, deliveries: Deliveries, visitors: Visitors, callers: Callers
    ) -> None:
        self._subscriptions = subscriptions
        self._deliveries = deliveries
        self._visitors = visitors
        self._callers = callers

    @serves(
        Operation(
            "GET",
            PATH,
            "List webhooks",
            gives=WebhookList,
            problems=(SignInRequired,),
            access=("cookie",),
            scope="webhooks:read",
        )
    )
    async def list_webhooks(self, request: web.Request) -> web.Response:
        """200 WebhookList."""
        await self._check(request)
        return json_answer(WebhookList(webhooks=[_details(one) for one in await self._subscriptions.list()]))

    @serves(
        Operation(
            "POST",
            PATH,
            "Make a webhook",
            takes=NewWebhook,
            gives=WebhookMade,
            status=201,
            problems=(SignInRequired,),
            access=("cookie",),
            scope="webhooks:write",
        )
    )
    async def make(self, request: web.Request) -> web.Response:
        """201 WebhookMade. Not kept for an Idempotency-Key: the answer holds a secret."""
        await self._check(request)
        asked = await read_json(request, NewWebhook)
        made, secret = await self._subscriptions.create(asked.url, asked.events, _now())
        return json_answer(WebhookMade(webhook=_details(made), secret=secret), status=201)

    @serves(
        Operation(
            "GET",
            ONE,
            "Look at a webhook",
            gives=WebhookDetails,
            problems=(SignInRequired, SubscriptionNotFound),
            access=("cookie",),
            scope="webhooks:read",
        )
    )
    async def show(self, request: web.Request) -> web.Response:
        """200 WebhookDetails."""
        await self._check(request)
        return json_answer(_details(await self._subscriptions.get(_id(request))))

    @serves(
        Operation(
            "PATCH",
            ONE,
            "Change a webhook",
            takes=WebhookPatch,
            gives=WebhookDetails,
            problems=(SignInRequired, SubscriptionNotFound),
            access=("cookie",),
            scope="webhooks:write",
        )
    )
    async def change(self, request: web.Request) -> web.Response:
        """200 WebhookDetails."""
        await self._check(request)
        asked = await read_json(request, WebhookPatch)
        changed = await self._subscriptions.change(
            _id(request), _now(), url=asked.url, events=asked.events, enabled=asked.enabled
        )
        return json_answer(_details(changed))

    @serves(
        Operation(
            "DELETE",
            ONE,
            "Remove a webhook, with its log and what waits for it",
            status=204,
            problems=(SignInRequired, SubscriptionNotFound),
            access=("cookie",),
            scope="webhooks:write",
        )
    )
    async def remove(self, request: web.Request) -> web.Response:
        """204."""
        await self._check(request)
        await self._subscriptions.delete(_id(request))
        return web.Response(status=204)

    @serves(
        Operation(
            "POST",
            f"{ONE}/rotate",
            "Give a webhook another secret",
            gives=WebhookSecret,
            problems=(SignInRequired, SubscriptionNotFound),
            access=("cookie",),
            scope="webhooks:write",
        )
    )
    async def rotate(self, request: web.Request) -> web.Response:
        """200 WebhookSecret."""
        await self._check(request)
        return json_answer(WebhookSecret(secret=await self._subscriptions.rotate(_id(request), _now())))

    @serves(
        Operation(
            "POST",
            f"{ONE}/test",
            "Send a webhook an event `webhook.test`",
            gives=DeliveryDetails,
            status=202,
            problems=(SignInRequired, SubscriptionNotFound),
            access=("cookie",),
            scope="webhooks:write",
        )
    )
    async def test(self, request: web.Request) -> web.Response:
        """202 DeliveryDetails: look at it again to see what became of it."""
        await self._check(request)
        sent = await self._subscriptions.test(_id(request), _now())
        self._deliveries.wake()
        return json_answer(_delivery(sent), status=202)

    @serves(
        Operation(
            "GET",
            LOG,
            "List what was sent to a webhook",
            gives=DeliveryPage,
            query=DeliveryQuery,
            problems=(SignInRequired, SubscriptionNotFound),
            access=("cookie",),
            scope="webhooks:read",
        )
    )
    async def list_deliveries(self, request: web.Request) -> web.Response:
        """200 DeliveryPage."""
        await self._check(request)
        asked = read_query(request, DeliveryQuery)
        found = await self._subscriptions.deliveries(_id(request), asked.limit + 1, asked.after, asked.status)
        page = Page(found, asked.limit, lambda one: (one.created_at, one.id))
        shown = [_delivery(one) for one in page.items]
        return json_answer(DeliveryPage(deliveries=shown, next_cursor=page.next_cursor))

    @serves(
        Operation(
            "GET",
            f"{LOG}/{{delivery}}",
            "Look at one message",
            gives=DeliveryDetails,
            problems=(SignInRequired, DeliveryNotFound),
            access=("cookie",),
            scope="webhooks:read",
        )
    )
    async def show_delivery(self, request: web.Request) -> web.Response:
        """200 DeliveryDetails."""
        await self._check(request)
        found = await self._subscriptions.delivery(_id(request), request.match_info["delivery"])
        return json_answer(_delivery(found))

    @serves(
        Operation(
            "POST",
            f"{LOG}/{{delivery}}/replay",
            "Send one message once more",
            gives=DeliveryDetails,
            status=202,
            problems=(SignInRequired, DeliveryNotFound),
            access=("cookie",),
            scope="webhooks:write",
        )
    )
    async def replay(self, request: web.Request) -> web.Response:
        """202 DeliveryDetails of the new message; its `event_id` is the former one's."""
        await self._check(request)
        sent = await self._subscriptions.replay(_id(request), request.match_info["delivery"], _now())
        self._deliveries.wake()
        return json_answer(_delivery(sent), status=202)

    async def _check(self, request: web.Request) -> None:
        await check_administrator(request, self._visitors, self._callers)


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


def _id(request: web.Request) -> str:
    return request.match_info["webhook"]


def _details(one: Subscription) -> WebhookDetails:
    return WebhookDetails(
        id=one.id,
        url=one.url,
        events=list(one.events),
        created_at=one.created_at,
        failing_since=one.failing_since,
        disabled_at=one.disabled_at,
    )


def _delivery(one: Delivery) -> DeliveryDetails:
    return DeliveryDetails(
        id=one.id,
        event_id=one.event_id,
        event=one.event,
        status=one.status,
        attempts=one.attempts,
        created_at=one.created_at,
        tried_at=one.tried_at,
        due_at=one.due_at,
        answer=one.answer,
        body=one.body.decode(),
    )
