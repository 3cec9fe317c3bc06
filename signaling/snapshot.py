"""Snapshot: one room as an operator may see it who looks for a fault. Figures and states; no secrets, no texts.

Left out on purpose: tokens, keys, ICE credentials, metadata, attributes, names of people and of tracks.
"""

from __future__ import annotations

from dataclasses import dataclass

from livekit.protocol.models import ClientInfo, ConnectionQuality, ParticipantInfo, TrackSource

from signaling.figures import name_in
from signaling.participant import Participant, Transport
from signaling.readings import LayerReading
from signaling.room import Room
from signaling.track import Subscription, Track


@dataclass(frozen=True, slots=True)
class TransportSnapshot:
    """One ICE, DTLS and SRTP path."""

    role: str
    """ "publisher" or "subscriber"."""
    number: int
    """The engine's number of it; the number modulo the count of media threads is its thread."""
    protocol: str
    """What carries it: "udp" or "tcp"; "" while no path is selected."""
    path: str
    """The client's end, "ip:port"; "" while no path is selected."""
    connected: bool
    """DTLS is complete."""
    silent: bool
    """Nothing was heard for 10 s."""
    rtt_ms: float | None
    """Round trip by the client's last report; null where it has not reported."""
    channels: list[str]
    """Data channels that can be written to."""


@dataclass(frozen=True, slots=True)
class LayerSnapshot:
    """One received encoding. Totals are since its start, rates over the last window of about 5 s."""

    layer: int
    """0 is the lowest."""
    arrives: bool
    age: float
    """Seconds since it was measured."""
    bitrate: float
    """Bits a second."""
    packet_rate: float
    fraction_lost: float
    """Of the last window, 0 to 1."""
    jitter_ms: float
    packets: int
    bytes: int
    lost: int
    repaired: int
    """Of those lost, the ones that came by retransmission."""
    out_of_order: int
    duplicates: int
    nacks: int
    """Packets that we asked for."""
    plis: int
    firs: int


@dataclass(frozen=True, slots=True)
class TrackSnapshot:
    """One published track."""

    sid: str
    source: str
    type: str
    mime: str
    muted: bool
    blocked: bool
    """The server drops its packets."""
    asked_quality: int
    """The highest quality (0 low, 1 medium, 2 high, 3 none) that the publisher was asked to send."""
    layers_arriving: list[int]
    layers: list[LayerSnapshot]
    subscribers: int
    score: float
    """Of the connection on this track, 0 to 100."""


@dataclass(frozen=True, slots=True)
class SubscriptionSnapshot:
    """One participant's receipt of one track. Totals are since its start, rates over the last window of about 5 s."""

    track: str
    publisher: str
    """Identity."""
    type: str
    accepted: bool
    """The receiver has answered our offer of it."""
    asked: list[int] | None
    """Highest spatial and temporal layer that signalling asked the engine for; null where nothing is wanted."""
    wanted: int
    """Highest spatial layer that the engine takes the receiver to want; -1 for none, here and below."""
    wanted_temporal: int
    available: list[int]
    """Layers that arrive."""
    allotted: int
    """Highest spatial layer that the receiver's connection and our processor can take; 3 where nothing limits."""
    allotted_temporal: int
    target: int
    """Layer that is aimed at. Below those wanted and available something holds it back."""
    layer: int
    """Layer that is sent. Other than the target: its key frame is awaited."""
    paused: bool
    """Wanted and available, and nothing of it is sent."""
    age: float | None
    """Seconds since it was measured; null before the first time."""
    bitrate: float
    packet_rate: float
    packets: int
    bytes: int
    retransmitted: int
    lost: int
    """By the receiver's reports."""
    fraction_lost: float
    """By its last report, 0 to 1."""
    jitter_ms: float
    rtt_ms: float | None
    nacks: int
    """Packets that the receiver asked for again."""
    plis: int
    firs: int
    switches: int
    """Changes of layer during which the old layer was sent until the key frame of the new one: none of them froze."""
    score: float


@dataclass(frozen=True, slots=True)
class ParticipantSnapshot:
    """One participant."""

    sid: str
    identity: str
    state: str
    session: str
    """Our own state of the session: joining, joined, active, detached (its socket is lost and its media is not)."""
    kind: str
    hidden: bool
    sdk: str
    protocol: int
    joined_at: float
    """Unix seconds."""
    quality: str
    transports: list[TransportSnapshot]
    tracks: list[TrackSnapshot]
    subscriptions: list[SubscriptionSnapshot]


@dataclass(frozen=True, slots=True)
class RoomSnapshot:
    """One live room."""

    sid: str
    taken_at: float
    """Unix seconds."""
    created_at: float
    node: str
    participants: list[ParticipantSnapshot]


def of_room(room: Room, now: float) -> RoomSnapshot:
    """The room as it is at `now`."""
    participants = [_participant(participant, now) for _, participant in sorted(room.participants.items())]
    return RoomSnapshot(room.sid, now, room.created_at, room.place.settings.node_id, participants)


