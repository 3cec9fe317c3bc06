"""What hosts decide holds for LiveKit's Python SDK with an attendee's token, whatever it tries: one test a power."""

from __future__ import annotations

import asyncio
import json
import urllib.error
from collections.abc import AsyncIterator

import pytest
from livekit import rtc

from signaling.rules import Rules
from tests.interop.clients import Listener, Microphone, until
from tests.interop.hosted import HostedMeeting, hosted_meeting, sees, try_to_publish
from tests.interop.meetings import publications, received
from tests.service import Service

SOURCE = rtc.TrackSource
MICROPHONE, CAMERA = SOURCE.SOURCE_MICROPHONE, SOURCE.SOURCE_CAMERA
SCREEN, SCREEN_SOUND, UNKNOWN = SOURCE.SOURCE_SCREENSHARE, SOURCE.SOURCE_SCREENSHARE_AUDIO, SOURCE.SOURCE_UNKNOWN
HUM = 1000
"""A sample that only the hum of a microphone reaches, of 32767."""


@pytest.fixture(
    params=[True, pytest.param(False, marks=pytest.mark.long)],
    ids=["single", "two"],
)
async def meeting(request: pytest.FixtureRequest, service: Service) -> AsyncIterator[HostedMeeting]:
    async with hosted_meeting(service, single=bool(request.param)) as made:
        yield made


@pytest.fixture
async def host(meeting: HostedMeeting) -> rtc.Room:
    return await meeting.join("Host", host=True)


@pytest.fixture
async def guest(meeting: HostedMeeting, host: rtc.Room) -> rtc.Room:
    client = await meeting.join("Guest")
    await until(lambda: len(host.remote_participants) == len(client.remote_participants) == 1, "they meet")
    return client


def person(client: rtc.Room) -> str:
    return f"/participants/{client.local_participant.identity}"


async def told(client: rtc.Room, rules: Rules) -> None:
    """Waits until a client has read these rules in the room's metadata."""
    await until(lambda: Rules.read(client.metadata) == rules, f"it is told {rules}")


async def stays_unseen(host: rtc.Room, attempts: list[asyncio.Task[bool]]) -> None:
    """None of the attempts to publish succeeds, nor is anything seen of them until they are given up."""
    assert await asyncio.gather(*attempts) == [False] * len(attempts)
    assert publications(host) == []


async def unmutes(microphone: Microphone, listener: Listener) -> None:
    """The owner of a microphone unmutes it, once its client knows that it is muted."""

    def heard() -> bool:
        microphone.track.unmute()  # nothing where it is not muted
        return listener.loudest > HUM

    await until(heard, "it unmutes itself")


async def test_who_may_not_unmute_is_heard_under_no_name(
    meeting: HostedMeeting, host: rtc.Room, guest: rtc.Room
) -> None:
    microphone = meeting.microphone()
    await microphone.publish(guest)
    listener = meeting.listen((await received(host))[0])
    await until(lambda: listener.loudest > HUM, "the host hears the guest")
    await meeting.do("POST", "/mute-all", {"may_unmute": False})
    await until(lambda: publications(host) == [], "the host hears nobody")
    await until(lambda: MICROPHONE not in guest.local_participant.permissions.can_publish_sources, "the guest is told")
    names = (MICROPHONE, SCREEN_SOUND, UNKNOWN, CAMERA)
    attempts = [asyncio.create_task(try_to_publish(guest, meeting.microphone().track, name)) for name in names]
    await stays_unseen(host, attempts)
    await meeting.do("POST", "/mute-all", {"may_unmute": True})
    assert await try_to_publish(guest, meeting.microphone().track, MICROPHONE)
    await until(lambda: sees(host) == ["microphone"], "the host hears the guest again")


async def test_who_may_not_start_a_camera_is_seen_under_no_name_of_one(
    meeting: HostedMeeting, host: rtc.Room, guest: rtc.Room
) -> None:
    await meeting.camera().publish(guest, simulcast=False)
    await until(lambda: sees(host) == ["camera"], "the host sees the guest")
    await meeting.allow("unmute", "share")
    await until(lambda: publications(host) == [], "the host sees nobody")
    names = (CAMERA, UNKNOWN, MICROPHONE, SCREEN_SOUND)
    attempts = [asyncio.create_task(try_to_publish(guest, meeting.camera().track, name)) for name in names]
    await stays_unseen(host, attempts)


async def test_who_may_not_share_shares_neither_screen_nor_its_sound(
    meeting: HostedMeeting, host: rtc.Room, guest: rtc.Room
) -> None:
    assert await try_to_publish(guest, meeting.camera().track, SCREEN)
    await until(lambda: sees(host) == ["screenshare"], "the host sees the screen")
    await meeting.allow("unmute", "video")
    await until(lambda: publications(host) == [], "the host sees nothing")
    attempts = [
        asyncio.create_task(try_to_publish(guest, meeting.camera().track, SCREEN)),
        asyncio.create_task(try_to_publish(guest, meeting.microphone().track, SCREEN_SOUND)),
    ]
    await stays_unseen(host, attempts)


