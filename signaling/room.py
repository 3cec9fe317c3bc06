"""Room: the live gathering, all that is true of it, and who is to be told of what. No decisions."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import Enum, auto

from livekit.protocol.models import Codec, Encryption, ParticipantInfo, ParticipantPermission
from livekit.protocol.models import Room as RoomInfo
from livekit.protocol.rtc import RoomUpdate, SignalResponse

from signaling import wire
from signaling.effects import Effect, Notify, ParticipantChanged, Remember, RoomChanged
from signaling.figures import Figures
from signaling.negotiation import Candidate
from signaling.numbering import Numbers
from signaling.participant import Participant, Transport
from signaling.rules import Rules
from signaling.settings import NodeSettings
from signaling.standing import Standing
from signaling.timers import Timers
from signaling.track import DataTrack, Track

# Infos of those who left, kept for clients that resume: LiveKit keeps as many.
DEPARTED_KEPT = 128
# Clients above this version take a session for the follower of an older one with its identity (LIVEKIT.md 1.8).
PROTOCOL_WITH_REPLACEMENT = 11
# Participant counts are told at most this often, in seconds (LIVEKIT.md 5.2, room_update).
COUNTS_INTERVAL = 5.0
# Up to so many people everybody hears of a newcomer at once. To tell one receiver costs some 30 us of the event loop,
# and each newcomer is told of twice: in a large room that would be most of what a join costs.
TOLD_AT_ONCE = 16
# In larger rooms those who publish nothing are told of together, so many seconds apart (LIVEKIT.md 5.3: 3 there). Where
# hundreds come at a time, telling them of each other is a fifth of what a join costs at a quarter of a second.
TOLD_TOGETHER_INTERVAL = 0.5


class Timer(Enum):
    """What a room waits for; each has the sid of a participant or track beside it, or ""."""

    __hash__ = object.__hash__  # Enum's own is Python code, called each time that a room's alarm is set

    JOIN = auto()
    """A participant must be ACTIVE by then."""
    OFFER = auto()
    """Gathered changes are offered to a subscriber."""
    NEGOTIATION = auto()
    """A subscriber must have answered by then."""
    GRACE = auto()
    """A participant whose media was lost must have resumed by then."""
    TOKEN = auto()
    """A participant gets a new token."""
    SEARCH = auto()
    """A subscription to an unknown track is given up."""
    CALL = auto()
    """A call of a participant's method must have been acknowledged or answered by then; with its id."""
    SIMULATED_SPEAKER = auto()
    """A client no longer wants to be told that it speaks."""
    DYNACAST = auto()
    """A publisher may stop layers that nobody wants."""
    ENTRY = auto()
    """A publisher is told that a track is muted that it came in with; with the track's sid."""
    SPEAKERS = auto()
    QUALITY = auto()
    COUNTS = auto()
    UPDATES = auto()
    """Participants who changed are told of together."""
    CLOSE = auto()
    """The room has been empty for long enough."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where rooms live: the node's settings, and what it offers as the far end of every transport."""

    settings: NodeSettings
    fingerprint: str
    """Of the certificate: sha-256 as "AB:CD:..."."""
    candidates: tuple[Candidate, ...]
    figures: Figures = field(default_factory=Figures)
    """Where rooms add what they measure."""


@dataclass(slots=True)
class Call:
    """A call of a participant's method by the server API that waits for its answer."""

    who: str
    """Sid of the participant who is to answer."""
    answer_by: float
    acknowledged: bool = False


