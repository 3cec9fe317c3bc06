"""Permitting: what a participant may do changes, and tracks, subscriptions and data follow (LIVEKIT.md 8).

Its permission is what was granted to it, less what the rules of the room close to attendees.
"""

from __future__ import annotations

from dataclasses import replace

from livekit.protocol.models import ParticipantInfo, ParticipantPermission

from signaling import data_tracks, publishing, subscribing
from signaling.effects import Effect, RefreshToken
from signaling.participant import Participant
from signaling.room import Room, closing_changed, counts_changed, tell_changed, tell_gone


def grant(room: Room, participant: Participant, permission: ParticipantPermission, now: float) -> list[Effect]:
    """Replaces all flags of what is granted: the token of the participant says them from now on."""
    granted = participant.grants.video.permission()
    if granted == permission:
        return []
    participant.grants = replace(participant.grants, video=participant.grants.video.with_permission(permission))
    return [*settle(room, participant, now), RefreshToken(participant.sid)]


def settle(room: Room, participant: Participant, now: float) -> list[Effect]:
    """Makes the permission what it should be: tracks no longer allowed end, subscriptions go or come back, all hear."""
    before = participant.permission
    participant.permit(participant.grants.video.permission())
    permission = room.permission_of(participant)
    participant.permit(permission)
    effects: list[Effect] = []
    for track in [*participant.tracks.values(), *participant.pending.values()]:
        if not publishing.may_publish(room, participant, track.kind, track.info.source):
            effects += publishing.unpublish(room, participant, track, now, tell_owner=True)
    if before == permission:
        return effects
    if not permission.can_publish_data:
        effects += data_tracks.unpublish_all(room, participant)
    effects += data_tracks.settle_all(room, participant)
    if before.can_subscribe and not permission.can_subscribe:
        effects += subscribing.leave_all(room, participant, now)
    elif permission.can_subscribe and not before.can_subscribe:
        effects += subscribing.first_offer(room, participant, now)
    if permission.hidden != before.hidden:
        effects += _hide(room, participant, now) if permission.hidden else _unhide(room, participant, now)
    if permission.recorder != before.recorder:
        effects += subscribing.settle_all(room, participant, now)  # no audience shuts a recorder out
    counts_changed(room, now)
    closing_changed(room, now)
    return [*effects, *tell_changed(room, participant, to_self=True)]


def _hide(room: Room, participant: Participant, now: float) -> list[Effect]:
    """The others take it for gone, and receive nothing of it any more."""
    participant.changed()
    gone = ParticipantInfo()
    gone.CopyFrom(participant.info())
    gone.state = ParticipantInfo.State.DISCONNECTED
    room.untold.pop(participant.sid, None)
    effects = [*tell_gone(room, gone, now), *data_tracks.settle_audience(room, participant)]
    for track in participant.tracks.values():
        effects += subscribing.leave_track(room, track, now)
    return effects


def _unhide(room: Room, participant: Participant, now: float) -> list[Effect]:
    """The others hear of it before its tracks are offered to them."""
    room.departed.pop(participant.sid, None)
    effects = [*tell_changed(room, participant, to_self=False), *data_tracks.settle_audience(room, participant)]
    for track in participant.tracks.values():
        effects += subscribing.track_appeared(room, track, now)
    return effects