async def test_who_may_not_chat_does_not_in_any_form(meeting: HostedMeeting, host: rtc.Room, guest: rtc.Room) -> None:
    written: list[str] = []
    packets: list[tuple[str | None, bytes]] = []

    def read(reader: rtc.TextStreamReader, identity: str) -> None:
        async def all_of_it() -> None:
            written.append(await reader.read_all())

        reading.append(asyncio.create_task(all_of_it()))

    reading: list[asyncio.Task[None]] = []
    host.register_text_stream_handler("lk.chat", read)
    host.register_text_stream_handler("notes", read)
    host.on("data_received", lambda packet: packets.append((packet.topic, packet.data)))
    await guest.local_participant.send_text("before", topic="lk.chat")
    await until(lambda: written == ["before"], "the host reads the guest")
    begun = await guest.local_participant.stream_text(topic="lk.chat")
    await meeting.allow("unmute")
    await told(guest, Rules(allow=frozenset(("unmute",))))
    await begun.write("the rest of one that was begun")
    await begun.aclose()
    await guest.local_participant.send_text("chat", topic="lk.chat")
    await guest.local_participant.publish_data("chat", topic="lk-chat-topic")
    await guest.local_participant.send_text("no chat", topic="notes")
    await guest.local_participant.publish_data("last", topic="game")
    await until(lambda: ("game", b"last") in packets, "what was sent last has come")
    await until(lambda: "no chat" in written, "what is no chat has come")
    assert written == ["before", "no chat"]
    assert packets == [("game", b"last")]
    await meeting.allow("chat")
    await told(guest, Rules(allow=frozenset(("chat",))))
    await guest.local_participant.send_text("after", topic="lk.chat")
    await until(lambda: written[-1] == "after", "the host reads the guest again")
    assert "the rest of one that was begun" not in written


async def test_who_may_not_rename_itself_keeps_its_name(
    meeting: HostedMeeting, host: rtc.Room, guest: rtc.Room
) -> None:
    await meeting.allow("unmute")
    await told(guest, Rules(allow=frozenset(("unmute",))))
    seen = host.remote_participants[guest.local_participant.identity]
    await guest.local_participant.set_name("Host")
    await guest.local_participant.set_attributes({"hand": "1"})
    await until(lambda: seen.attributes.get("hand") == "1", "its hand is seen")
    assert seen.name == "Guest"
    await meeting.do("PATCH", person(guest), {"name": "Given"})
    await until(lambda: seen.name == "Given", "the host's word for it is seen")


async def test_a_role_comes_from_a_host_alone_and_goes_over_a_token(
    meeting: HostedMeeting, host: rtc.Room, guest: rtc.Room
) -> None:
    await meeting.allow()
    seen = host.remote_participants[guest.local_participant.identity]
    await guest.local_participant.set_attributes({"veche.role": "host", "last": "1"})
    await guest.local_participant.set_attributes({"last": "1"})
    await until(lambda: "last" in seen.attributes, "what it may say of itself is seen")
    assert "veche.role" not in seen.attributes
    await meeting.do("PATCH", person(guest), {"role": "cohost"})
    await until(lambda: seen.attributes.get("veche.role") == "cohost", "the role is seen")
    assert await try_to_publish(guest, meeting.microphone().track, MICROPHONE), "at once"
    await until(lambda: sees(host) == ["microphone"], "the host hears it")
    await meeting.do("PATCH", person(guest), {"role": "attendee"})
    await until(lambda: sees(host) == [], "the rules bind it again")
    as_cohost = meeting.tokens["Guest"]
    await guest.disconnect()
    again = await meeting.connect(as_cohost)
    assert not again.local_participant.permissions.can_publish


async def test_who_drops_keeps_the_role_that_was_given(meeting: HostedMeeting, host: rtc.Room, guest: rtc.Room) -> None:
    await meeting.do("PATCH", person(guest), {"role": "host"})
    await guest.disconnect()
    again = await meeting.connect(meeting.tokens["Guest"])
    assert again.local_participant.attributes["veche.role"] == "host"


@pytest.mark.cuts
async def test_who_was_removed_comes_back_by_no_token(meeting: HostedMeeting, host: rtc.Room, guest: rtc.Room) -> None:
    gone: list[rtc.DisconnectReason.ValueType] = []
    guest.on("disconnected", gone.append)
    old, spare = meeting.tokens["Guest"], await meeting.token("Guest")
    await meeting.do("DELETE", f"{person(guest)}?keep_out=true")
    await until(lambda: gone == [rtc.DisconnectReason.PARTICIPANT_REMOVED], "it is told why")
    await until(lambda: not host.remote_participants, "the others see it go")
    assert await meeting.refuses(old)
    assert await meeting.refuses(spare)
    with pytest.raises(urllib.error.HTTPError) as refusal:
        await meeting.token("Guest")
    assert json.load(refusal.value)["code"] == "removed"
    assert not host.remote_participants


