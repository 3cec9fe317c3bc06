"""What guests with LiveKit's JavaScript client may do and see: rights, subscriptions, those who hide or are late."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from livekit import api

from tests.browser.tabs import Tab
from tests.interop.web.guests import CAMERA, MICROPHONE, SUBSCRIBE, Guest, Meeting, firefox_later
from tests.service import Service

pytestmark = pytest.mark.asyncio(loop_scope="package")

NAMES = "(room) => [...room.remoteParticipants.keys()].sort()"
MAY_PUBLISH = "(room) => room.localParticipant.permissions.canPublish"
TRACKS = """(room, from) =>
  [...(room.remoteParticipants.get(from)?.trackPublications.values() ?? [])].map((one) => one.source).sort()"""
ABOUT = """(room, from) => {
  const { metadata, attributes } = room.remoteParticipants.get(from);
  return [metadata, attributes];
}"""
# The name of the error that publishing ends with.
REFUSED = """async (room) => {
  try {
    await room.localParticipant.setMicrophoneEnabled(true);
    return '';
  } catch (problem) {
    return problem.name;
  }
}"""


@pytest_asyncio.fixture(loop_scope="package")
async def livekit(service: Service) -> AsyncIterator[api.LiveKitAPI]:
    client = api.LiveKitAPI(service.http, service.key, service.secret)
    yield client
    await client.aclose()


async def allow(
    livekit: api.LiveKitAPI, meeting: Meeting, who: Guest, *, publish: bool = True, subscribe: bool = True
) -> None:
    allowed = api.ParticipantPermission(can_publish=publish, can_subscribe=subscribe, can_publish_data=True)
    request = api.UpdateParticipantRequest(room=meeting.room, identity=who.name, permission=allowed)
    await livekit.room.update_participant(request)


@firefox_later
@pytest.mark.complains("insufficient permissions to publish")
async def test_the_right_to_publish_comes_and_goes(page: Tab, meeting: Meeting, livekit: api.LiveKitAPI) -> None:
    anna = await meeting.join(page, "anna", grants={"can_publish": False})
    boris = await meeting.join(page, "boris")
    assert await anna.run(REFUSED) == "PublishTrackError"
    await allow(livekit, meeting, anna)
    await anna.holds(MAY_PUBLISH, "may publish")
    await anna.run(MICROPHONE, True)
    await boris.hears("anna")
    await allow(livekit, meeting, anna, publish=False)
    await anna.said("localTrackUnpublished", "microphone")
    await boris.said("trackUnpublished", "microphone", "anna")
    assert await anna.run(TRACKS, "anna") == []


async def test_the_right_to_subscribe_comes_and_goes(page: Tab, meeting: Meeting, livekit: api.LiveKitAPI) -> None:
    anna = await meeting.join(page, "anna")
    boris = await meeting.join(page, "boris")
    await anna.run(CAMERA)
    await boris.sees("anna")
    await allow(livekit, meeting, boris, subscribe=False)
    await boris.said("trackUnsubscribed", "camera")
    await allow(livekit, meeting, boris)
    await boris.said("trackSubscribed", "camera", times=2)
    await boris.sees("anna")


@firefox_later
async def test_a_publisher_chooses_who_may_watch(page: Tab, meeting: Meeting) -> None:
    anna = await meeting.join(page, "anna")
    boris = await meeting.join(page, "boris")
    clara = await meeting.join(page, "clara")
    await anna.run("""(room) => room.localParticipant.setTrackSubscriptionPermissions(
      false, [{ participantIdentity: 'boris', allowAll: true }])""")
    await anna.run(CAMERA)
    await boris.sees("anna")
    assert await clara.events("trackSubscribed") == []
    await anna.run("(room) => room.localParticipant.setTrackSubscriptionPermissions(true)")
    await clara.sees("anna")


async def test_who_subscribes_by_hand_gets_what_is_asked_for(page: Tab, meeting: Meeting) -> None:
    anna = await meeting.join(page, "anna")
    await anna.run(CAMERA)
    await anna.run(MICROPHONE, True)
    boris = await meeting.join(page, "boris", connect={"autoSubscribe": False})
    await boris.holds(f"(room) => ({TRACKS})(room, 'anna').join() === 'camera,microphone'", "knows both tracks")
    await boris.run(SUBSCRIBE, "anna", "microphone", True)
    await boris.hears("anna")
    assert await boris.events("trackSubscribed") == [["microphone", "microphone", "anna"]]
    await boris.run(SUBSCRIBE, "anna", "camera", True)
    await boris.sees("anna")
    await boris.run(SUBSCRIBE, "anna", "microphone", False)
    await boris.said("trackUnsubscribed", "microphone")
    await boris.sees("anna")


@firefox_later
async def test_who_hides_sees_and_is_not_seen(page: Tab, meeting: Meeting) -> None:
    anna = await meeting.join(page, "anna")
    await anna.run(CAMERA)
    hidden = await meeting.join(page, "hidden", grants={"hidden": True, "can_publish": False})
    await hidden.sees("anna")
    boris = await meeting.join(page, "boris")
    await anna.said("participantConnected", "boris")
    assert await anna.run(NAMES) == ["boris"]
    assert await boris.run(NAMES) == ["anna"]
    assert await hidden.run(NAMES) == ["anna", "boris"]


@firefox_later
async def test_who_comes_late_gets_everything(page: Tab, meeting: Meeting) -> None:
    anna = await meeting.join(page, "anna", grants={"can_update_own_metadata": True})
    boris = await meeting.join(page, "boris")
    for one in (anna, boris):
        await one.run(CAMERA)
        await one.run(MICROPHONE, True)
    await anna.run("(room) => room.localParticipant.setMetadata('about anna')")
    await anna.run("(room) => room.localParticipant.setAttributes({ hand: 'up' })")
    late = await meeting.join(page, "late")
    for one in (anna, boris):
        await late.sees(one.name)
        await late.hears(one.name)
    found = await late.run(ABOUT, "anna")
    assert found == ["about anna", {"hand": "up"}]


# The server closes what the older one had while it is still being told.
@firefox_later
@pytest.mark.complains("closed unexpectedly", "DataChannel error")
async def test_the_same_name_again_takes_the_place_of_the_first(page: Tab, meeting: Meeting) -> None:
    boris = await meeting.join(page, "boris")
    anna = await meeting.join(page, "anna")
    await anna.run(CAMERA)
    await boris.sees("anna")
    await page.run("() => { guests.older = guests.anna; }")
    older = Guest("older", page)
    again = await meeting.join(page, "anna")
    await older.said("disconnected", await older.run("() => LivekitClient.DisconnectReason.DUPLICATE_IDENTITY"))
    await again.run(CAMERA)
    await boris.sees("anna")
    assert await boris.run(NAMES) == ["anna"]
    assert await again.run(NAMES) == ["boris"]


# The server closes what the removed one had while it is still being told.
@firefox_later
@pytest.mark.complains("closed unexpectedly", "DataChannel error")
async def test_an_administrator_mutes_and_removes(page: Tab, meeting: Meeting, livekit: api.LiveKitAPI) -> None:
    anna = await meeting.join(page, "anna")
    boris = await meeting.join(page, "boris")
    await anna.run(MICROPHONE, True)
    await boris.hears("anna")
    sid = await anna.run("(room) => room.localParticipant.getTrackPublication('microphone').trackSid")
    await livekit.room.mute_published_track(
        api.MuteRoomTrackRequest(room=meeting.room, identity="anna", track_sid=sid, muted=True)
    )
    await anna.said("trackMuted", "microphone", "anna")
    await boris.said("trackMuted", "microphone", "anna")
    await livekit.room.remove_participant(api.RoomParticipantIdentity(room=meeting.room, identity="anna"))
    removed = await anna.run("() => LivekitClient.DisconnectReason.PARTICIPANT_REMOVED")
    await anna.said("disconnected", removed)
    await boris.said("participantDisconnected", "anna")
