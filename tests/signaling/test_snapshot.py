"""A room as an operator sees it, and the figures that its measurements add up to."""

from __future__ import annotations

import dataclasses
import json

from livekit.protocol.models import ClientInfo

from media.events import Choice, LayersChanged, Reported, TransportReachable
from signaling import figures, snapshot
from tests.signaling.measured import a_layer, a_subscription
from tests.signaling.meeting import Client, Meeting


def measured() -> tuple[Meeting, Client, Client, str]:
    """Anna publishes three layers to Boris; each second of both windows has 100 packets, one in ten is lost."""
    meeting = Meeting()
    anna, boris = meeting.join("anna"), meeting.join("boris")
    sid = anna.publish("cam")
    boris.settle()
    up, down = anna.participant.publisher, boris.participant.subscriber
    assert up is not None
    assert down is not None
    track = anna.participant.tracks[sid].number
    number = boris.participant.subscriptions[sid].number
    anna.hears(TransportReachable(up.number, "tcp", "198.18.0.2:4000"))
    anna.hears(LayersChanged(up.number, track, (0, 1)))
    for window in (1, 2):
        meeting.advance(5)
        anna.hears(a_layer(up.number, track, 1, 450 * window, lost=50 * window, jitter=0.004, repaired=40 * window))
        choice = Choice(2, 3, (0, 1), 1, 3, 1, 0)
        reported = Reported(20 * window, 0.05, 0.01, 0.08)
        boris.hears(a_subscription(down.number, number, 500 * window, choice, reported, switches=window))
    return meeting, anna, boris, sid


def test_a_room_is_shown_with_its_layers_and_the_reasons_for_them() -> None:
    meeting, _, _, sid = measured()
    shown = snapshot.of_room(meeting.room, meeting.now + 1)
    assert [participant.identity for participant in shown.participants] == ["anna", "boris"]
    publisher, receiver = shown.participants
    path = next(transport for transport in publisher.transports if transport.role == "publisher")
    assert (path.protocol, path.path) == ("tcp", "198.18.0.2:4000")
    assert {transport.protocol for transport in receiver.transports} == {""}, "no path yet"
    track = publisher.tracks[0]
    assert (track.sid, track.type, track.subscribers, track.layers_arriving) == (sid, "video", 1, [0, 1])
    layer = track.layers[0]
    assert (layer.layer, layer.arrives, layer.age) == (1, True, 1.0)
    assert (layer.bitrate, layer.packet_rate) == (720_000, 90.0)
    assert (layer.fraction_lost, layer.lost, layer.repaired) == (0.1, 100, 80)
    assert (layer.jitter_ms, layer.nacks, layer.plis, layer.firs) == (4.0, 100, 3, 1)
    subscription = receiver.subscriptions[0]
    assert (subscription.publisher, subscription.track) == ("anna", sid)
    assert (subscription.wanted, subscription.available) == (2, [0, 1])
    assert (subscription.allotted, subscription.allotted_temporal) == (1, 3)
    assert (subscription.target, subscription.layer, subscription.paused) == (1, 0, False)
    assert (subscription.bitrate, subscription.lost, subscription.rtt_ms) == (800_000, 40, 80.0)
    assert subscription.switches == 2
    assert next(transport for transport in receiver.transports if transport.role == "subscriber").rtt_ms == 80.0


def test_what_was_not_measured_yet_is_shown_as_unknown() -> None:
    meeting = Meeting()
    anna, boris = meeting.join("anna"), meeting.join("boris")
    anna.publish("cam")
    boris.settle()
    subscription = snapshot.of_room(meeting.room, meeting.now).participants[1].subscriptions[0]
    assert (subscription.age, subscription.rtt_ms, subscription.layer, subscription.paused) == (None, None, -1, False)


def test_nothing_of_people_or_secrets_is_shown() -> None:
    meeting = Meeting()
    anna = meeting.join("anna", attributes={"phone": "attribute-of-anna"})
    anna.participant.name, anna.participant.metadata = "name-of-anna", "metadata-of-anna"
    anna.publish("label-of-camera")
    anna.participant.joining.client.sdk = ClientInfo.SDK.values()[-1] + 1000  # type: ignore[assignment]
    text = json.dumps(dataclasses.asdict(snapshot.of_room(meeting.room, meeting.now)))
    assert '"sdk": "unknown"' in text
    secrets = [transport.ufrag for _, transport in meeting.room.transports.values()]
    for hidden in ("name-of-anna", "metadata-of-anna", "attribute-of-anna", "label-of-camera", *secrets):
        assert hidden not in text


def test_figures_add_up() -> None:
    meeting, _, _, _ = measured()
    kept = meeting.room.place.figures
    family = {family.name: family for family in figures.FAMILIES}
    assert list(kept.totals(family["livekit_packet_loss_total"])) == [
        (("incoming", "CAMERA", "VIDEO"), 50),
        (("outgoing", "CAMERA", "VIDEO"), 20),
    ]
    assert list(kept.totals(family["veche_layer_switches_total"])) == [((), 1)]
    rtts = dict(kept.histograms(family["livekit_rtt_ms"]))[("outgoing", "CAMERA", "VIDEO")]
    assert (rtts.sum, sum(rtts.counts)) == (80.0, 1)
    assert rtts.counts[rtts.bounds.index(100)] == 1, "80 ms is above 50 and at most 100"
    loss = dict(kept.histograms(family["livekit_packet_loss_percent"]))[("incoming", "CAMERA", "VIDEO")]
    assert loss.counts[loss.bounds.index(10)] == 1
    meeting.advance(6)
    ((_, ratings),) = kept.histograms(family["livekit_quality_rating"])
    assert sum(ratings.counts) > 0
