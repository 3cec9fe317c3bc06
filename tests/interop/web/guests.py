"""Guests with LiveKit's JavaScript client, unchanged, in a page of a real browser; several may share a page."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from livekit import api

from tests.browser.people import eventually
from tests.browser.tabs import Browser, Tab
from tests.service import ROOT, Service

SDK = ROOT / "static/node_modules/livekit-client/dist"
FOLDER = Path(__file__).parent
DEADLINE = 30.0  # seconds; encoders and decoders of several guests share two cores

# A story that says little more in Firefox than in Chromium: it takes minutes of `make test-long` only.
firefox_later = pytest.mark.parametrize(
    "browser_name", ["chromium", pytest.param("firefox", marks=pytest.mark.long)], indirect=True
)

# The scripts of most stories: `Guest.run` calls them.
CAMERA = """(room, options, width = 640, height = 360) =>
  room.localParticipant.setCameraEnabled(true, { resolution: { width, height, frameRate: 15 } }, options)"""
MICROPHONE = "(room, on) => room.localParticipant.setMicrophoneEnabled(on)"
SUBSCRIBE = """(room, from, source, on) =>
  room.remoteParticipants.get(from).getTrackPublication(source).setSubscribed(on)"""

# What the client may say though all is well.
EXPECTED = (
    # It gathers changes for a moment before it negotiates them, and may have left by then.
    "could not createOffer with closed peer connection",
    # It looks every few seconds whether its transport has an answer, and on a loaded machine one may be late. At the
    # third look in a row it says that it reconnects.
    r"detected connection state mismatch$",
)


@asynccontextmanager
async def pages() -> AsyncIterator[str]:
    """Serves the page with LiveKit's client as npm has it; yields its address. Loopback: browsers call it secure."""
    app = web.Application()

    async def file(request: web.Request) -> web.FileResponse:
        return web.FileResponse(FOLDER / (request.match_info["name"] or "page.html"))

    app.router.add_static("/sdk", SDK)
    app.router.add_get("/{name:|complaints.js|guests.js}", file)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/"
    finally:
        await runner.cleanup()


