"""A meeting that was made as the landing page does, with a host; LiveKit's Python SDK joins by the tokens it gives."""

from __future__ import annotations

import asyncio
import base64
import json
import secrets
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from livekit import rtc
from livekit.rtc.participant import PublishTrackError

from tests.interop.clients import Camera, Listener, Microphone
from tests.interop.meetings import publications
from tests.service import Service

HOST_COOKIE = "veche_host"


@dataclass
class HostedMeeting:
    """One meeting of a service. `single` is whether its clients have one PeerConnection or two."""

    service: Service
    code: str
    host_secret: str
    single: bool
    _stack: AsyncExitStack
    tokens: dict[str, str] = field(default_factory=dict)
    """What each was given when it joined, by name."""
    tabs: dict[str, str] = field(default_factory=dict)

    async def token(self, name: str, *, host: bool = False) -> str:
        """Asks to come in, and is given a token. Raises urllib.error.HTTPError."""
        tab = self.tabs.setdefault(name, base64.urlsafe_b64encode(secrets.token_bytes(16)).decode())
        entered = await self._ask("POST", "/join", {"name": name, "tab": tab}, host=host)
        self.tokens[name] = str(entered["token"])
        return self.tokens[name]

    async def join(self, name: str, *, host: bool = False) -> rtc.Room:
        """A client that has joined."""
        return await self.connect(await self.token(name, host=host))

    async def connect(self, token: str) -> rtc.Room:
        """A client that has joined by a token. Raises rtc.ConnectError."""
        client = rtc.Room()
        options = rtc.RoomOptions(single_peer_connection=self.single)
        await client.connect(self.service.websocket, token, options)
        self._stack.push_async_callback(client.disconnect)
        return client

    async def refuses(self, token: str) -> bool:
        """Whether a client with this token is not let in."""
        try:
            await self.connect(token)
        except rtc.ConnectError:
            return True
        return False

    async def do(self, verb: str, path: str, body: object = None) -> Any:
        """The host does something in the meeting. Raises urllib.error.HTTPError."""
        return await self._ask(verb, f"/live{path}", body, host=True)

    async def allow(self, *words: str, **rules: object) -> None:
        """Attendees may do this and nothing else."""
        await self.do("PATCH", "/rules", {"allow": list(words), **rules})

    async def _ask(self, verb: str, path: str, body: object, *, host: bool) -> Any:
        headers = {"Content-Type": "application/json"}
        if host:
            headers["Cookie"] = f"{HOST_COOKIE}={self.host_secret}"
        address = f"{self.service.http}/api/v1/meetings/{self.code}{path}"
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(address, data=data, headers=headers, method=verb)

        def ask() -> Any:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return json.loads(answer.read() or b"null")

        return await asyncio.to_thread(ask)

    def microphone(self) -> Microphone:
        """A running microphone."""
        microphone = Microphone()
        self._stack.push_async_callback(microphone.stop)
        return microphone

    def camera(self) -> Camera:
        """A running camera."""
        camera = Camera(640, 360, 15)
        self._stack.push_async_callback(camera.stop)
        return camera

    def listen(self, track: rtc.Track) -> Listener:
        """Goes on reading an audio track."""
        listener = Listener(track)
        self._stack.push_async_callback(listener.stop)
        return listener


@asynccontextmanager
async def hosted_meeting(service: Service, *, single: bool) -> AsyncIterator[HostedMeeting]:
    """A new meeting, for the time of the block; nobody is in it yet."""

    def make() -> tuple[str, str]:
        request = urllib.request.Request(
            f"{service.http}/api/v1/meetings", data=b"{}", headers={"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            cookie = answer.headers["Set-Cookie"].partition(";")[0].partition("=")[2]
            return json.load(answer)["code"], cookie

    code, secret = await asyncio.to_thread(make)
    async with AsyncExitStack() as stack:
        yield HostedMeeting(service, code, secret, single, stack)


async def try_to_publish(client: rtc.Room, track: rtc.LocalTrack, source: rtc.TrackSource.ValueType) -> bool:
    """Whether a track is published: the SDK itself waits ten seconds for an answer to a request that is refused."""
    options = rtc.TrackPublishOptions(source=source, simulcast=False)
    try:
        await client.local_participant.publish_track(track, options)
    except PublishTrackError:
        return False
    return True


def sees(client: rtc.Room) -> list[str]:
    """Names of the sources that others publish, as a client sees them."""
    return [rtc.TrackSource.Name(one.source).removeprefix("SOURCE_").lower() for one in publications(client)]