@dataclass(slots=True, eq=False)
class Room:
    """The live gathering. Times are in seconds of the node's clock, which starts as Unix time and never goes back."""

    name: str
    sid: str
    place: Place
    numbers: Numbers
    created_at: float
    empty_timeout: int
    departure_timeout: int
    max_participants: int
    metadata: str = ""
    rules: Rules | None = field(init=False)
    """What the metadata says of them; None for a room without."""
    standings: dict[str, Standing] = field(default_factory=dict)
    """What hosts have decided of identities, those who are not here too."""
    returning: dict[str, float] = field(default_factory=dict)
    """Identities that may come back although the room is locked, and until when."""
    sync_streams: bool = False
    """Receivers play the sound and picture of one source in step."""
    participants: dict[str, Participant] = field(default_factory=dict)
    """By identity."""
    by_sid: dict[str, Participant] = field(default_factory=dict)
    transports: dict[int, tuple[Participant, Transport]] = field(default_factory=dict)
    tracks: dict[str, Track] = field(default_factory=dict)
    """Visible tracks by sid."""
    data_tracks: dict[str, DataTrack] = field(default_factory=dict)
    """By sid."""
    seekers: dict[str, set[str]] = field(default_factory=dict)
    """Sids of the participants who asked for a track that nobody has published, by track sid."""
    timers: Timers[tuple[Timer, str]] = field(default_factory=Timers)
    departed: OrderedDict[str, tuple[float, ParticipantInfo]] = field(default_factory=OrderedDict)
    """Time and last info of those who left, by sid."""
    sif_trailer: bytes = b""
    speakers: dict[str, float] = field(default_factory=dict)
    """Level as last told, by participant sid."""
    speakers_told_at: float = float("-inf")
    calls: dict[str, Call] = field(default_factory=dict)
    """Calls of the server API that wait for a participant's answer, by id."""
    preferences: dict[str, tuple[str, float]] = field(default_factory=dict)
    """Which protocol an identity's media keeps to, "udp" or "tcp", and until when."""
    nonces: deque[bytes] = field(default_factory=lambda: deque(maxlen=100))
    untold: dict[str, Participant] = field(default_factory=dict)
    """Those whose change is still to be told to the others, by sid."""
    told_together_at: float = float("-inf")
    counts_told: tuple[int, int, bool] = (0, 0, False)
    counts_told_at: float = float("-inf")
    closed: bool = False

    def __post_init__(self) -> None:
        self.describe(self.metadata)

    def describe(self, metadata: str) -> None:
        """Takes other metadata, with the rules in it. Raises InvalidArgument for rules that can't be."""
        self.rules = Rules.read(metadata)
        self.metadata = metadata

    def standing(self, identity: str) -> Standing:
        """What was decided of the identity."""
        return self.standings.get(identity, Standing())

    def is_kept_out(self, identity: str) -> bool:
        """Whether the person of the identity was removed for good, under this identity or another of theirs."""
        person_of = self.place.settings.person_of
        person = person_of(identity)
        return any(standing.kept_out and person_of(other) == person for other, standing in self.standings.items())

    def rules_for(self, participant: Participant) -> Rules | None:
        """The rules as they bind the participant; None for one whom none bind."""
        if self.rules is None or not participant.is_attendee:
            return None
        return self.rules.with_allowed(self.standing(participant.identity).allowed)

    def permission_of(self, participant: Participant) -> ParticipantPermission:
        """What was granted to the participant, less what the rules close to it."""
        granted, rules = participant.grants.video.permission(), self.rules_for(participant)
        return granted if rules is None else rules.within(granted)

    @property
    def codecs(self) -> tuple[str, ...]:
        return self.place.settings.room.enabled_codecs

    def codecs_of(self, participant: Participant) -> tuple[str, ...]:
        """MIME types that the participant may publish: those that its client can."""
        quirks = participant.quirks
        return tuple(mime for mime in self.codecs if mime.lower() not in quirks.lacks | quirks.sends_badly)

    def info(self) -> RoomInfo:
        """The room as the protocol describes it."""
        participants, publishers, is_recorded = self.counts()
        return RoomInfo(
            sid=self.sid,
            name=self.name,
            empty_timeout=self.empty_timeout,
            departure_timeout=self.departure_timeout,
            max_participants=self.max_participants,
            creation_time=int(self.created_at),
            creation_time_ms=int(self.created_at * 1000),
            enabled_codecs=[Codec(mime=mime) for mime in self.codecs],
            metadata=self.metadata,
            num_participants=participants,
            num_publishers=publishers,
            active_recording=is_recorded,
        )

    def trailer(self, encryption: Encryption.Type) -> bytes:
        """What ends frames of ours in a track: receivers that decrypt it leave those alone (LIVEKIT.md 7.3)."""
        return b"" if encryption == Encryption.NONE else self.sif_trailer

    def counts(self) -> tuple[int, int, bool]:
        """Participants and publishers, without recorders and agents; and whether there is a recorder."""
        participants = publishers = recorders = 0
        for participant in self.participants.values():  # a join asks for this, in rooms of any size
            if not participant.dependent:
                if participant.present:
                    participants += 1
                    publishers += bool(participant.tracks)
            elif participant.permission.recorder:
                recorders += 1
        return participants, publishers, bool(recorders)

    def others(self, participant: Participant) -> Iterator[Participant]:
        """Everyone else who is present."""
        return (p for p in self.participants.values() if p is not participant and p.present)

    def attached(self, *, without: Participant | None = None) -> tuple[str, ...]:
        """Sids of all who have a socket."""
        return tuple(p.sid for p in self.participants.values() if p.attached and p is not without)

    def seen_by(self, participant: Participant) -> list[ParticipantInfo]:
        """The others as the participant may see them."""
        here = self.participants.values()
        return [p.info() for p in here if p is not participant and p.present and not p.hidden]


