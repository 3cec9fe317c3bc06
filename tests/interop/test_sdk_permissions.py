"""What LiveKit's Python SDK may do changes while it is in a room."""

from __future__ import annotations

import asyncio

from livekit import rtc

from tests.interop.clients import until
from tests.interop.meetings import Meeting, becomes_still, decodes, publications, received


async def test_the_right_to_publish_is_given_and_taken(meeting: Meeting) -> None:
    alice = await meeting.join("alice", can_publish=False)
    bob = await meeting.join("bob")
    told: list[bool] = []
    alice.on("participant_permissions_changed", lambda *_: told.append(alice.local_participant.permissions.can_publish))
    gone: list[str] = []
    bob.on("track_unpublished", lambda publication, _: gone.append(publication.sid))
    camera = meeting.camera()
    refused = asyncio.create_task(meeting.camera().publish(alice))  # the SDK waits ten seconds for an answer
    await asyncio.sleep(1)  # none appears meanwhile
    assert publications(bob) == []
    refused.cancel()

    await meeting.permit("alice")
    await until(lambda: told == [True], "Alice is told that she may")
    publication = await camera.publish(alice)
    viewer = meeting.view((await received(bob))[0])
    await decodes(viewer, "Bob sees Alice")

    await meeting.permit("alice", publish=False)
    await until(lambda: gone == [publication.sid], "Bob sees the track end")
    await becomes_still(viewer)
    await until(lambda: told == [True, False], "Alice is told that she may not")


async def test_the_right_to_subscribe_is_taken_and_given(meeting: Meeting) -> None:
    alice, bob = await meeting.two()
    camera = meeting.camera()
    await camera.publish(alice, simulcast=False)
    watcher = meeting.watch(bob)
    await decodes(watcher, "Bob sees Alice")
    await meeting.permit("bob", subscribe=False)
    await until(lambda: not bob.local_participant.permissions.can_subscribe, "Bob is told")
    await becomes_still(watcher)
    await meeting.permit("bob")
    await decodes(watcher, "Bob sees Alice again")


async def test_the_right_to_send_data_is_taken_and_given(meeting: Meeting) -> None:
    alice, bob = await meeting.two()
    got: list[bytes] = []
    bob.on("data_received", lambda packet: got.append(packet.data))
    told: list[bool] = []
    alice.on(
        "participant_permissions_changed", lambda *_: told.append(alice.local_participant.permissions.can_publish_data)
    )

    async def say(word: bytes) -> None:
        await alice.local_participant.publish_data(word, reliable=True)

    await say(b"before")
    await until(lambda: got == [b"before"], "Bob gets it")
    await meeting.permit("alice", data=False)
    await until(lambda: told == [False], "Alice is told")
    await say(b"meanwhile")
    await asyncio.sleep(0.5)  # until the server has it, of which nobody hears
    await meeting.permit("alice")
    await until(lambda: told == [False, True], "Alice is told")
    await say(b"after")
    await until(lambda: got[1:] == [b"after"], "Bob gets what came after")


async def test_a_publisher_chooses_who_may_subscribe(meeting: Meeting) -> None:
    alice, bob = await meeting.two()
    carol = await meeting.join("carol")
    alice.local_participant.set_track_subscription_permissions(
        allow_all_participants=False,
        participant_permissions=[rtc.ParticipantTrackPermission(participant_identity="bob", allow_all=True)],
    )
    camera = meeting.camera()
    await camera.publish(alice, simulcast=False)
    watchers = [meeting.watch(bob), meeting.watch(carol)]
    await decodes(watchers[0], "Bob sees Alice")
    assert [one.track for one in publications(carol)] == [None]
    alice.local_participant.set_track_subscription_permissions(allow_all_participants=True)
    await decodes(watchers[1], "Carol sees Alice")
    alice.local_participant.set_track_subscription_permissions(allow_all_participants=False)
    await becomes_still(*watchers)
