"""Subscribing: who receives which track, how much of it, and the offers that bring it about (LIVEKIT.md 5.1, 7.2)."""

from __future__ import annotations

import re
from collections.abc import Iterable

from livekit.protocol.models import DisconnectReason, SubscriptionError
from livekit.protocol.rtc import (
    LeaveRequest,
    MediaSectionsRequirement,
    SessionDescription,
    SignalResponse,
    StreamState,
    StreamStateInfo,
    StreamStateUpdate,
    SubscriptionPermission,
    SubscriptionPermissionUpdate,
    SubscriptionResponse,
    TrackSubscribed,
    UpdateSubscription,
    UpdateTrackSettings,
)

from media.commands import AddSubscription, RemoveSubscription, SetSubscription
from signaling import backup_codec, data_tracks, dynacast, quality, speaking
from signaling.connecting import open_transport, restart_ice, start_dtls
from signaling.effects import Disconnect, Effect, Engine, Notify
from signaling.errors import InvalidArgument
from signaling.negotiation import SendingSection, SendingTrack
from signaling.participant import Participant, Transport
from signaling.permission import audience_of
from signaling.room import Room, Timer
from signaling.sdp import SdpError
from signaling.track import (
    Subscription,
    Track,
    priority_of,
    source_of,
    spatial_layer_of,
    temporal_layer_of,
    wished_quality,
)

# Seconds for which changes are gathered into one offer: short after a pause, longer while offers follow each other
# (LIVEKIT.md 4.3).
GATHER = 0.01
GATHER_WHEN_BUSY = 0.15
# Without an answer after this many seconds the client starts anew (LIVEKIT.md 4.4).
ANSWER_TIMEOUT = 15.0
# A track that was asked for and does not appear within this many seconds is given up (LIVEKIT.md 8).
SEARCH_TIMEOUT = 60.0
# Clients from this version on know streams with a name, of the form that any SDP can hold.
PROTOCOL_WITH_STREAMS = 10
_STREAM_NAME = re.compile(r"(?!TR)[\w-]{1,32}", re.ASCII)


def request(room: Room, participant: Participant, asked: UpdateSubscription, now: float) -> list[Effect]:
    """The participant wants tracks, or no longer; asking twice changes nothing."""
    sids = dict.fromkeys([*asked.track_sids, *(sid for entry in asked.participant_tracks for sid in entry.track_sids)])
    effects: list[Effect] = []
    for sid in sids:
        participant.desires[sid] = asked.subscribe
        track = room.tracks.get(sid)
        if track is not None:
            effects += settle(room, participant, track, now)
        elif asked.subscribe:
            _seek(room, participant, sid, now)
        else:
            forget(room, participant, sid)
    return effects


def _seek(room: Room, participant: Participant, sid: str, now: float) -> None:
    if sid in participant.sought:
        return
    participant.sought[sid] = now + SEARCH_TIMEOUT
    room.seekers.setdefault(sid, set()).add(participant.sid)
    if not room.timers.is_set((Timer.SEARCH, participant.sid)):
        room.timers.set((Timer.SEARCH, participant.sid), now + SEARCH_TIMEOUT)


def search_over(room: Room, participant: Participant, now: float) -> list[Effect]:
    """Gives up tracks that did not appear in time."""
    effects: list[Effect] = []
    for sid in [sid for sid, until in participant.sought.items() if until <= now]:
        forget(room, participant, sid)
        effects.append(_failed(room, participant, sid, SubscriptionError.SE_TRACK_NOTFOUND))
    if participant.sought:
        room.timers.set((Timer.SEARCH, participant.sid), min(participant.sought.values()))
    return effects


def forget(room: Room, participant: Participant, sid: str) -> None:
    """Keeps nothing about a track that is not there."""
    participant.desires.pop(sid, None)
    participant.settings.pop(sid, None)
    _found(room, participant, sid)


def _found(room: Room, participant: Participant, sid: str) -> None:
    if participant.sought.pop(sid, None) is not None:
        seekers = room.seekers.get(sid)
        if seekers is not None:
            seekers.discard(participant.sid)
            if not seekers:
                del room.seekers[sid]