def tell_changed(room: Room, participant: Participant, *, to_self: bool) -> list[Effect]:
    """Counts a change of the participant and sends its complete info to those who may see it (LIVEKIT.md 5.3)."""
    participant.changed()
    room.untold.pop(participant.sid, None)
    info = participant.info()
    if participant.hidden:
        to: tuple[str, ...] = (participant.sid,) if to_self and participant.attached else ()
    else:
        to = room.attached(without=None if to_self else participant)
    return [*notify(to, wire.update(info)), Remember(ParticipantChanged(room.name, info))]


def tell_soon(room: Room, participant: Participant, now: float) -> list[Effect]:
    """Sends the participant's complete info to the others; in a large room together with those of other newcomers."""
    remember = Remember(ParticipantChanged(room.name, participant.info()))
    if participant.hidden:
        return [remember]
    if participant.tracks or len(room.participants) <= TOLD_AT_ONCE:
        room.untold.pop(participant.sid, None)
        return [*notify(room.attached(without=participant), wire.update(participant.info())), remember]
    room.untold[participant.sid] = participant
    if not room.timers.is_set((Timer.UPDATES, "")):
        room.timers.set((Timer.UPDATES, ""), max(now, room.told_together_at + TOLD_TOGETHER_INTERVAL))
    return [remember]


def tell_gone(room: Room, info: ParticipantInfo, now: float, *, replaced: bool = False) -> list[Effect]:
    """Sends everybody the last info of one whom they see no more, and keeps it for those who resume.

    `replaced`: they hear of a newer session with its identity.
    """
    room.departed[info.sid] = (now, info)
    if len(room.departed) > DEPARTED_KEPT:
        room.departed.popitem(last=False)
    to = [sid for sid in room.attached() if sid != info.sid]
    if replaced:
        to = [sid for sid in to if room.by_sid[sid].protocol <= PROTOCOL_WITH_REPLACEMENT]
    return notify(to, wire.update(info))


def tell_together(room: Room, now: float) -> list[Effect]:
    """Sends everybody the infos that have been gathered. Newcomers among the receivers hear of themselves, too."""
    untold, room.untold = room.untold, {}
    room.told_together_at = now
    infos = [participant.info() for participant in untold.values() if participant.present]
    return notify(room.attached(), wire.update(*infos)) if infos else []


def tell_room(room: Room, now: float) -> list[Effect]:
    """Sends the room's facts to everybody, and remembers them."""
    info = room.info()
    room.counts_told = room.counts()
    room.counts_told_at = now
    room.timers.clear((Timer.COUNTS, ""))
    message = SignalResponse(room_update=RoomUpdate(room=info))
    return [*notify(room.attached(), message), Remember(RoomChanged(info))]


def counts_changed(room: Room, now: float) -> None:
    """Sees to it that changed counts are told, at most every few seconds."""
    if not room.timers.is_set((Timer.COUNTS, "")) and room.counts() != room.counts_told:
        room.timers.set((Timer.COUNTS, ""), max(now, room.counts_told_at + COUNTS_INTERVAL))


def closing_changed(room: Room, now: float) -> None:
    """The room closes some time after the last of those who keep it open has gone; recorders and agents do not."""
    timer = (Timer.CLOSE, "")
    if any(not p.dependent for p in room.participants.values()):
        room.timers.clear(timer)
    elif not room.timers.is_set(timer):
        room.timers.set(timer, now + room.departure_timeout)


def notify(to: Iterable[str], message: SignalResponse) -> list[Effect]:
    """One effect, or none where nobody is to be told."""
    receivers = tuple(to)
    return [Notify(receivers, message)] if receivers else []
