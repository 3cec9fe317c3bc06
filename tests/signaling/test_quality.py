"""Quality of connections: from the engine's measurements to what is told, and how soon."""

from __future__ import annotations

import pytest
from livekit.protocol.models import ConnectionQuality, TrackSource
from livekit.protocol.rtc import MuteTrackRequest

from media.events import SubscriptionMeasured, TrackMeasured, TransportReachable, TransportSilent
from tests.signaling.meeting import Client, Meeting

EXCELLENT, GOOD, POOR, LOST = (
    ConnectionQuality.EXCELLENT,
    ConnectionQuality.GOOD,
    ConnectionQuality.POOR,
    ConnectionQuality.LOST,
)


def two() -> tuple[Meeting, Client, Client, str]:
    meeting = Meeting()
    anna, boris = meeting.join("anna"), meeting.join("boris")
    sid = anna.publish("cam")
    boris.settle()
    meeting.advance(6)
    return meeting, anna, boris, sid


def measured(client: Client, sid: str, packets: int, lost: int, jitter: float = 0.0) -> None:
    transport = client.participant.publisher
    assert transport is not None
    track = client.participant.tracks[sid].number
    client.hears(TrackMeasured(transport.number, track, 0, packets, packets * 1000, lost, 0, jitter, 0, 0, 0))


def reported(client: Client, sid: str, fraction_lost: float, rtt: float = 0.05, layer: int = 2) -> None:
    transport = client.participant.subscriber
    assert transport is not None
    number = client.participant.subscriptions[sid].number
    client.hears(SubscriptionMeasured(transport.number, number, layer, 500, 1, 0, fraction_lost, 0.0, rtt, 0, 0, 0))


def told(client: Client) -> dict[str, ConnectionQuality]:
    """The latest of each participant."""
    return {
        info.participant_sid: info.quality
        for message in client.messages("connection_quality")
        for info in message.connection_quality.updates
    }


def test_newcomers_learn_everybodys_quality_and_nothing_more_while_it_stays() -> None:
    meeting, anna, boris, _ = two()
    assert told(boris) == {boris.sid: EXCELLENT, anna.sid: EXCELLENT}
    assert told(anna) == {anna.sid: EXCELLENT}
    boris.forget()
    meeting.advance(30)
    assert not boris.messages("connection_quality")


@pytest.mark.parametrize(("lost", "expected"), [(0, EXCELLENT), (5, EXCELLENT), (30, GOOD), (120, POOR)])
def test_loss_on_the_way_up_lowers_the_publishers_quality(lost: int, expected: ConnectionQuality) -> None:
    meeting, anna, boris, sid = two()
    for window in range(4):
        measured(anna, sid, 1000 * window, lost * window)
        meeting.advance(5)
    assert told(boris)[anna.sid] == expected
    assert told(anna)[anna.sid] == expected


def test_loss_on_the_way_down_lowers_the_receivers_quality() -> None:
    meeting, anna, boris, sid = two()
    for _ in range(2):
        reported(boris, sid, 0.10)
        meeting.advance(5)
    assert told(boris) == {boris.sid: POOR, anna.sid: EXCELLENT}
    for _ in range(10):
        reported(boris, sid, 0.0)
        meeting.advance(5)
    assert told(boris)[boris.sid] == EXCELLENT


def test_opinion_goes_with_the_quality() -> None:
    meeting, anna, _, sid = two()
    for window in range(3):
        measured(anna, sid, 500 * window, 500 * window)
        meeting.advance(5)
    info = anna.last("connection_quality").connection_quality.updates[0]
    assert 1.0 <= info.score < 3.0


def test_silence_is_told_to_others_at_once_as_lost_and_to_itself_as_poor() -> None:
    meeting, anna, boris, _ = two()
    transport = anna.participant.publisher
    assert transport is not None
    anna.hears(TransportSilent(transport.number))
    assert told(boris)[anna.sid] == LOST
    assert told(anna)[anna.sid] == POOR
    anna.hears(TransportReachable(transport.number, "198.18.0.2:4000"))
    meeting.advance(6)
    assert told(boris)[anna.sid] == EXCELLENT


def test_track_from_which_nothing_comes_is_poor_unless_muted() -> None:
    meeting, anna, boris, sid = two()
    for _ in range(2):
        measured(anna, sid, 500, 0)
        meeting.advance(5)
    assert told(boris)[anna.sid] == POOR
    anna.send(mute=MuteTrackRequest(sid=sid, muted=True))
    for _ in range(10):
        measured(anna, sid, 500, 0)
        meeting.advance(5)
    assert told(boris)[anna.sid] == EXCELLENT


def test_a_stranger_is_not_told() -> None:
    meeting = Meeting()
    anna = meeting.join("anna")
    boris = meeting.join("boris", auto_subscribe=False)
    anna.publish("mic", TrackSource.MICROPHONE)
    boris.settle()
    meeting.advance(6)
    assert told(boris) == {boris.sid: EXCELLENT}