def track_appeared(room: Room, track: Track, now: float) -> list[Effect]:
    """A track is visible from now on: those who want it, or everything, receive it."""
    effects: list[Effect] = []
    for participant in room.others(track.publisher):
        effects += settle(room, participant, track, now)
    return effects


def leave_track(room: Room, track: Track, now: float) -> list[Effect]:
    """Nobody receives the track any more; wishes for it stay."""
    effects: list[Effect] = []
    for subscription in list(track.subscriptions.values()):
        effects += _end(room, subscription, now)
    return effects


def track_vanished(room: Room, track: Track, now: float) -> list[Effect]:
    """A track is gone: nobody receives it, and nothing about it is kept."""
    effects = leave_track(room, track, now)
    for participant in room.participants.values():
        participant.desires.pop(track.sid, None)
        participant.settings.pop(track.sid, None)
    return effects


def settle_all(room: Room, participant: Participant, now: float) -> list[Effect]:
    """Makes all the participant's subscriptions what they should be."""
    effects: list[Effect] = []
    for track in list(room.tracks.values()):
        effects += settle(room, participant, track, now)
    return effects


def settle(room: Room, participant: Participant, track: Track, now: float) -> list[Effect]:
    """Begins or ends the subscription, by wish, permission, audience and limit."""
    if track.publisher is participant or track.publisher.hidden or not participant.present:
        return []
    _found(room, participant, track.sid)
    wanted = participant.desires.get(track.sid, participant.joining.auto_subscribe)
    wanted = wanted and participant.permission.can_subscribe and admits(track, participant)
    subscription = participant.subscriptions.get(track.sid)
    if subscription is not None and not wanted:
        return [*_end(room, subscription, now), *_next_within_limit(room, participant, track, now)]
    if subscription is None and wanted and _within_limit(room, participant, track):
        return _begin(room, participant, track, now)
    return []


def admits(track: Track, participant: Participant) -> bool:
    """Whether the publisher lets the participant receive the track; recorders always may."""
    return participant.permission.recorder or track.publisher.audience.admits(participant.identity, track.sid)


def _within_limit(room: Room, participant: Participant, track: Track) -> bool:
    limit = room.place.settings.limit
    most = limit.subscription_limit_video if track.kind == "video" else limit.subscription_limit_audio
    return not most or sum(1 for s in participant.subscriptions.values() if s.track.kind == track.kind) < most


def _next_within_limit(room: Room, participant: Participant, ended: Track, now: float) -> list[Effect]:
    for track in room.tracks.values():
        if track is not ended and track.kind == ended.kind and track.sid not in participant.subscriptions:
            begun = settle(room, participant, track, now)
            if track.sid in participant.subscriptions:
                return begun
    return []


def _begin(room: Room, participant: Participant, track: Track, now: float) -> list[Effect]:
    effects: list[Effect] = []
    transport = participant.subscriber
    if transport is None:
        transport, effects = open_transport(room, participant, sending=True)
    section = track.section
    assert section is not None, "a visible track has its section"
    rtx_ssrc = room.numbers.ssrc() if track.kind == "video" else 0
    subscription = Subscription(participant, track, room.numbers.media(), room.numbers.ssrc(), rtx_ssrc, now)
    room.place.figures.subscribing()
    try:
        transport.negotiation.attach(
            SendingTrack(
                track.sid,
                _stream_id(room, participant, track),
                track.kind,
                backup_codec.offered(track, section),
                subscription.ssrc,
                rtx_ssrc,
                stereo=track.info.stereo,
            )
        )
    except SdpError:
        return [*effects, _failed(room, participant, track.sid, SubscriptionError.SE_UNKNOWN)]
    participant.subscriptions[track.sid] = subscription
    track.subscriptions[participant.sid] = subscription
    settings = participant.settings.get(track.sid)
    if settings is not None and participant.joining.adaptive_stream:
        settings.disabled = False  # the client can only report an element as visible once it has a picture
    gather_offer(room, participant, now)
    return effects


def _stream_id(room: Room, participant: Participant, track: Track) -> str:
    """Of our section: what shares a stream is played in step by the receiver (LIVEKIT.md 4.6)."""
    stream = track.info.stream
    knows = participant.protocol >= PROTOCOL_WITH_STREAMS and participant.quirks.synchronises
    together = room.sync_streams and knows and _STREAM_NAME.fullmatch(stream)
    return f"{track.publisher.sid}|{stream if together else track.sid}"


