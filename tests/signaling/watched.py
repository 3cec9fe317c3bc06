"""A meeting whose every step is looked over: what clients know by their messages alone, and what the engine holds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from livekit.protocol.models import ParticipantInfo
from livekit.protocol.models import Room as RoomInfo
from livekit.protocol.rtc import MediaSectionsRequirement, RoomMovedResponse, SessionDescription, SignalResponse

from media import commands
from signaling import dynacast, sdp
from signaling.effects import (
    Announce,
    Change,
    CloseSocket,
    Disconnect,
    Effect,
    Engine,
    Moved,
    Notify,
    ParticipantChanged,
    ParticipantForgotten,
    ParticipantJoined,
    ParticipantLeft,
    Remember,
    RoomChanged,
    RoomEvent,
    RoomForgotten,
    SendPacket,
    TrackPublished,
    TrackUnpublished,
)
from signaling.participant import Participant, State
from signaling.room import Room, Timer
from signaling.settings import Limits, RoomSettings
from signaling.subscribing import admits
from signaling.track import Subscription, Track
from tests.signaling.meeting import Meeting

# Up to this version clients know participants by sid, later ones by identity (LIVEKIT.md 1.8).
_PROTOCOL_BY_SID = 11
_GONE = ParticipantInfo.State.DISCONNECTED


@dataclass
class View:
    """What one client knows: made of the messages that reached it, and of nothing else."""

    sid: str
    protocol: int
    hears: bool = True
    """False: its socket is gone, or swallows everything while the server believes in it."""
    others: dict[str, ParticipantInfo] = field(default_factory=dict)
    room: RoomInfo | None = None
    versions: dict[str, ParticipantInfo] = field(default_factory=dict)
    """The newest info of each sid that it was ever told of."""
    published: dict[str, str] = field(default_factory=dict)
    """Its own tracks as it was told: cid by sid."""
    offer: SessionDescription | None = None
    """To be answered."""
    requirement: MediaSectionsRequirement | None = None
    """Sections to be added with its next offer."""
    asked_to_resume: bool = False

    def take(self, message: SignalResponse) -> None:
        """Hears one message."""
        kind = message.WhichOneof("message")
        if kind == "join":
            self.room = message.join.room
            self.versions[self.sid] = message.join.participant
            for info in message.join.other_participants:
                self._take_info(info)
        elif kind == "room_moved":
            self.room = message.room_moved.room
            self.versions[self.sid] = message.room_moved.participant
            for info in message.room_moved.other_participants:
                self._take_info(info)
        elif kind == "update":
            for info in message.update.participants:
                self._take_info(info)
        elif kind == "room_update":
            self.room = message.room_update.room
        elif kind == "track_published":
            self.published[message.track_published.track.sid] = message.track_published.cid
        elif kind == "track_unpublished":
            self.published.pop(message.track_unpublished.track_sid, None)
        elif kind == "offer":
            self.offer = message.offer
        elif kind == "media_sections_requirement":
            self.requirement = message.media_sections_requirement
        elif kind == "leave" and message.leave.action == message.leave.RESUME:
            self.asked_to_resume = True

    def _take_info(self, info: ParticipantInfo) -> None:
        before = self.versions.get(info.sid)
        if before is not None:
            assert info.version >= before.version, f"{self.sid} was told an older {info.sid}: {before} then {info}"
            assert info.version > before.version or info == before, f"one version, two infos: {before} and {info}"
        self.versions[info.sid] = info
        if info.sid == self.sid:
            return
        key = info.sid if self.protocol <= _PROTOCOL_BY_SID else info.identity
        if info.state == _GONE:
            self.others.pop(key, None)
        else:
            self.others[key] = info


@dataclass
class OpenTransport:
    """A transport as the engine has it, and the last description of ours on it."""

    tracks: dict[int, commands.AddTrack] = field(default_factory=dict)
    blocked: set[int] = field(default_factory=set)
    subscriptions: dict[int, commands.AddSubscription] = field(default_factory=dict)
    chosen: dict[int, commands.SetSubscription] = field(default_factory=dict)
    places: dict[str, str] = field(default_factory=dict)
    """Our tracks in our last description: sid by mid."""
    lines: list[tuple[str, str, bool]] = field(default_factory=list)
    """Kind, mid and whether it is in use, of each of its sections."""


class Ledger:
    """What the engine holds by the commands so far. A command about what is not open fails."""

    def __init__(self) -> None:
        self.transports: dict[int, OpenTransport] = {}
        self._numbers: set[int] = set()

    def take(self, command: commands.Command) -> None:
        """Carries one command out."""
        if isinstance(command, commands.OpenTransport):
            assert command.transport not in self._numbers, f"number is used twice: {command}"
            self._numbers.add(command.transport)
            self.transports[command.transport] = OpenTransport()
            return
        open_transport = self.transports.get(command.transport)
        assert open_transport is not None, f"transport is not open: {command}"
        match command:
            case commands.CloseTransport():
                del self.transports[command.transport]
            case commands.AddTrack():
                open_transport.tracks[command.track] = command
            case commands.RemoveTrack():
                assert command.track in open_transport.tracks, f"track is not open: {command}"
                del open_transport.tracks[command.track]
                open_transport.blocked.discard(command.track)
            case commands.SilenceTrack():
                assert command.track in open_transport.tracks, f"track is not open: {command}"
            case commands.BlockTrack():
                assert command.track in open_transport.tracks, f"track is not open: {command}"
                (open_transport.blocked.add if command.blocked else open_transport.blocked.discard)(command.track)
            case commands.AddSubscription():
                source = self.transports.get(command.track_transport)
                assert source is not None, f"source is not open: {command}"
                assert command.track in source.tracks, f"source is not open: {command}"
                open_transport.subscriptions[command.subscription] = command
            case commands.SetSubscription():
                assert command.subscription in open_transport.subscriptions, f"not open: {command}"
                open_transport.chosen[command.subscription] = command
            case commands.RemoveSubscription():
                assert command.subscription in open_transport.subscriptions, f"not open: {command}"
                del open_transport.subscriptions[command.subscription]
                open_transport.chosen.pop(command.subscription, None)
            case _:
                pass

    def describe(self, number: int, description: SessionDescription) -> None:
        """Looks an offer or answer of ours over: it parses, and each section keeps its kind, and its track or none."""
        lines: list[tuple[str, str, bool]] = []
        sent: dict[str, str] = {}
        for section in sdp.parse(description.sdp).sections:
            mid = section.first("mid") or ""
            lines.append((section.kind, mid, bool(section.port)))
            if "sendonly" in section.attributes:
                sent[mid] = (section.first("msid") or "").split(" ")[-1]
        places = dict(description.mid_to_track_id)
        assert sent == places, f"the text and the map name different tracks: {sent} and {places}"
        assert len(set(places.values())) == len(places), f"one track is on two sections: {places}"
        known = self.transports[number]
        assert len(lines) >= len(known.lines), f"sections vanished: {known.lines} then {lines}"
        for (kind, mid, used), (new_kind, new_mid, _) in zip(known.lines, lines, strict=False):
            assert kind == new_kind, f"a section changed its kind: {known.lines} then {lines}"
            assert mid == new_mid or not used, f"a section in use changed its mid: {known.lines} then {lines}"
        assert len({mid for _, mid, _ in lines}) == len(lines), f"a mid is there twice: {lines}"
        for mid, track_sid in places.items():
            assert known.places.get(mid, track_sid) == track_sid, f"mid {mid}: {known.places} then {places}"
        known.lines, known.places = lines, places


@dataclass
class Record:
    """What the store and the product know of a room, by what they were told."""

    room: RoomInfo | None = None
    participants: dict[str, ParticipantInfo] = field(default_factory=dict)
    """By identity, in the store."""
    joined: set[str] = field(default_factory=set)
    """Sids of those whose joining was announced, and not their leaving."""
    published: set[str] = field(default_factory=set)
    """Sids of tracks, in the same way."""

    def remember(self, change: Change) -> None:
        """Takes what is to be stored."""
        match change:
            case RoomChanged(info):
                self.room = info
            case RoomForgotten():
                self.room = None
                self.participants.clear()
            case ParticipantChanged(_, info):
                self.participants[info.identity] = info
            case ParticipantForgotten(_, identity):
                self.participants.pop(identity, None)

    def announce(self, event: RoomEvent) -> None:
        """Takes what the product hears: each thing begins once, and ends once."""
        match event:
            case ParticipantJoined(_, info):
                assert info.sid not in self.joined, f"joined twice: {info}"
                self.joined.add(info.sid)
            case ParticipantLeft(_, info):
                self.joined.remove(info.sid)
            case TrackPublished(_, _, track):
                assert track.sid not in self.published, f"published twice: {track}"
                self.published.add(track.sid)
            case TrackUnpublished(_, _, track):
                self.published.remove(track.sid)
            case _:
                pass


class Watched(Meeting):
    """A meeting that is looked over after each step."""

    def __init__(
        self,
        room: RoomSettings | None = None,
        limit: Limits | None = None,
        *,
        beside: Watched | None = None,
        **settings: Any,
    ) -> None:
        self.views: dict[str, View] = beside.views if beside else {}
        self.ledger: Ledger = beside.ledger if beside else Ledger()
        self.node: list[Watched] = beside.node if beside else []
        """All rooms of the node, which share an engine."""
        self.node.append(self)
        self.halfway = False
        """Somebody is neither here any more nor in another room yet."""
        self.seen = 0
        self.record = Record()
        super().__init__(room, limit, beside=beside, **settings)

    def run(self, effects: list[Effect]) -> None:
        """Carries effects out, then looks whether all is well."""
        super().run(effects)
        fresh, self.seen = self.effects[self.seen :], len(self.effects)
        for effect in fresh:
            match effect:
                case Notify(to, message):
                    for sid in to:
                        self._notify(sid, message)
                case Engine(command):
                    self.ledger.take(command)
                case SendPacket(to):
                    assert len(set(to)) == len(to), "nobody gets a packet twice"
                case CloseSocket(who) | Disconnect(who):
                    if who in self.views:
                        self.views[who].hears = False
                case Remember(change):
                    self.record.remember(change)
                case Announce(event):
                    self.record.announce(event)
                case Moved(before, who, _, response):
                    self._moved(before, who, response)
                case _:
                    pass
        if not self.halfway:
            self.look()

    def _moved(self, before: str, sid: str, response: RoomMovedResponse) -> None:
        known = self.views[before]
        view = replace(known, sid=sid, others={}, versions={})
        self.views[sid] = view
        if view.hears:
            view.take(SignalResponse(room_moved=response))

    def _notify(self, sid: str, message: SignalResponse) -> None:
        kind = message.WhichOneof("message")
        if kind == "join":
            participant = self.room.by_sid.get(sid)
            self.views[sid] = View(sid, participant.protocol if participant else 0)
        participant = self.room.by_sid.get(sid)
        if participant is not None and kind in ("offer", "answer"):
            transport = participant.subscriber if kind == "offer" else participant.publisher
            assert transport is not None, f"{kind} on no transport"
            description = message.offer if kind == "offer" else message.answer
            self.ledger.describe(transport.number, description)
            strangers = set(description.mid_to_track_id.values()) - set(self.room.tracks)
            assert not strangers, f"{kind} to {sid} names tracks that are not there: {strangers}"
        view = self.views.get(sid)
        if view is not None and view.hears:
            view.take(message)

    def look(self) -> None:
        """What holds after each step."""
        tracks: dict[str, Track] = {}
        subscriptions: dict[int, Subscription] = {}
        for meeting in self.node:
            meeting._look_at_room()
            tracks |= meeting.room.tracks
            for participant in meeting.room.participants.values():
                subscriptions |= {s.number: s for s in participant.subscriptions.values()}
        self._look_at_engine(tracks, subscriptions)

    def _look_at_room(self) -> None:
        room = self.room
        assert set(room.by_sid) == {p.sid for p in room.participants.values()}
        assert all(p.present for p in room.participants.values())
        own = {t.sid: t for p in room.participants.values() for t in p.tracks.values()}
        assert room.tracks == own, "each visible track has its owner"
        assert self.record.published == set(own), "tracks are announced, and their ends"
        assert self.record.joined == {p.sid for p in room.participants.values() if p.has_been_active}
        for participant in room.participants.values():
            _look_at_tracks(participant)
        _look_at_wishes(room)
        subscriptions = {s.number: s for p in room.participants.values() for s in p.subscriptions.values()}
        assert {s.number for t in own.values() for s in t.subscriptions.values()} == set(subscriptions)
        assert {s.track.sid for s in subscriptions.values()} <= set(own), "nobody receives a track that is gone"
        for subscription in subscriptions.values():
            assert may_receive(subscription.subscriber, subscription.track), f"no right: {subscription}"
        for sid, seekers in room.seekers.items():
            assert all(sid in room.by_sid[seeker].sought for seeker in seekers), "each seeker is here and seeks"
        data = {t.sid: t for p in room.participants.values() for t in p.data_tracks.values()}
        assert room.data_tracks == data
        for participant in room.participants.values():
            assert set(participant.data_subscriptions) <= set(data)
        for track in data.values():
            assert track.publisher.permission.can_publish_data
            for sid in track.subscribers:
                receiver = room.by_sid[sid]
                assert track.sid in receiver.data_subscriptions
                assert receiver.permission.can_subscribe, "nobody without the right receives data"
                assert not track.publisher.hidden, "nobody receives data of a hidden participant"

    def _look_at_engine(self, tracks: Mapping[str, Track], subscriptions: Mapping[int, Subscription]) -> None:
        opened = self.ledger.transports
        transports = {number for meeting in self.node for number in meeting.room.transports}
        assert set(opened) == transports, "the engine has the rooms' transports"
        received = {number for transport in opened.values() for number in transport.tracks}
        assert received == {number for track in tracks.values() for number in _numbers(track)}
        blocked = {number for transport in opened.values() for number in transport.blocked}
        assert blocked == {number for track in tracks.values() if track.blocked for number in _numbers(track)}
        sent = {number: (n, t) for n, t in opened.items() for number in t.subscriptions}
        assert set(sent) == {s.number for s in subscriptions.values() if s.opened}
        for number, (_, transport) in sent.items():
            command, subscription = transport.subscriptions[number], subscriptions[number]
            assert command.track in received or not subscription.source, "what is sent on is received"
            assert transport.places.get(command.mid) == subscription.track.sid, (
                f"{subscription.track.sid} is sent on mid {command.mid} and was described as {transport.places}"
            )
            wished = subscription.subscriber.settings.get(subscription.track.sid)
            assert transport.chosen[number].enabled == (not (wished and wished.disabled))
        for transport in opened.values():
            for held in (transport.tracks, transport.subscriptions):
                mids = [command.mid for command in held.values()]
                assert len(set(mids)) == len(mids), f"two on one section: {held}"

    def look_when_quiet(self) -> None:
        """What holds once nothing is under way: clients know what is true, and get what they may and want."""
        room = self.room
        assert self.record.participants == {p.identity: p.info() for p in room.participants.values()}
        told = room.closed or not room.timers.is_set((Timer.COUNTS, ""))
        expected = None if room.closed else room.info()
        assert not told or self.record.room == expected, f"stored {self.record.room}, and the room is {expected}"
        for participant in room.participants.values():
            view = self.views[participant.sid]
            if not participant.attached or not view.hears:
                continue
            seen = {info.sid: info for info in room.seen_by(participant)}
            known = {info.sid: info for info in view.others.values()}
            assert set(known) == set(seen), f"{participant.identity} knows {_names(known)} and sees {_names(seen)}"
            for sid, info in seen.items():
                assert known[sid] == info, f"{participant.identity} knows {known[sid]} and sees {info}"
            assert not told or view.room == room.info(), (
                f"{participant.identity} knows {view.room} and sees {room.info()}"
            )
            for track in wanted_by(participant, self):
                subscription = participant.subscriptions.get(track.sid)
                assert subscription is not None, f"{participant.identity} wants {track.sid} and does not get it"
                assert subscription.section is not None, f"{participant.identity} waits for {track.sid} for ever"


def _look_at_wishes(room: Room) -> None:
    """A publisher is asked for what is wanted, or will be soon."""
    for track in room.tracks.values():
        if track.kind == "video" and not room.timers.is_set((Timer.DYNACAST, track.sid)):
            assert dynacast.wanted(track) == (track.offered_quality, track.backup_quality)


def _look_at_tracks(participant: Participant) -> None:
    assert {track.sid for track in participant.by_mid.values()} == set(participant.tracks)
    for mid, track in participant.by_mid.items():
        assert track.section is not None
        assert track.section.mid == track.info.mid == mid
    assert not set(participant.pending) & {track.cid for track in participant.tracks.values()}
    assert not set(participant.parked) & set(participant.by_mid), "a section is taken or parked"
    exact = {(section.kind, section.cid) for section in participant.parked.values()}
    waiting = {(track.kind, track.cid) for track in participant.pending.values()}
    assert not exact & waiting, "a track waits though its section is there"
    for cid in participant.queued:
        assert any(cid == track.cid for track in [*participant.pending.values(), *participant.tracks.values()])


def _numbers(track: Track) -> Iterator[int]:
    yield track.number
    if track.backup is not None and track.backup.section is not None:
        yield track.backup.number


def may_receive(participant: Participant, track: Track) -> bool:
    """Whether a participant has the right to a track."""
    return participant.permission.can_subscribe and not track.publisher.hidden and admits(track, participant)


def wanted_by(participant: Participant, meeting: Meeting) -> list[Track]:
    """The tracks that an attached participant is to get, where no limit keeps any from it."""
    room = meeting.room
    limit = room.place.settings.limit
    if limit.subscription_limit_audio or limit.subscription_limit_video or participant.state is State.JOINED:
        return []
    wished = participant.desires
    return [
        track
        for track in room.tracks.values()
        if track.publisher is not participant
        and may_receive(participant, track)
        and wished.get(track.sid, participant.joining.auto_subscribe)
    ]


def _names(infos: Mapping[str, ParticipantInfo]) -> list[str]:
    return [f"{info.identity} ({sid})" for sid, info in infos.items()]
