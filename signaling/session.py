"""Session: one client's conversation with a room. Takes requests, events and timers, and returns effects.

The theory. A participant's session goes through these states, and none of them twice but ACTIVE and DETACHED:

    JOINING --accepted--> JOINED --connected--> ACTIVE --socket lost--> DETACHED
                            |                     |  <----resumed------    |
                            +---- over -----------+------- over -----------+--> DISCONNECTED

A client counts as here (ACTIVE) once its primary transport is connected; a socket lost before that ends the session,
lost later it does not: media goes on, and the client has until its media falls silent to come back. What others see of
DETACHED is ACTIVE. Nothing leads out of DISCONNECTED: a new join is a new session with a new sid. Effects name sids, so
what was meant for an old session can't reach the new one.

Every function here ends in `complete`: a session that is disconnected is taken out of the room in the same step.
"""

from __future__ import annotations

import json
from collections.abc import Callable

from livekit.protocol.models import DisconnectReason
from livekit.protocol.rtc import (
    LeaveRequest,
    Pong,
    RequestResponse,
    SignalRequest,
    SignalResponse,
    SyncState,
    TrickleRequest,
    UpdateTrackSettings,
)

from media import events
from signaling import (
    calling,
    data_blobs,
    data_packets,
    data_tracks,
    dynacast,
    hosting,
    joining,
    measuring,
    moderation,
    publishing,
    quality,
    simulating,
    speaking,
    subscribing,
    wire,
)
from signaling.effects import Disconnect, Effect, Notify, RefreshToken
from signaling.errors import LimitExceeded, NotAllowed
from signaling.participant import Participant, Transport
from signaling.room import Room, Timer, tell_room, tell_together

_KEPT_REASONS = (
    DisconnectReason.USER_UNAVAILABLE,
    DisconnectReason.USER_REJECTED,
    DisconnectReason.AGENT_ERROR,
)
# Longest JSON of one ICE candidate that is read: real ones are under 300 characters.
_CANDIDATE_LENGTH = 4096
# Clients above this version are told OK of requests too (LIVEKIT.md 1.8).
_PROTOCOL_WITH_OK = 14


def complete(room: Room, effects: list[Effect], now: float) -> list[Effect]:
    """Takes those who are disconnected out of the room, right after they are told."""
    whole: list[Effect] = []
    for effect in effects:
        whole.append(effect)
        if isinstance(effect, Disconnect) and effect.who in room.by_sid:
            gone = joining.depart(room, room.by_sid[effect.who], effect.reason, now)
            whole += complete(room, gone, now)
    return whole


def handle(room: Room, participant: Participant, request: SignalRequest, now: float) -> list[Effect]:
    """Takes one message of the client's; what it knows nothing of is ignored (LIVEKIT.md 14, 40)."""
    kind = request.WhichOneof("message")
    verb = _VERBS.get(kind or "")
    if verb is None or not participant.present:
        return []
    return complete(room, verb(room, participant, request, now), now)


def _trickle(room: Room, participant: Participant, request: SignalRequest, now: float) -> list[Effect]:
    """The engine answers whoever proves itself by a keyed check, so a client's candidates are only looked over."""
    trickle: TrickleRequest = request.trickle
    try:
        sound = len(trickle.candidateInit) <= _CANDIDATE_LENGTH and isinstance(json.loads(trickle.candidateInit), dict)
    except (ValueError, RecursionError):
        sound = False
    if sound:
        return []
    return _respond(participant, RequestResponse.UNCLASSIFIED_ERROR, "candidate is not a JSON object", request)


def _leave(room: Room, participant: Participant, request: SignalRequest, now: float) -> list[Effect]:
    reason = request.leave.reason
    if reason not in _KEPT_REASONS:
        reason = DisconnectReason.CLIENT_INITIATED
    return [Disconnect(participant.sid, reason, LeaveRequest.Action.DISCONNECT)]


def _ping(room: Room, participant: Participant, request: SignalRequest, now: float) -> list[Effect]:
    return [Notify((participant.sid,), SignalResponse(pong=int(now * 1000)))]


def _ping_request(room: Room, participant: Participant, request: SignalRequest, now: float) -> list[Effect]:
    pong = Pong(last_ping_timestamp=request.ping_req.timestamp, timestamp=int(now * 1000))
    return [Notify((participant.sid,), SignalResponse(pong_resp=pong))]