def _end(room: Room, subscription: Subscription, now: float) -> list[Effect]:
    participant, track = subscription.subscriber, subscription.track
    participant.subscriptions.pop(track.sid, None)
    track.subscriptions.pop(participant.sid, None)
    effects: list[Effect] = []
    if participant.subscriber is not None:
        participant.subscriber.negotiation.detach(track.sid)
        if subscription.opened:
            trailer = room.trailer(track.info.encryption)
            effects.append(Engine(RemoveSubscription(participant.subscriber.number, subscription.number, trailer)))
        # Until its section closes a receiver can show the black frames that end a picture.
        gather_offer(room, participant, now, hurried=track.kind == "audio")
    effects += speaking.tell_unsubscribed(room, participant, track.publisher)
    return effects + dynacast.wish_changed(room, subscription, now)


def gather_offer(room: Room, participant: Participant, now: float, *, hurried: bool = True) -> None:
    """An offer is to be made soon; the changes until then go into it."""
    timer = (Timer.OFFER, participant.sid)
    if participant.attached and not room.timers.is_set(timer):
        busy = now - participant.offered_at < GATHER_WHEN_BUSY
        room.timers.set(timer, now + (GATHER if hurried and not busy else GATHER_WHEN_BUSY))


def make_offer(room: Room, participant: Participant, now: float, *, restart: bool = False) -> list[Effect]:
    """Offers the subscriber what has changed, unless an offer is waiting; `restart` restarts ICE in any case.

    With a single PeerConnection the client is asked to offer, and restarts ICE itself.
    """
    transport = participant.subscriber
    if transport is None or not participant.attached:
        return []
    if participant.single:
        return _ask_for_offer(room, participant, transport, now)
    if not restart and not transport.negotiation.needs_offer:
        return []
    effects: list[Effect] = []
    if restart:
        local, again = restart_ice(room, participant, transport)
        effects.append(again)
        offered = transport.negotiation.make_offer(local)
    else:
        offered = transport.negotiation.make_offer()
    participant.offered_at = now
    room.timers.clear((Timer.OFFER, participant.sid))
    room.timers.set((Timer.NEGOTIATION, participant.sid), now + ANSWER_TIMEOUT)
    description = SessionDescription(
        type="offer", sdp=offered.sdp, id=offered.id, mid_to_track_id=dict(offered.mid_to_track_id)
    )
    return [*effects, Notify((participant.sid,), SignalResponse(offer=description))]


def _ask_for_offer(room: Room, participant: Participant, transport: Transport, now: float) -> list[Effect]:
    if not transport.negotiation.needs_sections:
        return []
    audios, videos = transport.negotiation.ask()
    participant.offered_at = now
    room.timers.clear((Timer.OFFER, participant.sid))
    room.timers.set((Timer.NEGOTIATION, participant.sid), now + ANSWER_TIMEOUT)
    asked = MediaSectionsRequirement(num_audios=audios, num_videos=videos)
    return [Notify((participant.sid,), SignalResponse(media_sections_requirement=asked))]


def first_offer(room: Room, participant: Participant, now: float) -> list[Effect]:
    """Opens the path down to a participant who has just joined: all that is there, and the data channels."""
    effects: list[Effect] = []
    if participant.subscriber is None:
        _, effects = open_transport(room, participant, sending=True)
    effects += settle_all(room, participant, now)
    return effects + make_offer(room, participant, now)


def answer(room: Room, participant: Participant, description: SessionDescription, now: float) -> list[Effect]:
    """Takes the answer to our offer: what was accepted begins to flow."""
    transport = participant.subscriber
    if transport is None:
        return []
    try:
        accepted = transport.negotiation.handle_answer(description.sdp, description.id)
    except SdpError:
        return [Disconnect(participant.sid, DisconnectReason.STATE_MISMATCH, LeaveRequest.Action.RECONNECT)]
    if accepted is None:
        return []
    effects = start_dtls(participant, transport, accepted.remote)
    return effects + settled(room, participant, transport, accepted.sections, now)


