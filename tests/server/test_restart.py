"""A restart in the middle of a meeting: what hosts decided is in force again, for who has an old token too."""

from __future__ import annotations

import time
from pathlib import Path

import aiohttp
import pytest

from server.meetings import Meeting, Meetings
from server.occurrences import Occurrences
from signaling import token
from signaling.host_service import HostService
from signaling.rules import Rules
from tests.application import KEY, SECRET, Site, next_response, running_site

TABS = {"Anna": "A" * 22, "Boris": "B" * 22, "Clara": "C" * 22}


async def asked(site: Site, code: str, name: str, cookies: dict[str, str] | None = None) -> dict[str, str]:
    """What the entrance answers."""
    headers = {"Cookie": "; ".join(f"{key}={value}" for key, value in (cookies or {}).items())} if cookies else {}
    path = f"{site.url}/api/v1/meetings/{code}/join"
    async with site.web.post(path, json={"name": name, "tab": TABS[name]}, headers=headers) as answer:
        found: dict[str, str] = await answer.json()
        return found


async def connected(site: Site, access_token: str) -> aiohttp.ClientWebSocketResponse:
    """A signalling socket that was let in. Raises aiohttp.WSServerHandshakeError where it was not."""
    socket = await site.web.ws_connect(f"{site.url}/rtc", params={"access_token": access_token, "protocol": "16"})
    assert (await next_response(socket)).WhichOneof("message") == "join"
    return socket


async def new_meeting(site: Site) -> tuple[Meeting, dict[str, str]]:
    """A meeting, and the cookie of its host."""
    async with site.web.post(f"{site.url}/api/v1/meetings", json={}) as answer:
        code = (await answer.json())["code"]
        cookies = {name: morsel.value for name, morsel in answer.cookies.items()}
    return await Meetings(site.database).find(code), cookies


async def test_what_hosts_decided_outlives_a_restart(tmp_path: Path) -> None:
    async with running_site(tmp_path) as site:
        meeting, host = await new_meeting(site)
        entered = {name: await asked(site, meeting.code, name, host if name == "Anna" else None) for name in TABS}
        for answer in entered.values():
            await connected(site, answer["token"])
        hosts = HostService(site.node)
        await hosts.set_rules(meeting.room_name, lambda rules: Rules(locked=True, allow=frozenset({"chat"})))
        await hosts.remove(meeting.room_name, entered["Boris"]["identity"], keep_out=True)
        await hosts.set_role(meeting.room_name, entered["Clara"]["identity"], "cohost")
        # A token that nobody has revoked, as a second device of the removed one could hold.
        grants = token.verify(entered["Boris"]["token"], {KEY: SECRET}, time.time())
        unrevoked = token.mint(grants, KEY, SECRET, time.time() + 5, 600)
    async with running_site(tmp_path) as site:
        assert (await asked(site, meeting.code, "Boris"))["code"] == "removed"
        clara = await asked(site, meeting.code, "Clara")
        assert clara["role"] == "cohost"
        await connected(site, entered["Anna"]["token"])
        room = site.node.room(meeting.room_name)
        assert room is not None
        assert room.rules == Rules(locked=True, allow=frozenset({"chat"}))
        with pytest.raises(aiohttp.WSServerHandshakeError):
            await connected(site, unrevoked)
        await connected(site, entered["Clara"]["token"])
        assert room.participants[clara["identity"]].role == "cohost"
        stored = await site.node.store.load_standings(meeting.room_name)
        assert stored[entered["Boris"]["identity"]].kept_out, "other nodes of a cluster know"
    async with running_site(tmp_path) as site:
        held = await Occurrences(site.database).of_meeting(meeting)
        assert [one.occurrence.ended_at for one in held] == [None]


async def test_a_locked_meeting_lets_back_who_was_in_it(tmp_path: Path) -> None:
    async with running_site(tmp_path) as site:
        meeting, _ = await new_meeting(site)
        async with site.joined(meeting.room_name, "guest"):
            await HostService(site.node).set_rules(meeting.room_name, lambda rules: Rules(locked=True))
    async with running_site(tmp_path) as site:
        assert (await asked(site, meeting.code, "Boris"))["code"] == "meeting_locked"


async def test_what_hosts_decided_ends_with_the_occurrence(tmp_path: Path) -> None:
    async with running_site(tmp_path) as site:
        meeting, _ = await new_meeting(site)
        boris = await asked(site, meeting.code, "Boris")
        await connected(site, boris["token"])
        hosts = HostService(site.node)
        await hosts.remove(meeting.room_name, boris["identity"], keep_out=True)
        await hosts.end(meeting.room_name)
    async with running_site(tmp_path) as site:
        assert (await asked(site, meeting.code, "Boris"))["decision"] == "enter"
