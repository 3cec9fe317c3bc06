"""Data tracks: published under the owner's handle, received under the subscriber's own, by whom may."""

from __future__ import annotations

import pytest
from livekit.protocol.models import (
    DataTrackFrameEncoding,
    DataTrackInfo,
    DataTrackSubscriptionOptions,
    ParticipantPermission,
)
from livekit.protocol.room import UpdateParticipantRequest
from livekit.protocol.rtc import (
    PublishDataTrackRequest,
    PublishDataTrackResponse,
    RequestResponse,
    SubscriptionPermission,
    SyncState,
    TrackPermission,
    UnpublishDataTrackRequest,
    UpdateDataSubscription,
)

from signaling import moderation
from signaling.token import VideoGrant
from tests.signaling.meeting import Client, Meeting


def publish(client: Client, handle: int = 7, name: str = "lidar") -> str:
    client.send(publish_data_track_request=PublishDataTrackRequest(pub_handle=handle, name=name))
    return client.last("publish_data_track_response").publish_data_track_response.info.sid


def subscribe(client: Client, sid: str, wanted: bool = True, frames: int = 0) -> None:
    options = DataTrackSubscriptionOptions(target_fps=frames)
    update = UpdateDataSubscription.Update(track_sid=sid, subscribe=wanted, options=options)
    client.send(update_data_subscription=UpdateDataSubscription(updates=[update]))


def handles(client: Client) -> dict[int, tuple[str, str]]:
    told = client.last("data_track_subscriber_handles").data_track_subscriber_handles.sub_handles
    return {handle: (track.publisher_identity, track.track_sid) for handle, track in told.items()}


def frame(handle: int, content: bytes = b"points", number: int = 0) -> bytes:
    return b"\x18\x00" + handle.to_bytes(2) + bytes(2) + number.to_bytes(2) + bytes(4) + content


def received(client: Client) -> list[bytes]:
    return [payload for payload, _ in client.meeting.packets[client.sid]]


def three() -> tuple[Meeting, Client, Client, Client]:
    meeting = Meeting()
    return meeting, meeting.join("anna"), meeting.join("boris"), meeting.join("clara")


def test_a_frame_goes_to_subscribers_under_their_own_handles() -> None:
    _, anna, boris, clara = three()
    other = publish(clara, 1, "other")
    sid = publish(anna)
    info = boris.last("update").update.participants[0].data_tracks[0]
    assert (info.sid, info.name, info.pub_handle) == (sid, "lidar", 7)
    assert sid.startswith("DTR_")
    assert not boris.messages("data_track_subscriber_handles"), "nobody gets it unasked"
    subscribe(boris, other)
    subscribe(boris, sid)
    assert handles(boris) == {1: ("clara", other), 2: ("anna", sid)}
    anna.says(frame(7), "_data_track")
    assert received(boris) == [frame(2)]
    assert not received(clara)
    subscribe(boris, sid, wanted=False)
    assert handles(boris) == {1: ("clara", other)}
    anna.says(frame(7), "_data_track")
    assert len(received(boris)) == 1


def send(meeting: Meeting, client: Client, numbers: range, rate: int) -> None:
    """So many frames a second, each of two packets."""
    for number in numbers:
        for part in (b"first", b"last"):
            client.says(frame(7, part, number % 65_536), "_data_track")
        meeting.advance(1 / rate)


def test_who_asks_for_fewer_frames_gets_so_many_and_each_whole() -> None:
    meeting, anna, boris, clara = three()
    sid = publish(anna)
    subscribe(boris, sid, frames=10)
    subscribe(clara, sid)
    send(meeting, anna, range(65_500, 65_800), rate=30)
    assert len(received(clara)) == 600
    numbers = [packet[6:8] for packet in received(boris)]
    assert 95 <= len(numbers) / 2 <= 105, "ten seconds"
    assert numbers[::2] == numbers[1::2], "both packets of each"
    assert len(set(numbers)) == len(numbers) / 2
    meeting.packets.clear()
    subscribe(boris, sid, frames=60)
    send(meeting, anna, range(300), rate=30)
    assert len(received(boris)) == 600, "no more are made of it"
    subscribe(boris, sid)
    meeting.packets.clear()
    send(meeting, anna, range(300), rate=100)
    assert len(received(boris)) == 600, "all again"


def test_after_a_pause_no_frames_come_in_a_heap() -> None:
    meeting, anna, boris, _ = three()
    sid = publish(anna)
    subscribe(boris, sid, frames=2)
    send(meeting, anna, range(10), rate=8)
    meeting.advance(60)
    meeting.packets.clear()
    send(meeting, anna, range(10, 18), rate=8)
    assert [packet[6:8] for packet in received(boris)][::2] == [n.to_bytes(2) for n in (10, 14)]


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        (PublishDataTrackRequest(pub_handle=0, name="a"), RequestResponse.INVALID_HANDLE),
        (PublishDataTrackRequest(pub_handle=65_536, name="a"), RequestResponse.INVALID_HANDLE),
        (PublishDataTrackRequest(pub_handle=1), RequestResponse.INVALID_NAME),
        (PublishDataTrackRequest(pub_handle=1, name="n" * 257), RequestResponse.INVALID_NAME),
        (PublishDataTrackRequest(pub_handle=7, name="a"), RequestResponse.DUPLICATE_HANDLE),
        (PublishDataTrackRequest(pub_handle=1, name="lidar"), RequestResponse.DUPLICATE_NAME),
        (
            PublishDataTrackRequest(pub_handle=1, name="a", frame_encoding=DataTrackFrameEncoding(custom="c" * 33)),
            RequestResponse.INVALID_REQUEST,
        ),
    ],
)
def test_what_is_wrong_with_a_request_is_said(
    request_: PublishDataTrackRequest, reason: RequestResponse.Reason
) -> None:
    meeting = Meeting()
    anna = meeting.join("anna")
    publish(anna)
    anna.send(publish_data_track_request=request_)
    refused = anna.last("request_response").request_response
    assert refused.reason == reason
    assert refused.publish_data_track.pub_handle == request_.pub_handle
    assert len(anna.participant.data_tracks) == 1