def settled(
    room: Room, participant: Participant, transport: Transport, sections: Iterable[SendingSection], now: float
) -> list[Effect]:
    """Both sides have agreed on sections: what was accepted begins to flow, and what is missing is gathered."""
    room.timers.clear((Timer.NEGOTIATION, participant.sid))
    effects: list[Effect] = []
    named = {section.track_sid: section for section in sections}
    for subscription in list(participant.subscriptions.values()):
        if subscription.section is not None and subscription.track.sid not in named:
            effects += renew(room, subscription, now)  # the client has closed its section
    for section in named.values():
        found = participant.subscriptions.get(section.track_sid)
        if found is not None and found.section is not section and found.section != section:
            effects += _bind(room, transport, found, section, now)
    if transport.negotiation.awaits_sections:
        room.timers.set((Timer.NEGOTIATION, participant.sid), now + ANSWER_TIMEOUT)
    if transport.negotiation.needs_offer or transport.negotiation.needs_sections:
        gather_offer(room, participant, now)
    return effects


def renew(room: Room, subscription: Subscription, now: float) -> list[Effect]:
    """Begins it anew on another section, under numbers that nothing was sent with."""
    return [*_end(room, subscription, now), *settle(room, subscription.subscriber, subscription.track, now)]


def _bind(
    room: Room, transport: Transport, subscription: Subscription, section: SendingSection, now: float
) -> list[Effect]:
    participant, track = subscription.subscriber, subscription.track
    if not section.accepted:
        participant.desires[track.sid] = False
        refused = _failed(room, participant, track.sid, SubscriptionError.SE_CODEC_UNSUPPORTED)
        return [*_end(room, subscription, now), refused]
    begins = subscription.section is None
    subscription.section = section
    backup_codec.regress(subscription)
    effects = connect(room, transport, subscription, now)
    if begins:
        room.place.figures.subscribed(subscription, now)
        effects += tell_subscribed(room, subscription)
        effects += speaking.tell_subscribed(room, participant, track.publisher)
        quality.tell_later(participant, track.publisher)
    return effects


def connect(room: Room, transport: Transport, subscription: Subscription, now: float) -> list[Effect]:
    """Tells the engine what the subscription is to get, in which codec; nothing while that is awaited."""
    track, section = subscription.track, subscription.section
    assert section is not None, "the receiver has answered"
    assert track.publisher.publisher is not None, "a visible track came on a transport"
    effects: list[Effect] = []
    subscription.source = source_of(subscription)
    if subscription.source:
        subscription.opened = True
        effects.append(
            Engine(
                AddSubscription(
                    transport.number,
                    subscription.number,
                    track.publisher.publisher.number,
                    subscription.source,
                    track.kind,
                    section.mid,
                    subscription.ssrc,
                    subscription.rtx_ssrc,
                    f"{track.publisher.sid}|{track.sid}",
                    section.codecs,
                    section.extensions,
                    cut_trailers=subscription.cuts_trailers,
                )
            )
        )
    return effects + apply_settings(room, subscription, now)


def connect_anew(room: Room, track: Track, now: float) -> list[Effect]:
    """Another codec of the track has come or gone: each subscription gets what it is to get now."""
    effects: list[Effect] = []
    for subscription in track.subscriptions.values():
        transport = subscription.subscriber.subscriber
        moves = subscription.section is not None and subscription.source != source_of(subscription)
        if moves and transport is not None:
            effects += connect(room, transport, subscription, now)
    return effects


def tell_subscribed(room: Room, subscription: Subscription) -> list[Effect]:
    """Tells the publisher that somebody receives its track, once, when the first visible receiver is connected."""
    participant, track = subscription.subscriber, subscription.track
    connected = participant.subscriber is not None and participant.subscriber.connected
    if track.subscribed_told or participant.hidden or not connected or not track.publisher.attached:
        return []
    track.subscribed_told = True
    return [Notify((track.publisher.sid,), SignalResponse(track_subscribed=TrackSubscribed(track_sid=track.sid)))]


