"""Figures: how far joins come, what becomes of tracks and messages, under LiveKit's names."""

from __future__ import annotations

from livekit.protocol.models import DataPacket, DataStream, DisconnectReason, TrackSource
from livekit.protocol.rtc import LeaveRequest, UpdateSubscription

from signaling import figures, joining, session
from signaling.figures import Figures
from tests.signaling.meeting import Meeting, two

FAMILIES = {family.name: family for family in figures.FAMILIES}


def totals(kept: Figures, name: str) -> dict[tuple[str, ...], int]:
    return dict(kept.totals(FAMILIES[name]))


def counts(kept: Figures, name: str) -> dict[tuple[str, ...], int]:
    return {labels: sum(one.counts) for labels, one in kept.histograms(FAMILIES[name])}


def test_who_leaves_before_media_came_has_cancelled_and_who_is_lost_has_failed() -> None:
    meeting = Meeting()
    kept = meeting.room.place.figures
    meeting.join("anna", connect=False).send(leave=LeaveRequest())
    meeting.join("boris", connect=False).lose_socket()
    clara = meeting.join("clara")
    assert totals(kept, "livekit_participant_join_total") == {
        ("rtc_canceled",): 1,
        ("rtc_failure",): 1,
        ("rtc_active",): 1,
        ("rtc_success",): 1,
    }
    assert counts(kept, "livekit_session_start_time_ms") == {("17",): 1}
    assert not counts(kept, "livekit_session_duration_ms")
    clara.send(leave=LeaveRequest())
    assert counts(kept, "livekit_session_duration_ms") == {("17",): 1}


def test_versions_that_clients_invent_share_a_label() -> None:
    meeting = Meeting()
    kept = meeting.room.place.figures
    for number, version in enumerate((17, 18, 99, 1000, -3, 0)):
        meeting.join(f"client{number}", protocol=version)
        kept.joined(version, 0.1)
    assert counts(kept, "livekit_session_join_latency_ms") == {("17",): 1, ("18",): 1, ("unknown",): 4}
    assert counts(kept, "livekit_session_start_time_ms") == {("17",): 1, ("18",): 1, ("unknown",): 4}


def test_tracks_are_counted_as_asked_for_there_and_received() -> None:
    meeting, anna, boris = two()
    kept = meeting.room.place.figures
    anna.add_track("mic", TrackSource.MICROPHONE)
    assert totals(kept, "livekit_track_publish_counter") == {("AUDIO", "attempt"): 1}
    anna.publish("cam")
    boris.settle()
    assert totals(kept, "livekit_track_publish_counter")[("VIDEO", "success")] == 1
    boris.send(subscription=UpdateSubscription(track_sids=["TR_absent"], subscribe=True))
    meeting.advance(61)
    received = totals(kept, "livekit_track_subscribe_counter")
    assert received[("failure", "SE_TRACK_NOTFOUND")] == 1
    assert received[("attempt", "")] == received[("success", "")] > 0
    waits = counts(kept, "livekit_pubsubtime_ms")
    assert waits[("publish", "CAMERA", "VIDEO", "JS", "STANDARD")] == 1
    assert waits[("subscribe", "CAMERA", "VIDEO", "JS", "STANDARD")] == 1


def test_a_connection_that_fails_is_an_error() -> None:
    meeting, anna, _ = two()
    kept = meeting.room.place.figures
    assert totals(kept, "livekit_peer_connection_state") == {("SUBSCRIBER", "connected"): 2}
    meeting.run(session.failed(meeting.room, anna.participant, meeting.now))
    operations = totals(kept, "livekit_node_service_operation")
    assert operations == {("peer_connection", "success", ""): 2, ("peer_connection", "error", "dtls"): 1}


def test_streams_are_told_apart_by_what_they_hold_and_not_by_what_clients_invent() -> None:
    _, anna, _ = two()
    kept = anna.meeting.room.place.figures
    for mime in ("image/png", "x-strange/thing"):
        header = DataStream.Header(
            stream_id="1", mime_type=mime, total_length=3000, byte_header=DataStream.ByteHeader(name="a")
        )
        anna.says(DataPacket(stream_header=header, destination_identities=["boris"]).SerializeToString())
    assert counts(kept, "livekit_datapacket_stream_bytes") == {("bytes", "image"): 1, ("bytes", "unknown"): 1}
    destinations = dict(kept.histograms(FAMILIES["livekit_datapacket_stream_dest_count"]))
    assert destinations[("bytes", "image")].sum == 1


def test_messages_that_failed_are_there_before_there_are_any() -> None:
    kept = Figures()
    assert set(totals(kept, "livekit_node_messages").values()) == {0}
    kept.message("request", taken=False)
    assert totals(kept, "livekit_node_messages")[("signal", "failure", "request")] == 1


def test_rooms_have_a_length() -> None:
    meeting = Meeting()
    kept = meeting.room.place.figures
    meeting.advance(120)
    meeting.run(joining.close(meeting.room, DisconnectReason.ROOM_DELETED, meeting.now))
    for event in meeting.announced:
        kept.announced(event, meeting.now)
    assert counts(kept, "livekit_room_duration_seconds") == {(): 1}