@pytest.mark.cuts
async def test_nobody_comes_into_a_locked_meeting(meeting: HostedMeeting, host: rtc.Room, guest: rtc.Room) -> None:
    early = await meeting.token("Late")
    await meeting.do("POST", "/lock")
    assert await meeting.refuses(early)
    with pytest.raises(urllib.error.HTTPError) as refusal:
        await meeting.token("Late")
    assert json.load(refusal.value)["code"] == "meeting_locked"
    assert list(host.remote_participants) == [guest.local_participant.identity]
    again = await meeting.connect(meeting.tokens["Guest"])
    await until(lambda: len(again.remote_participants) == 1, "who was inside is back")
    await meeting.do("POST", "/unlock")
    await meeting.connect(early)


async def test_a_microphone_that_somebody_comes_in_with_is_muted(meeting: HostedMeeting, host: rtc.Room) -> None:
    await meeting.do("PATCH", "/rules", {"mute_on_entry": True})
    client = await meeting.join("Guest")
    microphone = meeting.microphone()
    await microphone.publish(client)
    listener = meeting.listen((await received(host))[0])
    assert publications(host)[0].muted
    await asyncio.sleep(1)  # so long nothing may be heard
    assert listener.loudest < HUM
    await unmutes(microphone, listener)


async def test_muted_by_a_host_nothing_is_heard_until_one_unmutes(
    meeting: HostedMeeting, host: rtc.Room, guest: rtc.Room
) -> None:
    microphone = meeting.microphone()
    await microphone.publish(guest)
    listener = meeting.listen((await received(host))[0])
    await until(lambda: listener.loudest > HUM, "the host hears the guest")
    await meeting.do("POST", f"{person(guest)}/mute")
    await until(lambda: publications(host)[0].muted, "the host is told")
    # What was on its way, and a jitter buffer's rest, have been played by then.
    await asyncio.sleep(1)
    listener.loudest = 0
    await asyncio.sleep(1)  # so long nothing may be heard
    assert listener.loudest < HUM
    await unmutes(microphone, listener)


async def test_camera_and_screen_are_stopped_by_a_host(meeting: HostedMeeting, host: rtc.Room, guest: rtc.Room) -> None:
    await meeting.camera().publish(guest, simulcast=False)
    assert await try_to_publish(guest, meeting.camera().track, SCREEN)
    await until(lambda: sorted(sees(host)) == ["camera", "screenshare"], "the host sees both")
    await meeting.do("POST", f"{person(guest)}/stop-share")
    await until(lambda: sees(host) == ["camera"], "the screen ends")
    await meeting.do("POST", f"{person(guest)}/stop-video")
    await until(lambda: publications(host)[0].muted, "the camera is muted")


async def test_who_is_asked_may_unmute_and_nobody_asks_in_the_servers_name(
    meeting: HostedMeeting, host: rtc.Room, guest: rtc.Room
) -> None:
    other = await meeting.join("Other")
    await meeting.allow("chat")
    asked: list[rtc.DataPacket] = []
    guest.on("data_received", asked.append)
    await other.local_participant.publish_data('{"ask": "unmute"}', topic="veche.ask")
    await other.local_participant.publish_data("last", topic="game")
    await until(lambda: [packet.topic for packet in asked] == ["game"], "the last of both has come, and alone")
    await meeting.do("POST", f"{person(guest)}/ask-to-unmute")
    await until(lambda: len(asked) == 2, "it is asked")
    assert (asked[1].topic, json.loads(asked[1].data), asked[1].participant) == ("veche.ask", {"ask": "unmute"}, None)
    assert await try_to_publish(guest, meeting.microphone().track, MICROPHONE)
    await until(lambda: sees(host) == ["microphone"], "it is heard")
    assert not await try_to_publish(other, meeting.microphone().track, MICROPHONE)
    await meeting.do("POST", f"{person(guest)}/mute")
    await until(lambda: sees(host) == [], "and no more")


async def test_everybody_is_told_who_is_in_the_spotlight(
    meeting: HostedMeeting, host: rtc.Room, guest: rtc.Room
) -> None:
    identity = guest.local_participant.identity
    await meeting.do("POST", f"{person(guest)}/spotlight")
    await told(host, Rules(spotlight=(identity,)))
    await told(await meeting.join("Late"), Rules(spotlight=(identity,)))
    await meeting.do("DELETE", f"{person(guest)}/spotlight")
    await told(guest, Rules())


@pytest.mark.cuts
async def test_it_ends_for_all(meeting: HostedMeeting, host: rtc.Room, guest: rtc.Room) -> None:
    gone: list[rtc.DisconnectReason.ValueType] = []
    for client in (host, guest):
        client.on("disconnected", gone.append)
    await meeting.do("POST", "/end")
    await until(lambda: gone == [rtc.DisconnectReason.ROOM_DELETED] * 2, "both are told")
