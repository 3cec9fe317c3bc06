"""LiveKit's Python SDK when its signalling breaks, when a resume is refused, and when the server dies."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from livekit import rtc

from tests.interop.clients import Viewer, until
from tests.interop.meetings import Meeting, decodes, meeting_of, publications, received, two_is_long
from tests.service import running_service

pytestmark = pytest.mark.cuts

RESUMED = ["reconnecting", "reconnected"]


class Story:
    """What happens to a client, as `told`: its reconnects, and who comes and goes before its eyes."""

    def __init__(self, client: rtc.Room) -> None:
        self.told: list[str] = []
        client.on("reconnecting", lambda: self.told.append("reconnecting"))
        client.on("reconnected", lambda: self.told.append("reconnected"))
        client.on("participant_connected", lambda who: self.told.append(f"{who.identity} came"))
        client.on("participant_disconnected", lambda who: self.told.append(f"{who.identity} went"))


class Talk:
    """A client that sends numbered reliable messages without a pause, and another that writes down what it gets."""

    def __init__(self, sender: rtc.Room, receiver: rtc.Room) -> None:
        self.sent: list[bytes] = []
        self.got: list[bytes] = []
        self._sender = sender
        receiver.on("data_received", lambda packet: self.got.append(packet.data))
        self._task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        while True:
            message = f"message {len(self.sent)}".encode()
            self.sent.append(message)
            await self._sender.local_participant.publish_data(message, reliable=True)
            await asyncio.sleep(0.02)  # fifty in a second

    async def goes_on(self, messages: int = 20) -> None:
        """Waits until so many more have been sent."""
        goal = len(self.sent) + messages
        await until(lambda: len(self.sent) >= goal, "messages are sent")

    async def arrives_whole(self) -> None:
        """Ends it: everything arrives, each once and in order."""
        await self.goes_on()
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self.sent.append(b"the last")
        await self._sender.local_participant.publish_data(b"the last", reliable=True)
        await until(lambda: b"the last" in self.got, "all messages arrive")
        assert self.got == self.sent


@pytest.mark.parametrize("cut", [pytest.param("by the client", marks=pytest.mark.long), "by the path"])
async def test_a_resume_keeps_all_that_is_sent(meeting: Meeting, cut: str) -> None:
    """Both ways: Alice's messages and her camera, and Bob's messages to her."""
    way = await meeting.gateway()
    alice, bob = await meeting.two_by(way)
    hers, his = Story(alice), Story(bob)
    camera = meeting.camera()
    await camera.publish(alice)
    viewer = meeting.view((await received(bob))[0])
    await decodes(viewer, "Bob sees Alice")
    sid, track = alice.local_participant.sid, publications(bob)[0].sid
    up, down = Talk(alice, bob), Talk(bob, alice)
    await up.goes_on()
    if cut == "by the path":
        way.cut()
    else:
        await alice.simulate_scenario(rtc.SimulateScenarioKind.SIMULATE_SIGNAL_RECONNECT)
    await until(lambda: hers.told == RESUMED, "Alice resumes")
    await asyncio.gather(up.arrives_whole(), down.arrives_whole())
    await decodes(viewer, "Bob goes on to see Alice")
    assert (alice.local_participant.sid, publications(bob)[0].sid) == (sid, track)
    assert his.told == [], "nobody else notices"


@two_is_long
async def test_a_resume_after_a_resume_keeps_all_that_is_sent(meeting: Meeting) -> None:
    """The second cut comes as soon as the client says that it is back."""
    way = await meeting.gateway()
    alice, bob = await meeting.two_by(way)
    hers, his = Story(alice), Story(bob)
    sid = alice.local_participant.sid
    up, down = Talk(alice, bob), Talk(bob, alice)
    await up.goes_on()
    way.cut()
    await until(lambda: hers.told == RESUMED, "Alice resumes")
    way.cut()
    await until(lambda: hers.told == RESUMED * 2, "Alice resumes again")
    await asyncio.gather(up.arrives_whole(), down.arrives_whole())
    assert alice.local_participant.sid == sid
    assert his.told == [], "nobody else notices"


@two_is_long
async def test_a_resume_that_breaks_ends_in_one_session(meeting: Meeting) -> None:
    """The second connection is cut as soon as the server has answered on it: this SDK then joins anew."""
    way = await meeting.gateway()
    alice, bob = await meeting.two_by(way)
    hers = Story(alice)
    camera = meeting.camera()
    await camera.publish(alice)
    watcher = meeting.watch(bob)
    await decodes(watcher, "Bob sees Alice")
    sid = alice.local_participant.sid
    way.cut_answers(1)
    await until(lambda: "reconnected" in hers.told, "Alice is back")
    await until(lambda: bob.remote_participants["alice"].sid != sid, "Bob sees her new session")
    await until(lambda: len(publications(bob)) == 1 and publications(bob)[0].track is not None, "with one camera")
    await decodes(watcher, "Bob sees Alice again")
    up, down = Talk(alice, bob), Talk(bob, alice)
    await asyncio.gather(up.arrives_whole(), down.arrives_whole())


async def test_what_is_muted_while_the_signalling_is_gone_is_muted_after_the_resume(meeting: Meeting) -> None:
    way = await meeting.gateway()
    alice, bob = await meeting.two_by(way)
    hers = Story(alice)
    microphone = meeting.microphone()
    await microphone.publish(alice)
    listener = meeting.listen((await received(bob))[0])
    await until(lambda: listener.loudest > 3000, "Bob hears Alice")
    way.shut()
    await until(lambda: hers.told == RESUMED[:1], "Alice notices")
    microphone.track.mute()
    await asyncio.sleep(0.5)  # nothing of it comes to Bob meanwhile
    assert not publications(bob)[0].muted
    way.open()
    await until(lambda: publications(bob)[0].muted, "Bob sees that Alice is muted")
    microphone.track.unmute()
    await until(lambda: not publications(bob)[0].muted, "and that she speaks again")


async def comes_back(bob: rtc.Room, meeting: Meeting, viewer: Viewer) -> None:
    """Waits until Bob sees Alice's camera by another track than the viewer's."""
    before = viewer.frames
    await until(lambda: any(one.track is not None for one in publications(bob)), "Bob gets a track")
    tracks = await received(bob)
    await decodes(meeting.view(tracks[0]), f"Bob sees Alice again, after {before} frames")


@pytest.mark.parametrize(
    "scenario",
    [
        rtc.SimulateScenarioKind.SIMULATE_FULL_RECONNECT,
        rtc.SimulateScenarioKind.SIMULATE_NODE_FAILURE,
        pytest.param(
            rtc.SimulateScenarioKind.SIMULATE_DISCONNECT_SIGNAL_ON_RESUME,
            marks=pytest.mark.long,
        ),
    ],
    ids=["the server says so", "the server knows nothing of it", "the resume is cut"],
)
async def test_who_cannot_resume_joins_again(meeting: Meeting, scenario: rtc.SimulateScenarioKind.ValueType) -> None:
    alice, bob = await meeting.two()
    republished: list[str] = []
    alice.on("local_track_republished", lambda publication, _: republished.append(publication.sid))
    camera = meeting.camera()
    first = (await camera.publish(alice)).sid
    viewer = meeting.view((await received(bob))[0])
    await decodes(viewer, "Bob sees Alice")
    await alice.simulate_scenario(scenario)
    await until(lambda: bool(republished), "Alice publishes again")
    assert republished != [first]
    await until(lambda: [one.sid for one in publications(bob)] == republished, "Bob sees the new track alone")
    await comes_back(bob, meeting, viewer)
    up, down = Talk(alice, bob), Talk(bob, alice)
    await asyncio.gather(up.arrives_whole(), down.arrives_whole())


@pytest.mark.parametrize("single", [True, pytest.param(False, marks=pytest.mark.long)], ids=["single", "two"])
async def test_clients_outlive_the_server(network: None, tmp_path: Path, single: bool) -> None:
    """It is killed and started again: both join anew, publish again, and see each other."""
    with running_service(tmp_path) as service:
        async with meeting_of(service, "restarted", single=single) as meeting:
            alice, bob = await meeting.two()
            stories = [Story(alice), Story(bob)]
            camera, microphone = meeting.camera(), meeting.microphone()
            await camera.publish(alice)
            await microphone.publish(bob)
            viewer = meeting.view((await received(bob))[0])
            await decodes(viewer, "Bob sees Alice")
            await received(alice)
            service.kill()
            await until(lambda: all("reconnecting" in story.told for story in stories), "both notice")
            await asyncio.to_thread(service.start)
            await until(lambda: all("reconnected" in story.told for story in stories), "both are back", 90)
            await comes_back(bob, meeting, viewer)
            listener = meeting.listen((await received(alice))[0])
            await until(lambda: listener.loudest > 3000, "Alice hears Bob again")
            up, down = Talk(alice, bob), Talk(bob, alice)
            await asyncio.gather(up.arrives_whole(), down.arrives_whole())
