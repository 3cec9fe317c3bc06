"""A room, the SDK clients in it, and what they publish, watch and hear; all of it ends with the test."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta

import pytest
from livekit import api, rtc

from tests.interop.clients import Camera, Listener, Microphone, Viewer, Watcher, until
from tests.interop.gateway import Gateway, gateway
from tests.service import Service

two_is_long = pytest.mark.parametrize(
    "meeting", [True, pytest.param(False, marks=pytest.mark.long)], ids=["single", "two"], indirect=True
)
"""For stories of many seconds: at every landing with a single PeerConnection, with two before a release."""


@dataclass(frozen=True)
class Meeting:
    """One room of a service. `single` is whether its clients have one PeerConnection or two."""

    service: Service
    room: str
    single: bool
    _stack: AsyncExitStack

    def token(self, identity: str, **grants: object) -> str:
        """A token for the room; `grants` are those of api.VideoGrants beside room and roomJoin."""
        video = api.VideoGrants(room_join=True, room=self.room)
        for name, value in grants.items():
            setattr(video, name, value)
        made = api.AccessToken(self.service.key, self.service.secret).with_identity(identity)
        return made.with_name(identity.title()).with_ttl(timedelta(minutes=10)).with_grants(video).to_jwt()

    async def join(
        self, identity: str, options: rtc.RoomOptions | None = None, *, url: str = "", **grants: object
    ) -> rtc.Room:
        """A client that has joined, by way of `url` where given."""
        options = options or rtc.RoomOptions()
        options.single_peer_connection = self.single
        client = rtc.Room()
        await client.connect(url or self.service.websocket, self.token(identity, **grants), options)
        self._stack.push_async_callback(client.disconnect)
        return client

    async def two(self) -> tuple[rtc.Room, rtc.Room]:
        """Alice and Bob, who see each other."""
        alice, bob = await self.join("alice"), await self.join("bob")
        await until(lambda: "bob" in alice.remote_participants and "alice" in bob.remote_participants, "they meet")
        return alice, bob

    async def gateway(self) -> Gateway:
        """A way to the signalling that can be cut; it outlives the clients that join from now on."""
        return await self._stack.enter_async_context(gateway(self.service.websocket))

    async def two_by(self, way: Gateway) -> tuple[rtc.Room, rtc.Room]:
        """Alice, whose signalling goes by `way`, and Bob, who see each other."""
        alice, bob = await self.join("alice", url=way.url), await self.join("bob")
        await until(lambda: "bob" in alice.remote_participants and "alice" in bob.remote_participants, "they meet")
        return alice, bob

    def camera(self, width: int = 640, height: int = 360, frame_rate: int = 15) -> Camera:
        """A running camera."""
        camera = Camera(width, height, frame_rate)
        self._stack.push_async_callback(camera.stop)
        return camera

    def microphone(self) -> Microphone:
        """A running microphone."""
        microphone = Microphone()
        self._stack.push_async_callback(microphone.stop)
        return microphone

    def view(self, track: rtc.Track) -> Viewer:
        """Goes on reading a video track."""
        viewer = Viewer(track)
        self._stack.push_async_callback(viewer.stop)
        return viewer

    def watch(self, client: rtc.Room) -> Watcher:
        """Goes on reading all video that a client gets."""
        watcher = Watcher(client)
        self._stack.push_async_callback(watcher.stop)
        return watcher

    def listen(self, track: rtc.Track) -> Listener:
        """Goes on reading an audio track."""
        listener = Listener(track)
        self._stack.push_async_callback(listener.stop)
        return listener

    def admin(self) -> api.LiveKitAPI:
        """The server API."""
        made = api.LiveKitAPI(self.service.http, self.service.key, self.service.secret)
        self._stack.push_async_callback(made.aclose)
        return made

    async def permit(self, identity: str, *, publish: bool = True, subscribe: bool = True, data: bool = True) -> None:
        """Changes what a participant may do."""
        permission = api.ParticipantPermission(can_publish=publish, can_subscribe=subscribe, can_publish_data=data)
        await self.admin().room.update_participant(
            api.UpdateParticipantRequest(room=self.room, identity=identity, permission=permission)
        )


@asynccontextmanager
async def meeting_of(service: Service, room: str, *, single: bool) -> AsyncIterator[Meeting]:
    """A room of `service`, for the time of the block."""
    async with AsyncExitStack() as stack:
        yield Meeting(service, room, single, stack)


def publications(client: rtc.Room) -> list[rtc.RemoteTrackPublication]:
    """All publications of others, in the order of their names."""
    found = [one for person in client.remote_participants.values() for one in person.track_publications.values()]
    return sorted(found, key=lambda one: one.name)


async def received(client: rtc.Room, count: int = 1) -> list[rtc.RemoteTrack]:
    """Waits until so many tracks of others are received, and nothing else is published."""

    def there() -> list[rtc.RemoteTrack]:
        return [one.track for one in publications(client) if one.track is not None]

    await until(lambda: len(there()) == len(publications(client)) == count, f"{count} tracks are received")
    return there()


async def decodes(viewer: Viewer | Watcher, what: str, frames: int = 5) -> None:
    """Waits until so many more frames are decoded."""
    goal = viewer.frames + frames
    await until(lambda: viewer.frames >= goal, what)


async def becomes_still(*viewers: Viewer | Watcher, seconds: float = 1.0) -> None:
    """Waits until none of them has decoded a frame for so long."""
    clock = asyncio.get_running_loop().time
    frames, since = [viewer.frames for viewer in viewers], clock()

    def still() -> bool:
        nonlocal frames, since
        if frames != (now := [viewer.frames for viewer in viewers]):
            frames, since = now, clock()
        return clock() - since >= seconds

    await until(still, "no frame comes any more")
