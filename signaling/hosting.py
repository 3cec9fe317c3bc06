"""Hosting: what hosts do in a room, to all or to one. Who may is the caller's to know.

What they decide of one identity is its standing, which outlives its session: who comes back, with whatever token it
still has, is what it was made here.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from dataclasses import replace
from typing import Literal

from livekit.protocol.models import DataPacket, TrackSource, UserPacket

from signaling import data_packets, moderation, permitting, publishing
from signaling.effects import Announce, Effect, RefreshToken, Remember, StandingChanged, StandingGiven
from signaling.errors import FailedPrecondition, InvalidArgument, NotFound
from signaling.participant import Participant
from signaling.permission import with_role
from signaling.room import Room, tell_changed
from signaling.rules import Rules, RulesChange
from signaling.standing import Standing
from signaling.token import Role
from signaling.track import Track

ASK_TOPIC = "veche.ask"
"""Of packets without a sender, which no client can send: a host asks the receiver for something."""

Wish = Literal["unmute", "video"]
_SCREEN = (TrackSource.SCREEN_SHARE, TrackSource.SCREEN_SHARE_AUDIO)


def decide(room: Room, identity: str, standing: Standing) -> list[Effect]:
    """Keeps what was decided of an identity, and tells the store and the product."""
    if room.standing(identity) == standing:
        return []
    room.standings[identity] = standing
    if standing.is_plain:
        del room.standings[identity]
    remember = Remember(StandingChanged(room.name, identity, standing))
    return [remember, Announce(StandingGiven(room.info(), identity, standing))]


def change_rules(room: Room, change: RulesChange, now: float) -> list[Effect]:
    """Other rules hold at once. Raises InvalidArgument, LimitExceeded."""
    rules = change(room.rules or Rules())
    return moderation.update_metadata(room, rules.written(room.metadata), now)


def mute_all(room: Room, but: Collection[str], now: float, *, may_unmute: bool) -> list[Effect]:
    """Mutes every microphone but those of `but`; attendees may unmute themselves afterwards, or may not.

    Raises InvalidArgument, LimitExceeded.
    """
    effects: list[Effect] = []
    for identity, standing in list(room.standings.items()):
        if identity not in but:
            effects += decide(room, identity, replace(standing, allowed=standing.allowed - {"unmute"}))
    if may_unmute:
        effects += change_rules(room, lambda rules: replace(rules, allow=rules.allow | {"unmute"}), now)
    else:
        for identity in but:
            if identity in room.participants and room.participants[identity].is_attendee:
                effects += _allow(room, identity, "unmute")
        effects += change_rules(room, lambda rules: replace(rules, allow=rules.allow - {"unmute"}), now)
    for participant in list(room.participants.values()):
        if participant.identity not in but and not participant.dependent:
            effects += permitting.settle(room, participant, now)
            effects += _mute(room, participant, _microphones(participant), now)
    return effects


def mute(room: Room, identity: str, now: float) -> list[Effect]:
    """Mutes a participant's microphones; one who was asked to unmute against the rules loses that. Raises NotFound."""
    participant = moderation.find(room, identity)
    effects = _disallow(room, participant, "unmute", now)
    return effects + _mute(room, participant, _microphones(participant), now)


def stop_video(room: Room, identity: str, now: float) -> list[Effect]:
    """Mutes a participant's cameras; it may start them again if the rules let it. Raises NotFound."""
    participant = moderation.find(room, identity)
    effects = _disallow(room, participant, "video", now)
    cameras = [t for t in _tracks(participant) if t.kind == "video" and t.info.source not in _SCREEN]
    return effects + _mute(room, participant, cameras, now)


def stop_share(room: Room, identity: str, now: float) -> list[Effect]:
    """Ends a participant's shared screen, with its sound. Raises NotFound."""
    participant = moderation.find(room, identity)
    effects: list[Effect] = []
    for track in _tracks(participant):
        if track.info.source in _SCREEN:
            effects += publishing.unpublish(room, participant, track, now, tell_owner=True)
    return effects


def ask(room: Room, identity: str, wish: Wish, now: float) -> list[Effect]:
    """Asks a participant to unmute or to start its camera; it may then, against the rules too. Raises NotFound."""
    participant = moderation.find(room, identity)
    effects: list[Effect] = []
    rules = room.rules_for(participant)
    if rules is not None and wish not in rules.allow:
        effects += _allow(room, identity, wish)
        effects += permitting.settle(room, participant, now)
    asked = UserPacket(payload=json.dumps({"ask": wish}).encode(), topic=ASK_TOPIC)
    packet = DataPacket(user=asked, destination_identities=[identity])
    return effects + data_packets.route(room, packet, reliable=True)


