"""API keys, for administrators: make one, see what each is good for and when it was used, revoke it."""

from __future__ import annotations

import datetime
import logging
from collections.abc import Mapping

from aiohttp import web

from server.api_keys import SCOPES, ApiKeys
from server.pages import once
from server.pages.forms import see_other
from server.pages.reception import Reception
from server.texts import WrongInput

logger = logging.getLogger(__name__)

PATH = "/api-keys"
LIFETIMES = {"30": 30, "90": 90, "365": 365, "": None}
"""Days that a new key can work; None is until it is revoked."""
MOST_SHOWN = 200


class ApiKeyPages:
    """The routes."""

    def __init__(self, reception: Reception, keys: ApiKeys) -> None:
        self._reception = reception
        self._keys = keys

    def routes(self) -> list[web.RouteDef]:
        """Routes for an application."""
        return [
            web.get(PATH, self.list),
            web.post(PATH, self.do_make),
            web.post(f"{PATH}/{{key}}/revoked", self.do_revoke),
        ]

    async def list(self, request: web.Request) -> web.Response:
        """All keys; right after one was made, its text."""
        self._reception.renderer.to_https(request)
        await self._reception.administrator(request)
        response = await self._show(request, made=once.shown_once(request).get("key", ""))
        once.forget(request, response)
        return response

    async def do_make(self, request: web.Request) -> web.Response:
        """A new key; the page after this alone shows its text."""
        _, fields = await self._reception.asked(request)
        account = await self._reception.administrator(request)
        days = LIFETIMES.get(fields.get("days", ""))
        now = datetime.datetime.now(datetime.UTC)
        scopes = [scope for scope in SCOPES if fields.get(scope) == "on"]
        try:
            ends = now + datetime.timedelta(days=days) if days else None
            key, text = await self._keys.make(fields.get("name", ""), scopes, now, ends)
        except WrongInput:
            problem = "name" if scopes else "scopes"
            return await self._show(request, fields=fields, problem=problem, status=422)
        logger.info("%s has made the API key %s", account.id, key.id)
        return self._reception.show_once(request, PATH, key=text)

    async def do_revoke(self, request: web.Request) -> web.Response:
        """A key works no more."""
        await self._reception.asked(request)
        account = await self._reception.administrator(request)
        key = await self._keys.revoke(request.match_info["key"], datetime.datetime.now(datetime.UTC))
        logger.info("%s has revoked the API key %s", account.id, key.id)
        return see_other(PATH)

    async def _show(
        self,
        request: web.Request,
        *,
        status: int = 200,
        made: str = "",
        problem: str = "",
        fields: Mapping[str, str] | None = None,
    ) -> web.Response:
        now = datetime.datetime.now(datetime.UTC)
        keys = await self._keys.list(MOST_SHOWN)
        values = {
            "keys": [(key, key.is_good(now)) for key in keys],
            "scopes": SCOPES,
            "lifetimes": list(LIFETIMES),
            "made": made,
            "problem": problem,
            "fields": fields or {},
        }
        return self._reception.renderer.page(request, "api_keys.html", status, **values)