def _update_metadata(room: Room, participant: Participant, request: SignalRequest, now: float) -> list[Effect]:
    asked = request.update_metadata
    try:
        if not participant.permission.can_update_metadata:
            raise NotAllowed("does not have permission to update own metadata")
        rules = room.rules_for(participant)
        if rules is not None and "rename" not in rules.allow and asked.name not in ("", participant.name):
            raise NotAllowed("the rules of the room do not let attendees change their name")
        before = participant.name
        effects = moderation.describe(room, participant, asked.name, asked.metadata, asked.attributes)
        if participant.name != before:
            effects += hosting.renamed(room, participant)
    except NotAllowed as error:
        return _respond(participant, RequestResponse.NOT_ALLOWED, str(error), request, asked.request_id)
    except LimitExceeded as error:
        return _respond(participant, RequestResponse.LIMIT_EXCEEDED, str(error), request, asked.request_id)
    if participant.protocol > _PROTOCOL_WITH_OK:
        effects += _respond(participant, RequestResponse.OK, "", request, asked.request_id)
    return effects


def _sync_state(room: Room, participant: Participant, request: SignalRequest, now: float) -> list[Effect]:
    """After a resume: do both ends know the same tracks? Then the client's choices are taken over (LIVEKIT.md 9.2)."""
    state: SyncState = request.sync_state
    unknown = any(participant.track(published.track.sid) is None for published in state.publish_tracks)
    if unknown or not data_tracks.knows(participant, state):
        return [Disconnect(participant.sid, DisconnectReason.STATE_MISMATCH, LeaveRequest.Action.RECONNECT)]
    effects: list[Effect] = []
    if state.track_sids_disabled:
        disabled = UpdateTrackSettings(track_sids=state.track_sids_disabled, disabled=True)
        effects += subscribing.settings(room, participant, disabled, now)
    if state.HasField("subscription"):
        effects += subscribing.request(room, participant, state.subscription, now)
    return effects + data_tracks.sync(room, participant, state)


def _respond(
    participant: Participant,
    reason: RequestResponse.Reason,
    message: str,
    request: SignalRequest,
    request_id: int = 0,
) -> list[Effect]:
    return [Notify((participant.sid,), wire.refusal(reason, message, request, request_id))]


Verb = Callable[[Room, Participant, SignalRequest, float], list[Effect]]

_VERBS: dict[str, Verb] = {
    "offer": lambda room, p, request, now: publishing.offer(room, p, request.offer, now),
    "answer": lambda room, p, request, now: subscribing.answer(room, p, request.answer, now),
    "trickle": _trickle,
    "add_track": publishing.add_track,
    "mute": publishing.mute,
    "subscription": lambda room, p, request, now: subscribing.request(room, p, request.subscription, now),
    "track_setting": lambda room, p, request, now: subscribing.settings(room, p, request.track_setting, now),
    "leave": _leave,
    "subscription_permission": lambda room, p, request, now: subscribing.permission(
        room, p, request.subscription_permission, now
    ),
    "sync_state": _sync_state,
    "simulate": simulating.request,
    "ping": _ping,
    "ping_req": _ping_request,
    "update_metadata": _update_metadata,
    "update_audio_track": publishing.update_audio_track,
    "update_video_track": publishing.update_video_track,
    "publish_data_track_request": data_tracks.publish,
    "unpublish_data_track_request": data_tracks.unpublish,
    "update_data_subscription": lambda room, p, request, now: data_tracks.subscribe(
        room, p, request.update_data_subscription
    ),
    "store_data_blob_request": data_blobs.store,
    "get_data_blob_request": data_blobs.get,
}


def resumed(room: Room, participant: Participant, now: float) -> list[Effect]:
    """The client continues its session on a new socket."""
    effects = joining.resume(room, participant, now)
    cut = simulating.cut_resume(participant, now)
    if cut:
        effects += [*cut, *joining.detach(room, participant, now)]
    return complete(room, effects, now)


def socket_lost(room: Room, participant: Participant, now: float) -> list[Effect]:
    """The client's socket is gone without a `leave`."""
    return complete(room, joining.detach(room, participant, now), now)


def connected(room: Room, participant: Participant, transport: Transport, now: float) -> list[Effect]:
    """The DTLS handshake of a transport is complete."""
    transport.connected = True
    room.place.figures.transport(participant, transport, "connected")
    room.place.figures.operation("peer_connection")
    effects: list[Effect] = []
    if transport is participant.primary and not participant.has_been_active:
        effects += joining.became_active(room, participant, now)
    if transport is participant.subscriber:
        for subscription in participant.subscriptions.values():
            if subscription.section is not None:
                effects += subscribing.tell_subscribed(room, subscription)
    return complete(room, effects, now)


