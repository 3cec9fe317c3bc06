"""Webhooks over the API: made, told, looked at, sent once more; for administrators and keys with the scope alone."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.application import DEADLINE, Site, running_site
from tests.server.programs import Program, program
from tests.server.subscriber import subscriber

WEBHOOKS = "/webhooks"


@pytest.fixture
async def site(tmp_path: Path, database_url: str) -> AsyncIterator[Site]:
    given = {"database.url": database_url, "webhook.allow_networks": "127.0.0.0/8"}
    async with running_site(tmp_path, given) as running:
        yield running


async def settled(asking: Program, path: str) -> dict[str, object]:
    """The newest message of a log, once it was delivered or given up."""
    async with asyncio.timeout(DEADLINE):
        while True:
            newest: dict[str, object] = (await asking.ask("GET", path)).body["deliveries"][0]
            if newest["status"] != "waiting":
                return newest
            await asyncio.sleep(0.02)


def signature(secret: str, headers: dict[str, str], body: bytes) -> str:
    """As Standard Webhooks has it."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    said = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    return "v1," + base64.b64encode(hmac.digest(key, said, hashlib.sha256)).decode()


async def test_who_subscribes_is_told_and_sees_what_was_sent(site: Site) -> None:
    asking = await program(site)
    async with subscriber() as other:
        made = await asking.ask("POST", WEBHOOKS, {"url": other.url, "events": ["meeting.created"]})
        assert made.status == 201
        webhook, secret = made.body["webhook"], made.body["secret"]
        assert (webhook["url"], webhook["events"], webhook["disabled_at"]) == (other.url, ["meeting.created"], None)
        assert secret not in str((await asking.ask("GET", WEBHOOKS)).body)
        assert (await asking.ask("GET", f"{WEBHOOKS}/{webhook['id']}")).body == webhook

        meeting = await asking.ask("POST", "/meetings", {"title": "Weekly"})
        assert meeting.status == 201
        await other.has(1)
        headers, body = other.requests[0]
        assert signature(secret, headers, body) in headers["webhook-signature"].split()
        assert json.loads(body)["meeting"]["id"] == meeting.body["id"]
        log = f"{WEBHOOKS}/{webhook['id']}/deliveries"
        sent = await settled(asking, log)
        assert (sent["event"], sent["status"], sent["answer"], sent["attempts"]) == (
            "meeting.created",
            "delivered",
            "HTTP 200",
            1,
        )
        assert sent["body"] == body.decode()
        assert (await asking.ask("GET", f"{log}/{sent['id']}")).body == sent

        again = await asking.ask("POST", f"{log}/{sent['id']}/replay")
        assert (again.status, again.body["event_id"]) == (202, sent["event_id"])
        assert again.body["id"] != sent["id"]
        await other.has(2)
        assert other.requests[1][1] == body

        renewed = (await asking.ask("POST", f"{WEBHOOKS}/{webhook['id']}/rotate")).body["secret"]
        assert (await asking.ask("POST", f"{WEBHOOKS}/{webhook['id']}/test")).status == 202
        await other.has(3)
        headers, body = other.requests[2]
        assert {signature(one, headers, body) for one in (secret, renewed)} == set(headers["webhook-signature"].split())
        await settled(asking, log)

        first = (await asking.ask("GET", f"{log}?limit=2")).body
        rest = (await asking.ask("GET", f"{log}?limit=2&cursor={first['next_cursor']}")).body
        shown = [one["event"] for one in (*first["deliveries"], *rest["deliveries"])]
        assert shown == ["webhook.test", "meeting.created", "meeting.created"]
        assert rest["next_cursor"] is None
        assert (await asking.ask("GET", f"{log}?status=failed")).body["deliveries"] == []


async def test_a_webhook_is_changed_turned_off_and_removed(site: Site) -> None:
    asking = await program(site)
    made = (await asking.ask("POST", WEBHOOKS, {"url": "http://127.0.0.1:9/hook"})).body["webhook"]
    path = f"{WEBHOOKS}/{made['id']}"
    changed = await asking.ask("PATCH", path, {"events": ["lobby.knocked"], "enabled": False})
    assert (changed.status, changed.body["events"]) == (200, ["lobby.knocked"])
    assert changed.body["disabled_at"] is not None
    assert (await asking.ask("PATCH", path, {"enabled": True})).body["disabled_at"] is None
    assert (await asking.ask("DELETE", path)).status == 204
    for method, where in (("GET", path), ("DELETE", path), ("POST", f"{path}/test"), ("GET", f"{path}/deliveries")):
        gone = await asking.ask(method, where)
        assert (gone.status, gone.body["code"]) == (404, "webhook_not_found")
    lost = await asking.ask("POST", f"{path}/deliveries/DL_1/replay")
    assert (lost.status, lost.body["code"]) == (404, "delivery_not_found")


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({}, "url: "),
        ({"url": "ftp://192.0.2.1/"}, "url: "),
        ({"url": "http://169.254.169.254/latest"}, "url: "),
        ({"url": "http://10.0.0.1/"}, "url: "),
        ({"url": "http://127.0.0.1/", "events": ["meeting.exploded"]}, "events.0: "),
        ({"url": "http://127.0.0.1/", "secret": "mine"}, "secret: "),
    ],
)
async def test_a_webhook_that_cannot_be_is_refused(site: Site, body: object, words: str) -> None:
    asking = await program(site)
    refused = await asking.ask("POST", WEBHOOKS, body)
    assert refused.status == 422
    assert refused.body["detail"].startswith(words)
    assert (await asking.ask("GET", WEBHOOKS)).body == {"webhooks": []}


async def test_webhooks_are_for_keys_with_the_scope(site: Site) -> None:
    reader, other = await program(site, "webhooks:read"), await program(site, "meetings:write")
    assert (await reader.ask("GET", WEBHOOKS)).status == 200
    assert (await reader.ask("POST", WEBHOOKS, {"url": "http://127.0.0.1/"})).status == 403
    assert (await other.ask("GET", WEBHOOKS)).status == 403
    assert (await Program(site, "").ask("GET", WEBHOOKS)).status == 401