def _participant(participant: Participant, now: float) -> ParticipantSnapshot:
    info = participant.info()
    return ParticipantSnapshot(
        sid=participant.sid,
        identity=participant.identity,
        state=name_in(ParticipantInfo.State, info.state),
        session=participant.state.name.lower(),
        kind=name_in(ParticipantInfo.Kind, info.kind),
        hidden=participant.hidden,
        sdk=name_in(ClientInfo.SDK, participant.joining.client.sdk),
        protocol=participant.protocol,
        joined_at=participant.joined_at,
        quality=name_in(ConnectionQuality, participant.quality),
        transports=[_transport(participant, transport, role) for role, transport in participant.transports()],
        tracks=[_track(track, now) for track in participant.tracks.values()],
        subscriptions=[_subscription(subscription, now) for subscription in participant.subscriptions.values()],
    )


def _transport(participant: Participant, transport: Transport, role: str) -> TransportSnapshot:
    rtts = []
    if transport is participant.subscriber or participant.subscriber is None:
        read = [subscription.reading for subscription in participant.subscriptions.values() if subscription.reading]
        rtts = [(r.at, r.measured.reported.rtt) for r in read if r.measured.reported.rtt >= 0]
    return TransportSnapshot(
        role=role,
        number=transport.number,
        protocol=transport.protocol,
        path=transport.address,
        connected=transport.connected,
        silent=transport.silent,
        rtt_ms=_ms(max(rtts)[1]) if rtts else None,
        channels=sorted(transport.channels),
    )


def _track(track: Track, now: float) -> TrackSnapshot:
    return TrackSnapshot(
        sid=track.sid,
        source=name_in(TrackSource, track.info.source),
        type=track.kind,
        mime=track.info.mime_type,
        muted=track.info.muted,
        blocked=track.blocked,
        asked_quality=int(track.offered_quality),
        layers_arriving=list(track.layers),
        layers=[_layer(track, reading, now) for _, reading in sorted(track.readings.items())],
        subscribers=len(track.subscriptions),
        score=round(track.publisher.scores.get(track.number, 100.0), 1),
    )


def _layer(track: Track, reading: LayerReading, now: float) -> LayerSnapshot:
    measured = reading.measured
    return LayerSnapshot(
        layer=measured.layer,
        arrives=measured.layer in track.layers,
        age=round(now - reading.at, 1),
        bitrate=round(reading.bitrate),
        packet_rate=round(reading.packet_rate, 1),
        fraction_lost=round(reading.fraction_lost, 4),
        jitter_ms=_ms(measured.jitter),
        packets=measured.packets,
        bytes=measured.bytes,
        lost=measured.lost,
        repaired=measured.repaired,
        out_of_order=measured.out_of_order,
        duplicates=measured.duplicates,
        nacks=measured.requests.nacks,
        plis=measured.requests.plis,
        firs=measured.requests.firs,
    )


def _subscription(subscription: Subscription, now: float) -> SubscriptionSnapshot:
    reading, chosen, track = subscription.reading, subscription.chosen, subscription.track
    measured = reading.measured if reading else None
    choice = measured.choice if measured else None
    reported = measured.reported if measured else None
    requests = measured.requests if measured else None
    return SubscriptionSnapshot(
        track=track.sid,
        publisher=track.publisher.identity,
        type=track.kind,
        accepted=subscription.section is not None,
        asked=[chosen[1], chosen[2]] if chosen and chosen[0] else None,
        wanted=choice.wanted if choice else -1,
        wanted_temporal=choice.wanted_temporal if choice else -1,
        available=list(choice.available) if choice else [],
        allotted=choice.allotted if choice else -1,
        allotted_temporal=choice.allotted_temporal if choice else -1,
        target=choice.target if choice else -1,
        layer=choice.layer if choice else -1,
        paused=choice is not None and choice.paused,
        age=round(now - reading.at, 1) if reading else None,
        bitrate=round(reading.bitrate) if reading else 0,
        packet_rate=round(reading.packet_rate, 1) if reading else 0,
        packets=measured.packets if measured else 0,
        bytes=measured.bytes if measured else 0,
        retransmitted=measured.retransmitted if measured else 0,
        lost=reported.lost if reported else 0,
        fraction_lost=round(reported.fraction_lost, 4) if reported else 0,
        jitter_ms=_ms(reported.jitter) if reported else 0,
        rtt_ms=_ms(reported.rtt) if reported and reported.rtt >= 0 else None,
        nacks=requests.nacks if requests else 0,
        plis=requests.plis if requests else 0,
        firs=requests.firs if requests else 0,
        switches=measured.switches if measured else 0,
        score=round(subscription.subscriber.scores.get(subscription.number, 100.0), 1),
    )


def _ms(seconds: float) -> float:
    return round(1000 * seconds, 2)