@dataclass
class Guest:
    """One participant of a meeting, by the name that is its identity too."""

    name: str
    tab: Tab = field(repr=False)

    async def run(self, function: str, *arguments: object) -> Any:
        """Calls `(room, ...arguments) => ...` in the page."""
        called = f"(name, ...rest) => ({function})(guests[name].room, ...rest)"
        return await self.tab.run(called, self.name, *arguments)

    async def events(self, kind: str) -> list[list[Any]]:
        """What the room said of one kind, oldest first: the values of each event."""
        found: Any = await self.tab.run("(name) => guests[name].events", self.name)
        return [event[1:] for event in found if event[0] == kind]

    async def said(self, kind: str, *values: object, times: int = 1) -> None:
        """Waits for `times` events of a kind that begin with `values`."""

        async def heard() -> bool:
            found = [event for event in await self.events(kind) if event[: len(values)] == list(values)]
            return len(found) >= times

        await self.until(heard, f"{self.name} hears {kind} {values or ''} {times} times")

    async def until(self, condition: Any, what: str) -> None:
        """Waits for a condition; where it does not come, tells what the room said."""
        try:
            await eventually(condition, what, DEADLINE)
        except AssertionError as problem:
            heard = await self.tab.run("(name) => guests[name].events.slice(-30)", self.name)
            complaints = await self.tab.run("() => complaints")
            raise AssertionError(f"{problem}\nevents: {json.dumps(heard)}\ncomplaints: {complaints}") from None

    async def holds(self, function: str, what: str, *arguments: object) -> None:
        """Waits until `(room, ...arguments) => ...` is true."""

        async def true() -> bool:
            return bool(await self.run(function, *arguments))

        await self.until(true, f"{self.name}: {what}")

    async def state(self) -> str:
        found: str = await self.run("(room) => room.state")
        return found

    async def arrives(self, other: str, source: str) -> dict[str, Any]:
        """What arrives of another's track, all zero before it does."""
        found: Any = await self.tab.run("arrives", self.name, other, source)
        return found or {"codec": "", "bytes": 0, "width": 0, "height": 0, "frames": 0, "energy": 0.0}

    async def protocol(self, other: str, source: str = "camera") -> object:
        """What carries another's track: "udp" or "tcp"."""
        return await self.tab.run("protocol", self.name, other, source)

    async def leaves(self, source: str) -> list[dict[str, Any]]:
        """What leaves of the guest's own track, an entry for each encoding, the lowest first."""
        found: list[dict[str, Any]] = await self.tab.run("leaves", self.name, source)  # type: ignore[assignment]
        return found

    async def sees(self, other: str, source: str = "camera", frames: int = 10) -> dict[str, Any]:
        """Waits until more frames of another's picture are decoded; returns what arrives then."""
        first = (await self.arrives(other, source))["frames"]

        async def moved() -> bool:
            nonlocal first
            now = (await self.arrives(other, source))["frames"]
            first = min(first, now)  # a track that has come anew counts from none
            return bool(now >= first + frames)

        await self.until(moved, f"{self.name} sees the {source} of {other}")
        return await self.arrives(other, source)

    async def sees_size(self, other: str, fits: Any, what: str, source: str = "camera") -> None:
        """Waits until the picture of another has a height that fits, and moves."""

        async def right() -> bool:
            return bool(fits((await self.arrives(other, source))["height"]))

        await self.until(right, f"{self.name} sees {other} {what}")
        await self.sees(other, source)

    async def hears(self, other: str) -> None:
        """Waits until sound of another arrives that is above silence."""
        first = (await self.arrives(other, "microphone"))["energy"]

        async def louder() -> bool:
            nonlocal first
            now = (await self.arrives(other, "microphone"))["energy"]
            first = min(first, now)
            return bool(now > first + 1e-3)

        await self.until(louder, f"{self.name} hears {other}")

    async def becomes_still(self, other: str, source: str = "camera") -> None:
        """Waits until neither a frame nor sound of another comes any more for a second."""

        async def still() -> bool:
            before = await self.arrives(other, source)
            await asyncio.sleep(1.0)  # the window of the measurement
            after = await self.arrives(other, source)
            return bool(after["frames"] == before["frames"] and after["energy"] - before["energy"] < 1e-6)

        await self.until(still, f"{self.name} gets nothing of the {source} of {other}")


@dataclass
class Meeting:
    """A room of the service that guests of one or several tabs join."""

    service: Service
    room: str
    single: bool

    async def join(self, tab: Tab, name: str, *, grants: dict[str, object] | None = None, **options: object) -> Guest:
        """A guest in the room. `options` are those of the client's Room, `connect` those of its `connect`, `key` a
        passphrase for encryption from end to end; `grants` go over the usual ones of the token.
        """
        token = access_token(self.service, self.room, name, **(grants or {}))
        url = self.service.websocket
        await tab.run("join", name, url, token, {"singlePeerConnection": self.single, **options})
        return Guest(name, tab)


def access_token(service: Service, room: str, identity: str, **grants: object) -> str:
    """A token for one room with more or less than the usual grants."""
    allowed = api.VideoGrants(room_join=True, room=room, **grants)  # type: ignore[arg-type]
    token = api.AccessToken(service.key, service.secret).with_identity(identity).with_ttl(timedelta(minutes=10))
    return token.with_grants(allowed).to_jwt()


async def see_and_hear_each_other(one: Guest, other: Guest) -> None:
    await asyncio.gather(one.sees(other.name), other.sees(one.name))
    await asyncio.gather(one.hears(other.name), other.hears(one.name))


async def ends_clean(tab: Tab, allowed: tuple[str, ...]) -> None:
    """Everybody leaves, and the page had nothing to complain of but what is expected or `allowed` (patterns)."""
    await tab.run("leave")
    complaints: Any = await tab.run("() => complaints")
    patterns = (*EXPECTED, *allowed)
    wrong = [line for line in complaints if not any(re.search(pattern, line) for pattern in patterns)]
    assert not wrong, "the page complained:\n" + "\n".join(wrong)


@asynccontextmanager
async def page_of(browser: Browser, address: str, *allowed: str) -> AsyncIterator[Tab]:
    """A page for the time of a test: see `ends_clean`."""
    tab = await browser.open(address)
    try:
        yield tab
        await ends_clean(tab, allowed)
    finally:
        await tab.close()
