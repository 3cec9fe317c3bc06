"""Moving: a participant goes on in another room of the node; socket, transports and media stay (LIVEKIT.md 5.2).

For those it leaves it has left, for those it comes to it has joined: with a new sid, and the sids of its tracks.
"""

from __future__ import annotations

from dataclasses import replace

from livekit.protocol.models import DisconnectReason
from livekit.protocol.rtc import RoomMovedResponse

from signaling import data_tracks, dynacast, joining, permitting, publishing, quality, subscribing
from signaling.effects import Announce, Effect, Moved, ParticipantJoined
from signaling.errors import FailedPrecondition, InvalidArgument
from signaling.participant import Participant
from signaling.permission import with_role
from signaling.room import Room, Timer, counts_changed, tell_soon

# Clients above this version know that they can be moved (LIVEKIT.md 1.8).
_PROTOCOL_WITH_MOVING = 15


def check(source: Room, participant: Participant, destination: str) -> None:
    """Raises InvalidArgument for the room it is in, FailedPrecondition for who cannot be moved."""
    if source.name == destination:
        raise InvalidArgument("destination_room: takes another room than the participant is in")
    if participant.dependent:
        raise FailedPrecondition("agents and recorders belong to their room")
    if participant.protocol <= _PROTOCOL_WITH_MOVING:
        raise FailedPrecondition(f"the participant's client is too old: it speaks protocol {participant.protocol}")
    if not (participant.attached and participant.has_been_active):
        raise FailedPrecondition("the participant is not connected now")


def move(source: Room, participant: Participant, target: Room, now: float) -> tuple[list[Effect], list[Effect]]:
    """What this means for the room that is left and for the other, to be carried out in this order.

    Raises as `check`, and LimitExceeded.
    """
    check(source, participant, target.name)
    if target.is_kept_out(participant.identity):
        raise FailedPrecondition("the participant is kept out of that room")
    entering = joining.make_way(target, participant.identity, now, dependent=False, hidden=participant.hidden)
    moved = _in_another(target, participant, now)
    leaving = _leave(source, participant, now)
    return leaving, entering + _enter(target, participant, moved, now)


def _in_another(target: Room, participant: Participant, now: float) -> Participant:
    """The participant as the other room has it: what it sends goes along, what it wanted to receive does not."""
    video = replace(participant.grants.video, room=target.name)
    standing = target.standing(participant.identity)
    role, name = standing.role or participant.role, standing.name or participant.name
    first = participant.joining
    moved = replace(
        participant,
        sid=target.numbers.sid("PA_"),
        joining=replace(first, grants=replace(first.grants, video=replace(first.grants.video, room=target.name))),
        grants=replace(participant.grants, video=video, role=role, name=name),
        name=name,
        attributes=with_role(participant.attributes, role),
        joined_at=now,
        tracks=dict(participant.tracks),
        data_tracks=dict(participant.data_tracks),
        subscriptions={},
        desires={},
        sought={},
        settings={},
        data_desires={},
        data_subscriptions={},
        quality_due=set(),
        scores={},
        usual_rates={},
    )
    moved.changed()
    return moved


def _leave(source: Room, participant: Participant, now: float) -> list[Effect]:
    effects = publishing.withdraw_all(source, participant, now)
    effects += data_tracks.withdraw_all(source, participant)
    effects += subscribing.leave_all(source, participant, now)
    effects += subscribing.drop_all(source, participant, now)
    for _, transport in participant.transports():
        source.transports.pop(transport.number, None)
    participant.tracks.clear()
    participant.data_tracks.clear()
    joining.unseat(source, participant, DisconnectReason.MIGRATION)
    return effects + joining.tell_departed(source, participant, now)


def _enter(target: Room, before: Participant, moved: Participant, now: float) -> list[Effect]:
    for track in [*moved.tracks.values(), *moved.pending.values()]:
        track.publisher = moved
        track.subscribed_told = False
    for data_track in moved.data_tracks.values():
        data_track.publisher = moved
    joining.seat(target, moved, now)
    transports = [transport for _, transport in moved.transports()]
    target.transports.update((transport.number, (moved, transport)) for transport in transports)
    told = RoomMovedResponse(room=target.info(), participant=moved.info(), other_participants=target.seen_by(moved))
    numbers = tuple(transport.number for transport in transports)
    effects: list[Effect] = [Moved(before.sid, moved.sid, numbers, told)]
    effects += tell_soon(target, moved, now)
    effects.append(Announce(joining.event_of(ParticipantJoined, target, moved)))
    effects += permitting.settle(target, moved, now)
    effects += publishing.show_all(target, moved, now)
    effects += subscribing.settle_all(target, moved, now)
    effects += data_tracks.show_all(target, moved)
    effects += dynacast.ask_again(moved)
    if moved.subscriber is not None:
        # Sections that carried the other room's tracks are to be told as free, too.
        subscribing.gather_offer(target, moved, now)
        if moved.subscriber.negotiation.offer_outstanding:
            target.timers.set((Timer.NEGOTIATION, moved.sid), now + subscribing.ANSWER_TIMEOUT)
    quality.tell_later(moved, moved)
    counts_changed(target, now)
    return effects