def failed(room: Room, participant: Participant, now: float) -> list[Effect]:
    """DTLS of a transport is over, and can't begin again on it: the client has to start anew."""
    room.place.figures.operation("peer_connection", "dtls")
    effect = Disconnect(participant.sid, DisconnectReason.STATE_MISMATCH, LeaveRequest.Action.RECONNECT)
    return complete(room, [effect], now)


def ended(room: Room, participant: Participant, now: float) -> list[Effect]:
    """The client ended DTLS or SCTP of a transport: it is leaving, and its `leave` may still be on its way."""
    room.timers.set((Timer.GRACE, participant.sid), now + joining.GRACE)
    return []


def channel_opened(room: Room, participant: Participant, transport: Transport, label: str, now: float) -> list[Effect]:
    """A data channel can be written to."""
    return data_packets.channel_opened(participant, transport, label)


def message(room: Room, participant: Participant, label: str, payload: bytes | str, now: float) -> list[Effect]:
    """A message came on a data channel."""
    return data_packets.receive(room, participant, label, payload, now)


def heard(room: Room, participant: Participant, transport: Transport, event: events.Event, now: float) -> list[Effect]:
    """Takes an event of the engine's about one of the participant's transports."""
    match event:
        case events.TransportReachable():
            transport.silent = False
            if not transport.protocol:
                room.place.figures.transport(participant, transport, "ice_connected")
            transport.protocol, transport.address = event.protocol, event.address
        case events.TransportSilent():
            transport.silent = True
            return quality.silent(room, participant)
        case events.TransportExpired():
            return complete(room, joining.media_lost(room, participant, now), now)
        case events.LayersChanged(_, number, layers):
            for track in participant.tracks.values():
                if track.number == number:
                    before, track.layers = track.layers, layers
                    return dynacast.media_began(track) if layers and not before else []
        case events.LoudnessMeasured(_, number, loudness):
            for track in participant.tracks.values():
                if track.number == number:
                    speaking.measured(room, track, loudness, now)
        case events.SubscriptionPaused(_, number, is_paused):
            return subscribing.paused(participant, number, is_paused)
        case events.TrackMeasured():
            measuring.layer_measured(room, participant, event, now)
        case events.SubscriptionMeasured():
            measuring.subscription_measured(room, participant, event, now)
        case _:
            pass
    return []


def handle_timeout(room: Room, now: float) -> list[Effect]:
    """Does what one due timer says; [] may also mean that none was due."""
    due = room.timers.pop(now)
    if due is None:
        return []
    timer, sid = due
    participant = room.by_sid.get(sid)
    effects: list[Effect] = []
    if timer is Timer.CLOSE:
        effects = joining.close(room, DisconnectReason.ROOM_CLOSED, now)
    elif timer is Timer.SPEAKERS:
        effects = speaking.tell(room, now)
    elif timer is Timer.QUALITY:
        effects = quality.score_all(room, now)
    elif timer is Timer.COUNTS:
        effects = tell_room(room, now)
    elif timer is Timer.UPDATES:
        effects = tell_together(room, now)
    elif timer is Timer.CALL:
        effects = calling.overdue(room, sid)
    elif timer is Timer.ENTRY:
        effects = publishing.tell_muted(room, sid)
    elif timer is Timer.DYNACAST:
        effects = dynacast.wishes_settled(room.tracks[sid]) if sid in room.tracks else []
    elif participant is not None:
        effects = _participant_timeout(room, participant, timer, now)
    return complete(room, effects, now)


def _participant_timeout(room: Room, participant: Participant, timer: Timer, now: float) -> list[Effect]:
    disconnect = LeaveRequest.Action.DISCONNECT
    if timer is Timer.JOIN:
        return [Disconnect(participant.sid, DisconnectReason.JOIN_FAILURE, disconnect)]
    if timer is Timer.OFFER:
        return subscribing.make_offer(room, participant, now)
    if timer is Timer.NEGOTIATION:
        return [Disconnect(participant.sid, DisconnectReason.STATE_MISMATCH, LeaveRequest.Action.RECONNECT)]
    if timer is Timer.GRACE:
        return [Disconnect(participant.sid, DisconnectReason.CONNECTION_TIMEOUT, LeaveRequest.Action.RECONNECT)]
    if timer is Timer.SEARCH:
        return subscribing.search_over(room, participant, now)
    if timer is Timer.SIMULATED_SPEAKER:
        return simulating.silence(participant)
    if timer is Timer.TOKEN:
        room.timers.set((Timer.TOKEN, participant.sid), now + joining.TOKEN_INTERVAL)
        return [RefreshToken(participant.sid)] if participant.attached else []
    return []
