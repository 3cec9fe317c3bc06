"""Quality of connections: from the engine's measurements to what is told, and how soon."""

from __future__ import annotations

import pytest
from livekit.protocol.models import ConnectionQuality, TrackSource, VideoQuality
from livekit.protocol.rtc import MuteTrackRequest

from media.events import Choice, Reported, TransportReachable, TransportSilent
from tests.signaling.measured import a_layer, a_subscription
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


def measured(client: Client, sid: str, packets: int, lost: int, jitter: float = 0.0, layer: int = 0) -> None:
    transport = client.participant.publisher
    assert transport is not None
    track = client.participant.tracks[sid].number
    client.hears(a_layer(transport.number, track, layer, packets, lost=lost, jitter=jitter))


def reported(
    client: Client, sid: str, fraction_lost: float, rtt: float = 0.05, layer: int = 2, target: int | None = None
) -> None:
    transport = client.participant.subscriber
    assert transport is not None
    subscription = client.participant.subscriptions[sid]
    before = subscription.reading.measured.packets if subscription.reading else 0
    client.hears(
        a_subscription(
            transport.number,
            subscription.number,
            before + 500,
            Choice(2, 3, (0, 1, 2), 3, 3, layer if target is None else target, layer),
            Reported(0, fraction_lost, 0.0, rtt),
        )
    )


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


@pytest.mark.parametrize(("target", "expected"), [(2, EXCELLENT), (1, GOOD), (0, POOR), (-1, POOR)])
def test_layers_held_back_lower_the_receivers_quality(target: int, expected: ConnectionQuality) -> None:
    meeting, _, boris, sid = two()
    for _ in range(4):
        reported(boris, sid, 0.0, layer=target)
        meeting.advance(5)
    assert told(boris)[boris.sid] == expected


def test_a_layer_that_waits_for_its_key_frame_is_not_held_back() -> None:
    meeting, _, boris, sid = two()
    for _ in range(4):
        reported(boris, sid, 0.0, layer=0, target=2)
        meeting.advance(5)
    assert told(boris)[boris.sid] == EXCELLENT


def test_a_layer_that_stays_away_though_asked_for_lowers_the_publishers_quality() -> None:
    meeting, anna, boris, sid = two()
    for window in range(5):
        measured(anna, sid, 500 * window, 0)
        measured(anna, sid, 500 * window if window < 3 else 1000, 0, layer=2)
        meeting.advance(5)
    assert told(boris)[anna.sid] == POOR
    anna.participant.tracks[sid].offered_quality = VideoQuality.LOW
    for window in range(5, 12):
        measured(anna, sid, 500 * window, 0)
        measured(anna, sid, 1000, 0, layer=2)
        meeting.advance(5)
    assert told(boris)[anna.sid] == EXCELLENT, "nobody wants it any more"


def test_loss_among_few_packets_costs_less() -> None:
    """A still screen, or silence: one of ten packets gone is no tenth of the picture."""
    qualities = []
    for few in (False, True):
        meeting, anna, boris, sid = two()
        packets, lost = 0, 0
        for window in range(8):
            arriving = 40 if few and window > 1 else 1000
            measured(anna, sid, packets := packets + arriving, lost := lost + (arriving // 20 if window > 1 else 0))
            meeting.advance(5)
        qualities.append(told(boris)[anna.sid])
    assert qualities == [GOOD, EXCELLENT]


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
    anna.hears(TransportReachable(transport.number, "udp", "198.18.0.2:4000"))
    meeting.advance(6)
    assert told(boris)[anna.sid] == EXCELLENT


@pytest.mark.parametrize(("protocol", "expected"), [(10, POOR), (11, LOST)])
def test_lost_is_said_to_those_who_know_it(protocol: int, expected: ConnectionQuality) -> None:
    meeting = Meeting()
    anna, boris = meeting.join("anna"), meeting.join("boris", protocol=protocol)
    anna.publish("cam")
    boris.settle()
    assert anna.participant.publisher is not None
    anna.hears(TransportSilent(anna.participant.publisher.number))
    assert told(boris)[anna.sid] == expected


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
