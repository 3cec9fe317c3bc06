"""A client's address changes under it, as from Wi-Fi to a mobile network: media go on, and nobody joins again."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.interop.clients import until
from tests.interop.complaints import unexplained
from tests.interop.meetings import Meeting, decodes, publications, two_is_long
from tests.interop.roaming import number_of, numbered
from tests.link import FAR_ADDRESS, NEAR_ADDRESS, ROOT, Link

NEW_ADDRESS = "198.18.1.3"
PATIENCE = 60.0
"""Seconds until signalling is back: the client notices after fifteen seconds without a pong."""


class Roamer:
    """The client in the far namespace: `seen` is what it told last."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.seen: dict[str, Any] = {"frames": 0, "told": [], "sid": "", "sent": 0, "heard": []}
        self._process = process
        assert process.stderr is not None
        self._task = asyncio.create_task(self._read())
        self._complaints = asyncio.create_task(process.stderr.read())

    async def _read(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            self.seen = json.loads(line)

    def do(self, word: str) -> None:
        """Asks it to `mute`, to `talk` or to `hush`."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{word}\n".encode())

    async def stop(self) -> list[str]:
        """Ends it; what it wrote to its standard error."""
        self._process.kill()
        _, complaints = await asyncio.gather(self._task, self._complaints)
        await self._process.wait()
        return complaints.decode().splitlines()


@asynccontextmanager
async def roaming(meeting: Meeting, link: Link) -> AsyncIterator[Roamer]:
    """Somebody who has joined from behind the link."""
    kind = "single" if meeting.single else "two"
    program = (sys.executable, ROOT / "tests" / "interop" / "roaming.py")
    command = link.far(*map(str, program), meeting.service.websocket, meeting.token("roamer"), kind)
    pipe = asyncio.subprocess.PIPE
    roamer = Roamer(await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, stderr=pipe))
    complaints: list[str] = []
    try:
        yield roamer
    finally:
        complaints = await roamer.stop()
    assert unexplained(complaints, cut=True) == []


async def move(link: Link) -> None:
    """Takes the far namespace's address away, and gives it another."""
    for step in (
        f"address delete {FAR_ADDRESS}/24 dev link1",
        f"address add {NEW_ADDRESS}/24 dev link1",
        f"route add default via {NEAR_ADDRESS}",
    ):
        await asyncio.to_thread(subprocess.run, link.far("ip", *step.split()), check=True)
    await asyncio.sleep(0.5)  # until what was under way has come


@two_is_long
@pytest.mark.parametrize("until_resumed", [False, pytest.param(True, marks=pytest.mark.long)], ids=["media", "all"])
async def test_the_address_changes(meeting: Meeting, until_resumed: bool) -> None:
    alice = await meeting.join("alice")
    camera, watcher = meeting.camera(320, 180), meeting.watch(alice)
    gone: list[str] = []
    alice.on("participant_disconnected", lambda participant: gone.append(participant.identity))
    alice.on("track_unpublished", lambda publication, _: gone.append(publication.name))
    await camera.publish(alice, simulcast=False)
    with Link() as link:
        async with roaming(meeting, link) as roamer:
            await until(lambda: roamer.seen["frames"] > 10, "the roamer sees Alice")
            await decodes(watcher, "Alice sees the roamer")
            sid, clock = roamer.seen["sid"], asyncio.get_running_loop().time
            begun = clock()
            await move(link)
            before = roamer.seen["frames"], watcher.frames
            await until(lambda: roamer.seen["frames"] > before[0] + 5, "the roamer goes on to see Alice")
            await until(lambda: watcher.frames > before[1] + 5, "Alice goes on to see the roamer")
            print(f"media again {clock() - begun:.1f} s after the change")
            assert "reconnecting" not in roamer.seen["told"], "before the signalling is back"
            if until_resumed:
                await until(lambda: "reconnected" in roamer.seen["told"], "signalling is back", PATIENCE)
                print(f"signalling again {clock() - begun:.1f} s after the change")
                roamer.do("mute")
                await until(lambda: any(one.muted for one in publications(alice)), "Alice sees the roamer mute")
            assert roamer.seen["sid"] == sid
            assert "republished" not in roamer.seen["told"]
            assert gone == [], "nobody joined again"


@pytest.mark.long
async def test_what_is_said_while_the_network_is_gone_is_heard_after_it(meeting: Meeting) -> None:
    """Nothing gets through to the roamer until its client notices and resumes: both hear all, once and in order."""
    alice = await meeting.join("alice")
    got: list[int] = []
    alice.on("data_received", lambda packet: got.append(number_of(packet.data)))
    sent = 0
    with Link() as link:
        async with roaming(meeting, link) as roamer:
            await until(
                lambda: roamer.seen["sid"] in {one.sid for one in alice.remote_participants.values()}, "they meet"
            )
            sid, told = roamer.seen["sid"], roamer.seen["told"]
            roamer.do("talk")
            await until(lambda: len(got) > 10, "Alice hears the roamer")
            link.both("loss=100%")
            while "reconnected" not in roamer.seen["told"]:
                await alice.local_participant.publish_data(numbered(sent), reliable=True)
                sent += 1
                await asyncio.sleep(0.05)  # twenty in a second
                if told != roamer.seen["told"]:
                    told = roamer.seen["told"]
                    print(f"{told} after {sent} messages")
                    link.both("loss=0%")
                assert sent < 20 * PATIENCE, f"no resume: {told}"
            roamer.do("hush")
            await until(lambda: roamer.seen["heard"] == list(range(sent)), "the roamer has heard all")
            await until(lambda: got == list(range(roamer.seen["sent"])), "and Alice")
            assert roamer.seen["sid"] == sid
            assert "republished" not in roamer.seen["told"]