def settings(room: Room, participant: Participant, asked: UpdateTrackSettings, now: float) -> list[Effect]:
    """How much of tracks the participant wants: nothing, a size, a quality, a frame rate."""
    effects: list[Effect] = []
    for sid in asked.track_sids:
        subscription = participant.subscriptions.get(sid)
        if subscription is None and sid not in participant.sought and sid not in room.tracks:
            continue
        participant.settings[sid] = UpdateTrackSettings()
        participant.settings[sid].CopyFrom(asked)
        participant.settings[sid].ClearField("track_sids")
        if subscription is not None:
            effects += apply_settings(room, subscription, now)
    return effects


def apply_settings(room: Room, subscription: Subscription, now: float) -> list[Effect]:
    """Tells the engine what the receiver wants, where that has changed, and dynacast with it."""
    participant, track = subscription.subscriber, subscription.track
    if subscription.section is None or participant.subscriber is None:
        return []
    wished = participant.settings.get(track.sid)
    enabled, spatial, temporal = not (wished and wished.disabled), 0, 0
    if track.kind == "video":
        best = wished_quality(track.info, wished, participant.joining.adaptive_stream)
        spatial = spatial_layer_of(subscription, best) if enabled else 0
        temporal = temporal_layer_of(wished.fps if wished else 0)
    chosen = (enabled, spatial, temporal, priority_of(track.info, wished))
    if not subscription.source or chosen == subscription.chosen:
        return dynacast.wish_changed(room, subscription, now)
    subscription.chosen = chosen
    command = SetSubscription(participant.subscriber.number, subscription.number, *chosen)
    return [Engine(command), *dynacast.wish_changed(room, subscription, now)]


def paused(participant: Participant, number: int, is_paused: bool) -> list[Effect]:
    """The engine has paused or resumed a subscription; its receiver is told (LIVEKIT.md 7.7)."""
    for sid, subscription in participant.subscriptions.items():
        if subscription.number == number and subscription.paused != is_paused:
            subscription.paused = is_paused
            state = StreamState.PAUSED if is_paused else StreamState.ACTIVE
            publisher = subscription.track.publisher.sid
            info = StreamStateInfo(participant_sid=publisher, track_sid=sid, state=state)
            update = StreamStateUpdate(stream_states=[info])
            return [Notify((participant.sid,), SignalResponse(stream_state_update=update))]
    return []


def permission(room: Room, participant: Participant, asked: SubscriptionPermission, now: float) -> list[Effect]:
    """The publisher says who may receive its tracks; what is wrong is ignored and the state before it stays."""
    try:
        audience = audience_of(asked, {p.sid: p.identity for p in room.participants.values()})
    except InvalidArgument:
        return []
    before = {
        (track.sid, other.sid): admits(track, other)
        for track in participant.tracks.values()
        for other in room.others(participant)
    }
    participant.audience = audience
    effects: list[Effect] = []
    for track in list(participant.tracks.values()):
        for other in room.others(participant):
            allowed = admits(track, other)
            if allowed != before[track.sid, other.sid]:
                changed = SubscriptionPermissionUpdate(
                    participant_sid=participant.sid, track_sid=track.sid, allowed=allowed
                )
                if other.attached:
                    effects.append(Notify((other.sid,), SignalResponse(subscription_permission_update=changed)))
                effects += settle(room, other, track, now)
    return effects + data_tracks.settle_audience(room, participant)


def leave_all(room: Room, participant: Participant, now: float) -> list[Effect]:
    """Ends everything that the participant receives or seeks; its wishes stay."""
    effects: list[Effect] = []
    for subscription in list(participant.subscriptions.values()):
        effects += _end(room, subscription, now)
    return effects


def drop_all(room: Room, participant: Participant, now: float) -> list[Effect]:
    """Forgets all that a participant received or looked for who leaves: its transports take the rest with them."""
    effects: list[Effect] = []
    for sid in list(participant.sought):
        _found(room, participant, sid)
    for subscription in participant.subscriptions.values():
        subscription.track.subscriptions.pop(participant.sid, None)
        effects += dynacast.wish_changed(room, subscription, now)
    participant.subscriptions.clear()
    return effects


def _failed(room: Room, participant: Participant, sid: str, error: SubscriptionError) -> Notify:
    room.place.figures.unsubscribable(error)
    response = SubscriptionResponse(track_sid=sid, err=error)
    return Notify((participant.sid,), SignalResponse(subscription_response=response))