def set_role(room: Room, identity: str, role: Role, now: float) -> list[Effect]:
    """Makes a participant host, co-host or attendee: rules bind it, or no longer, at once.

    Raises NotFound, and FailedPrecondition for the only host of those who are here.
    """
    participant = moderation.find(room, identity)
    if participant.role == role:
        return []
    others = (p for p in room.participants.values() if p is not participant)
    if participant.role == "host" and not any(p.role == "host" for p in others):
        raise FailedPrecondition("the room would have no host: make somebody else host first")
    effects = decide(room, identity, replace(room.standing(identity), role=role, allowed=frozenset()))
    participant.grants = replace(participant.grants, role=role)
    participant.attributes = with_role(participant.attributes, role)
    effects += permitting.settle(room, participant, now)
    return [*effects, *tell_changed(room, participant, to_self=True), RefreshToken(participant.sid)]


def rename(room: Room, identity: str, name: str) -> list[Effect]:
    """Gives a participant another name, which it keeps when it comes back. Raises NotFound, LimitExceeded."""
    participant = moderation.find(room, identity)
    if not name:
        raise InvalidArgument("name: takes one character at least")
    effects = moderation.describe(room, participant, name, "", {})
    return effects + decide(room, identity, replace(room.standing(identity), name=name))


def renamed(room: Room, participant: Participant) -> list[Effect]:
    """A participant has changed its name itself: that a host gave it one before is past."""
    return decide(room, participant.identity, replace(room.standing(participant.identity), name=""))


def remove(room: Room, identity: str, now: float, *, keep_out: bool) -> tuple[list[str], list[Effect]]:
    """Ends a participant's session; also the identities whose tokens are to be worth nothing any more.

    `keep_out` lasts as long as the room, is for all identities of the person, and takes who isn't here, too.
    Raises NotFound for one who isn't here and is not to be kept out.
    """
    person_of = room.place.settings.person_of
    gone = [identity]
    if keep_out:
        gone += [one for one in room.participants if one != identity and person_of(one) == person_of(identity)]
    elif identity not in room.participants:
        raise NotFound("participant does not exist")
    effects = decide(room, identity, Standing(kept_out=True)) if keep_out else []
    if room.rules is not None and not set(gone).isdisjoint(room.rules.spotlight):
        effects += spotlight(room, [one for one in room.rules.spotlight if one not in gone], now)
    for one in gone:
        room.returning.pop(one, None)
        if one in room.participants:
            effects += moderation.remove(room, one)
    return gone, effects


def let_back(room: Room, identity: str) -> list[Effect]:
    """A person who was kept out may come again. Raises NotFound for one who isn't kept out."""
    if not room.is_kept_out(identity):
        raise NotFound("nobody of this identity is kept out")
    person_of = room.place.settings.person_of
    effects: list[Effect] = []
    for other, standing in list(room.standings.items()):
        if standing.kept_out and person_of(other) == person_of(identity):
            effects += decide(room, other, Standing())
    return effects


def spotlight(room: Room, identities: Iterable[str], now: float) -> list[Effect]:
    """Everybody sees these large. Raises NotFound for one who is neither here nor there already, InvalidArgument."""
    wanted = tuple(dict.fromkeys(identities))
    already = room.rules.spotlight if room.rules is not None else ()
    for identity in wanted:
        if identity not in already:
            moderation.find(room, identity)
    return change_rules(room, lambda rules: replace(rules, spotlight=wanted), now)


def _allow(room: Room, identity: str, wish: Wish) -> list[Effect]:
    standing = room.standing(identity)
    return decide(room, identity, replace(standing, allowed=standing.allowed | {wish}))


def _disallow(room: Room, participant: Participant, wish: Wish, now: float) -> list[Effect]:
    standing = room.standing(participant.identity)
    effects = decide(room, participant.identity, replace(standing, allowed=standing.allowed - {wish}))
    return effects + permitting.settle(room, participant, now)


def _tracks(participant: Participant) -> list[Track]:
    return [*participant.tracks.values(), *participant.pending.values()]


def _microphones(participant: Participant) -> list[Track]:
    return [track for track in _tracks(participant) if track.is_microphone]


def _mute(room: Room, participant: Participant, tracks: Iterable[Track], now: float) -> list[Effect]:
    effects: list[Effect] = []
    for track in tracks:
        effects += moderation.mute(room, participant.identity, track.sid, True, now)[1]
    return effects
