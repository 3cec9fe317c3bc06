"""What all operations of /api/v1 have in common, put around each by its declaration."""

from __future__ import annotations

import asyncio
import datetime
import hashlib
import math
import re
import time

from aiohttp import web

from server.answers import Answer, Answers
from server.api.authority import BEARER, known_key, remember_key
from server.api.operations import Operation, Respond
from server.api.requests import BODY_SIZE, read_body
from server.api_keys import PREFIX, ApiKeyRefused, ApiKeys
from server.buckets import Buckets, Taken
from server.problems import FieldError, ScopeMissing, TooMany, WrongFields

IDEMPOTENCY_KEY = "Idempotency-Key"
_AGAIN = re.compile(r"[!-~]{1,128}")
_KEPT = ("Content-Type", "Location", "ETag")
"""Headers that come again with the answer."""
_TAKEN = web.RequestKey("taken", Taken)


class Habits:
    """Keeps the habits. `rate` is how many requests a second one API key may make; 0 is no limit."""

    def __init__(self, keys: ApiKeys, answers: Answers, rate: float) -> None:
        self._keys = keys
        self._answers = answers
        self._buckets = Buckets(rate)

    def around(self, operation: Operation, respond: Respond) -> Respond:
        """The operation as it is served."""

        async def serve(request: web.Request) -> web.StreamResponse:
            await self._look_at_key(operation, request)
            check_query(operation, request)
            key = known_key(request)
            again = request.headers.get(IDEMPOTENCY_KEY, "")
            if not operation.once or key is None or not again:
                return await respond(request)
            return await self._once(request, respond, key.id, again)

        return serve

    async def show_limits(self, request: web.Request, response: web.StreamResponse) -> None:
        """Signal `on_response_prepare`: what a program may still ask (draft-ietf-httpapi-ratelimit-headers-10)."""
        if _TAKEN in request and self._buckets.rate:
            taken = request[_TAKEN]
            window = max(1, math.ceil(1 / self._buckets.rate))
            response.headers["RateLimit-Policy"] = f'"key";q={math.floor(self._buckets.rate * window)};w={window}'
            response.headers["RateLimit"] = f'"key";r={taken.left};t={math.ceil(taken.wait)}'

    async def _once(self, request: web.Request, respond: Respond, caller: str, again: str) -> web.StreamResponse:
        """Does the work, or answers as before. What was refused was not done, and may be tried again."""
        if not _AGAIN.fullmatch(again):
            raise WrongFields([FieldError(IDEMPOTENCY_KEY, "takes 1 to 128 characters of ASCII without spaces")])
        body = await read_body(request, BODY_SIZE)
        said = f"{request.method} {request.rel_url}\n{request.content_type}\n".encode() + body
        now = datetime.datetime.now(datetime.UTC)
        known = await self._answers.begin(caller, again, hashlib.sha256(said).digest(), now)
        if known is not None:
            return web.Response(status=known.status, headers=known.headers, body=known.body)
        done = False
        try:
            response = await respond(request)
            if isinstance(response, web.Response) and response.status < 400:
                kept = {name: response.headers[name] for name in _KEPT if name in response.headers}
                content = response.body if isinstance(response.body, bytes) else b""
                await self._answers.keep(caller, again, Answer(response.status, kept, content))
                done = True
            return response
        finally:
            if not done:
                await asyncio.shield(self._answers.forget(caller, again))

    async def _look_at_key(self, operation: Operation, request: web.Request) -> None:
        """Raises ApiKeyRefused, TooMany, ScopeMissing."""
        text = request.headers.get("Authorization", "").removeprefix(BEARER)
        if not text.startswith(PREFIX):
            if not operation.access:
                raise ApiKeyRefused("takes an API key")
            return
        key = await self._keys.find(text, datetime.datetime.now(datetime.UTC))
        taken = request[_TAKEN] = self._buckets.take(key.id, time.monotonic())
        if not taken.allowed:
            raise TooMany(f"more than {self._buckets.rate:g} requests a second", taken.wait)
        if operation.scope is None and not operation.any_key:
            if operation.is_for_all:
                return
            raise ScopeMissing("takes no API key")
        if operation.scope is not None and operation.scope not in key.scopes:
            raise ScopeMissing(f"takes an API key with the scope {operation.scope}")
        remember_key(request, key)


def check_query(operation: Operation, request: web.Request) -> None:
    """Raises WrongFields for parameters that the operation does not have: what is misspelt would be passed over."""
    fields = operation.query.model_fields if operation.query is not None else {}
    known = [field.alias or name for name, field in fields.items()]
    taken = f"takes {', '.join(known)}" if known else "takes no parameters"
    unknown = [FieldError(name[:60], taken) for name in dict.fromkeys(request.query) if name not in known]
    if unknown:
        raise WrongFields(unknown)