def test_who_may_not_publish_data_publishes_none() -> None:
    meeting = Meeting()
    mute = VideoGrant(room="meeting", room_join=True, can_publish_data=False)
    anna = meeting.join("anna", grant=mute)
    anna.send(publish_data_track_request=PublishDataTrackRequest(pub_handle=1, name="a"))
    assert anna.last("request_response").request_response.reason == RequestResponse.NOT_ALLOWED
    off = Meeting(enable_data_tracks=False)
    boris = off.join("boris")
    boris.send(publish_data_track_request=PublishDataTrackRequest(pub_handle=1, name="a"))
    assert boris.last("request_response").request_response.reason == RequestResponse.NOT_ALLOWED


def test_the_end_of_a_track_is_told_to_all() -> None:
    meeting, anna, boris, _ = three()
    sid = publish(anna)
    subscribe(boris, sid)
    anna.send(unpublish_data_track_request=UnpublishDataTrackRequest(pub_handle=7))
    assert anna.last("unpublish_data_track_response").unpublish_data_track_response.info.sid == sid
    assert not boris.last("update").update.participants[0].data_tracks
    assert handles(boris) == {}
    anna.says(frame(7), "_data_track")
    assert not received(boris)
    anna.send(unpublish_data_track_request=UnpublishDataTrackRequest(pub_handle=7))
    assert anna.last("request_response").request_response.reason == RequestResponse.NOT_FOUND
    assert not meeting.room.data_tracks


def test_permissions_count_at_once() -> None:
    meeting, anna, boris, clara = three()
    sid = publish(anna)
    subscribe(boris, sid)
    subscribe(clara, sid)
    allowed = TrackPermission(participant_identity="clara", all_tracks=True)
    anna.send(subscription_permission=SubscriptionPermission(track_permissions=[allowed]))
    assert handles(boris) == {}
    anna.says(frame(7), "_data_track")
    assert received(clara)
    assert not received(boris)
    anna.send(subscription_permission=SubscriptionPermission(all_participants=True))
    assert list(handles(boris).values()) == [("anna", sid)]
    deaf = ParticipantPermission(can_publish=True, can_publish_data=True)
    meeting.run(moderation.update(meeting.room, UpdateParticipantRequest(identity="boris", permission=deaf), 1.0))
    assert handles(boris) == {}
    dumb = ParticipantPermission(can_publish=True, can_subscribe=True)
    meeting.run(moderation.update(meeting.room, UpdateParticipantRequest(identity="anna", permission=dumb), 1.0))
    assert anna.last("unpublish_data_track_response").unpublish_data_track_response.info.sid == sid
    assert handles(clara) == {}


def test_a_late_joiner_sees_what_is_there_and_may_get_all_unasked() -> None:
    meeting = Meeting()
    anna = meeting.join("anna")
    sid = publish(anna)
    boris = meeting.join("boris", auto_subscribe_data_track=True)
    assert boris.messages("join")[0].join.other_participants[0].data_tracks[0].sid == sid
    assert handles(boris) == {1: ("anna", sid)}
    second = publish(anna, 8, "radar")
    assert handles(boris) == {1: ("anna", sid), 2: ("anna", second)}


def test_nothing_is_left_of_who_leaves() -> None:
    meeting, anna, boris, clara = three()
    sid = publish(anna)
    subscribe(boris, sid)
    boris.send(leave={})
    anna.says(frame(7), "_data_track")
    assert not received(boris)
    subscribe(clara, sid)
    anna.send(leave={})
    assert handles(clara) == {}
    assert not meeting.room.data_tracks
    assert not clara.participant.data_desires


def test_a_resumed_client_is_told_its_handles_again() -> None:
    meeting, anna, boris, _ = three()
    sid = publish(anna)
    subscribe(boris, sid)
    boris.lose_socket()
    boris.resume()
    boris.send(sync_state=SyncState())
    assert handles(boris) == {1: ("anna", sid)}
    anna.lose_socket()
    anna.resume()
    known = PublishDataTrackResponse(info=DataTrackInfo(sid=sid, pub_handle=7))
    anna.send(sync_state=SyncState(publish_data_tracks=[known]))
    assert anna.sid not in meeting.ended
    unknown = PublishDataTrackResponse(info=DataTrackInfo(sid="DTR_unknown", pub_handle=9))
    anna.send(sync_state=SyncState(publish_data_tracks=[unknown]))
    assert anna.sid in meeting.ended


@pytest.mark.parametrize("packet", [b"", bytes(11), b"\xe0" + bytes(20), frame(8), b"\x18\x00\x00\x00" + bytes(8)])
def test_what_is_no_frame_of_a_track_goes_nowhere(packet: bytes) -> None:
    _, anna, boris, _ = three()
    subscribe(boris, publish(anna))
    anna.says(packet, "_data_track")
    assert not received(boris)
