"""A meeting under guard: whatever it does, who is gone gets nothing, and the engine forwards what the rules allow."""

from __future__ import annotations

from dataclasses import dataclass, field

from livekit.protocol.models import TrackSource
from livekit.protocol.room import CreateRoomRequest

from media import commands
from signaling import joining
from signaling.effects import (
    Disconnect,
    Effect,
    Engine,
    Notify,
    ParticipantChanged,
    ParticipantForgotten,
    Remember,
    RoomChanged,
    SendPacket,
    StandingChanged,
)
from signaling.rules import ALLOWANCES
from signaling.standing import KeptRoom, Standing
from signaling.token import Role
from signaling.track import Track
from tests.signaling.meeting import Meeting

NEEDED = {
    TrackSource.CAMERA: {"video"},
    TrackSource.MICROPHONE: {"unmute"},
    TrackSource.SCREEN_SHARE: {"share"},
    TrackSource.SCREEN_SHARE_AUDIO: {"share", "unmute"},
    TrackSource.UNKNOWN: {"video", "unmute", "share"},
}


@dataclass
class Expected:
    """What should hold, kept by what hosts did alone: the code under test has no part in it."""

    locked: bool = False
    mute_on_entry: bool = False
    allow: frozenset[str] = frozenset(ALLOWANCES)
    roles: dict[str, Role] = field(default_factory=dict)
    """Given by hosts."""
    asked: dict[str, frozenset[str]] = field(default_factory=dict)
    """What one may beyond the rules, for a host asked it to."""
    out: set[str] = field(default_factory=set)
    """Kept out."""
    silenced: set[str] = field(default_factory=set)
    """Sids of tracks that a host has muted, and that their owners have not unmuted since."""
    back_until: dict[str, float] = field(default_factory=dict)
    """Who was inside while it was locked, and until when they may come back."""

    def may(self, identity: str) -> frozenset[str]:
        """What the rules let an attendee do."""
        return self.allow | self.asked.get(identity, frozenset())

    def role(self, identity: str, otherwise: Role) -> Role:
        return self.roles.get(identity, otherwise)

    def comes_in(self, identity: str, role: Role, inside: bool, now: float) -> bool:
        """Whether the door opens to a token of this role."""
        if identity in self.out:
            return False
        if not self.locked or self.role(identity, role) != "attendee":
            return True
        return inside or self.back_until.get(identity, now) > now


class GuardedMeeting(Meeting):
    """A room in virtual time whose every effect is looked over, and its store."""

    def __init__(self, name: str = "meeting") -> None:
        self.gone: set[str] = set()
        self.open: dict[int, set[int]] = {}
        """Tracks that the engine has, by transport."""
        self.blocked: set[tuple[int, int]] = set()
        self.kept: RoomChanged | None = None
        """The room as the store has it, and below its standings and those inside."""
        self.store: dict[str, Standing] = {}
        self.inside: dict[str, ParticipantChanged] = {}
        super().__init__(name=name)

    def run(self, effects: list[Effect]) -> None:
        before = len(self.effects)
        super().run(effects)
        for effect in self.effects[before:]:
            self._look_at(effect)
        assert set(self.open) == set(self.room.transports), "the engine has transports of nobody, or not those of all"
        assert not self.gone & set(self.room.by_sid)

    def _look_at(self, effect: Effect) -> None:
        match effect:
            case Disconnect(who):
                self.gone.add(who)
            case SendPacket(to):
                assert not self.gone & set(to), "who is gone is sent data"
            case Notify(to, message):
                # The driver has let go of the sockets of those who are gone; nobody else was ever let in.
                assert all(sid in self.gone or sid in self.room.by_sid or self.room.closed for sid in to), message
            case Engine(command):
                self._command(command)
            case Remember(RoomChanged() as change):
                self.kept = change
            case Remember(ParticipantChanged() as change):
                self.inside[change.participant.identity] = change
            case Remember(ParticipantForgotten(_, identity)):
                self.inside.pop(identity, None)
            case Remember(StandingChanged(_, identity, standing)):
                self.store[identity] = standing
            case _:
                pass

    def _command(self, command: commands.Command) -> None:
        match command:
            case commands.OpenTransport(transport=transport):
                self.open[transport] = set()
            case commands.CloseTransport(transport):
                del self.open[transport]
            case commands.AddTrack(transport=transport, track=track):
                self.open[transport].add(track)
                self.blocked.discard((transport, track))
            case commands.RemoveTrack(transport, track):
                self.open[transport].discard(track)
            case commands.BlockTrack(transport, track, blocked):
                (self.blocked.add if blocked else self.blocked.discard)((transport, track))
            case commands.AddSubscription(transport=transport):
                assert transport in self.open, "who is gone is sent media"
            case _:
                pass

    def forwarded(self) -> list[Track]:
        """Tracks whose packets the engine passes on."""
        found = []
        for transport, numbers in self.open.items():
            owner = self.room.transports[transport][0]
            tracks = {track.number: track for track in owner.tracks.values()}
            for number in numbers:
                assert number in tracks, "the engine has a track of nobody"
                if (transport, number) not in self.blocked:
                    found.append(tracks[number])
        return found

    def check(self, expected: Expected) -> None:
        """Nobody is here who should not be, as what they should not be, or is forwarded against the rules."""
        assert not expected.out & set(self.room.participants)
        for participant in self.room.participants.values():
            given = expected.roles.get(participant.identity)
            assert given is None or participant.role == given
            assert participant.info().attributes.get("veche.role", "attendee") == participant.role
        for track in self.forwarded():
            owner = track.publisher
            if owner.role == "attendee":
                needed = NEEDED[track.info.source] | ({"unmute"} if track.kind == "audio" else set())
                assert needed <= expected.may(owner.identity), f"{owner.identity} is forwarded: {track.info}"
            assert track.sid not in expected.silenced

    def taken_up(self) -> GuardedMeeting:
        """The room on another node, after this one has died without a word."""
        assert self.kept is not None
        standings = {who: standing for who, standing in self.store.items() if not standing.is_plain}
        known = KeptRoom(self.kept.room, tuple(self.inside), standings)
        other = GuardedMeeting(name="elsewhere")
        other.now = self.now
        asked = CreateRoomRequest(metadata='{"veche": {}}')
        place, numbers = other.room.place, other.room.numbers
        other.room, effects = joining.open_room("meeting", place, numbers, asked, self.now, known)
        other.store = dict(standings)
        other.run(effects)
        return other
