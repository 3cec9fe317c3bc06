"""Hosts, attendees and those at the door in any order: nobody gets or sends what hosts do not let them."""

from __future__ import annotations

import contextlib
import datetime
import itertools
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from livekit.protocol.models import (
    ChatMessage,
    DataPacket,
    DataStream,
    DisconnectReason,
    EncryptedPacket,
    TrackSource,
    TrackType,
    UserPacket,
)
from livekit.protocol.rtc import (
    AddTrackRequest,
    LeaveRequest,
    MuteTrackRequest,
    SignalRequest,
    UpdateParticipantMetadata,
)

from server.entrance import Caller, Enter, EntranceRefused, Live, decide, identity_of
from server.meeting_settings import MeetingSettings
from server.meetings import Meeting as DurableMeeting
from signaling import hosting, joining, lobby, moderation
from signaling.effects import Effect, SendPacket
from signaling.errors import FailedPrecondition, NotAllowed
from signaling.lobby import EMPTY, Guest, KnockNotFound, KnockRefused, Lobby
from signaling.rules import ALLOWANCES, Rules
from signaling.token import ROLES, Grants, Role
from tests.signaling.guarded import NEEDED, Expected, GuardedMeeting
from tests.signaling.meeting import Client, audio, video

PEOPLE = 4
"""The first is the meeting's host."""
NOW = datetime.datetime(2030, 1, 1, tzinfo=datetime.UTC)
MEETING = DurableMeeting(
    id="MT_1",
    code="bcdf-ghjk-mnpq",
    room_name="meeting",
    title="",
    description="",
    kind="instant",
    settings=MeetingSettings(lobby="all"),
    schedule=None,
    host_secret_hash=bytes(32),
    identity_key=bytes(32),
    owner_id=None,
    sequence=0,
    version=1,
    created_at=NOW,
    updated_at=NOW,
    cancelled_at=None,
)
SOURCES = tuple(NEEDED)

SOUNDS = (TrackSource.MICROPHONE, TrackSource.SCREEN_SHARE_AUDIO)
HEADER = DataStream.Header(stream_id="s", topic="lk.chat", text_header=DataStream.TextHeader())
PACKETS = {
    "chat": DataPacket(user=UserPacket(payload=b"x", topic="lk.chat")),
    "legacy": DataPacket(chat_message=ChatMessage(message="x")),
    "packet": DataPacket(user=UserPacket(payload=b"x", topic="lk-chat-topic")),
    "begin": DataPacket(stream_header=HEADER),
    "go on": DataPacket(stream_chunk=DataStream.Chunk(stream_id="s", content=b"x")),
    "secret": DataPacket(encrypted_packet=EncryptedPacket(encrypted_value=b"x")),
    "server's": DataPacket(user=UserPacket(payload=b"x", topic=hosting.ASK_TOPIC)),
    "other": DataPacket(user=UserPacket(payload=b"x", topic="game")),
}

whom = st.integers(0, PEOPLE - 1)
number = st.integers(0, 7)
words = st.frozensets(st.sampled_from(ALLOWANCES))
mostly = st.sampled_from((True, True, True, False))
seldom = st.sampled_from((False, False, False, True))
word = st.sampled_from(("unmute", "video"))


def caller(who: int) -> Caller:
    role: Role | None = "host" if who == 0 else None
    return Caller(f"Person {who}", tab=bytes([who]) * 16, browser=bytes([who]) * 16, role=role)


IDENTITIES = [identity_of(MEETING, caller(who)) for who in range(PEOPLE)]


class Powers(RuleBasedStateMachine):
    """A meeting with a lobby in which anything may happen next."""

    @initialize(served=st.sampled_from((True,) * 7 + (False,)))
    def open(self, served: bool) -> None:
        self.meeting = GuardedMeeting()
        self.expected = Expected()
        self.lobby: Lobby = EMPTY
        self.let_in: set[str] = set()
        """Whom a host has admitted from the lobby."""
        self.tokens: dict[str, list[tuple[Grants, float]]] = {identity: [] for identity in IDENTITIES}
        self.revoked: dict[str, float] = {}
        self.clients: dict[str, Client] = {}
        self.cids = 0
        if served:
            for who in range(PEOPLE):
                self.be_let_in(who)
            for who in range(PEOPLE - 1):  # the last has a token, and comes when it likes
                self.come_in(who, 0)
                self.publish(who, TrackSource.MICROPHONE, True, False, True)
                self.publish(who, TrackSource.CAMERA, False, False, True)

    # The door.

    @rule(who=whom)
    def ask_to_come_in(self, who: int) -> None:
        room, now, identity = self.meeting.room, self.meeting.now, IDENTITIES[who]
        live = Live(
            inside={one.identity: one.role for one in room.participants.values()},
            locked=room.rules is not None and room.rules.locked,
            returning=joining.returning(room, now),
            given={one: standing.role for one, standing in room.standings.items() if standing.role is not None},
            kept_out={one for one, standing in room.standings.items() if standing.kept_out},
        )
        asks = replace(caller(who), admitted=lobby.is_admitted(self.lobby, identity, now))
        try:
            decision = decide(MEETING, live, asks)
        except EntranceRefused:
            return
        if isinstance(decision, Enter):
            if decision.role == "attendee" and identity not in live.inside:
                assert identity in self.let_in, "a token for who waits"
            assert who == 0 or identity not in self.expected.out, "a token for who was removed for good"
            self.tokens[identity].append((decision.grants, now))
            return
        assert identity == decision.identity
        guest = Guest(identity, f"Person {who}", member=False, network=str(who))
        with contextlib.suppress(KnockRefused):
            self.lobby = lobby.knock(self.lobby, guest, decision.reason, f"KN_{who}_{now}", "", 100, now)

    @rule(who=whom, admitted=mostly)
    def decide_knock(self, who: int, admitted: bool) -> None:
        knock = lobby.current(self.lobby, self.meeting.now).of(IDENTITIES[who])
        if knock is None or knock.state != "waiting":
            return
        verb = lobby.admit if admitted else lobby.refuse
        with contextlib.suppress(KnockNotFound):
            self.lobby = verb(self.lobby, knock.id, self.meeting.now)
            if admitted:
                self.let_in.add(IDENTITIES[who])

    @rule(who=whom)
    def let_in_and_come(self, who: int) -> None:
        """The usual way."""
        if IDENTITIES[who] in self.meeting.room.participants:
            return
        self.be_let_in(who)
        self.come_in(who, 0)

    @rule(who=whom)
    def be_refused_and_ask_again(self, who: int) -> None:
        self.ask_to_come_in(who)
        self.decide_knock(who, False)
        self.ask_to_come_in(who)

    def be_let_in(self, who: int) -> None:
        self.ask_to_come_in(who)
        self.decide_knock(who, True)
        self.ask_to_come_in(who)

    @rule(who=whom, which=number)
    def come_in(self, who: int, which: int) -> None:
        """With a token that one was given at some time, however old."""
        identity, meeting = IDENTITIES[who], self.meeting
        tokens = self.tokens[identity]
        if not tokens or meeting.room.closed:
            return
        grants, issued = tokens[-1 - which % len(tokens)]
        if issued <= self.revoked.get(identity, 0):
            return  # what the node refuses before the room is asked: see test_room_service
        inside = identity in meeting.room.participants
        before = len(meeting.effects)
        opens = self.expected.comes_in(identity, grants.role, inside, meeting.now)
        try:
            client = Client(meeting, identity, grant=grants.video, role=grants.role)
        except NotAllowed:
            assert not opens
            assert len(meeting.effects) == before, "a refusal tells nothing to anybody"
            return
        assert opens
        client.connect()
        self.clients[identity] = client

    @precondition(lambda self: len(self.clients) > 1)
    @rule(who=whom, how=st.sampled_from(("leave", "lost", "resume", "timeout")), back=mostly)
    def go(self, who: int, how: str, back: bool) -> None:
        client, meeting = self._one(who), self.meeting
        if client is None:
            return
        identity = client.participant.identity
        if how == "leave":
            client.send(leave=LeaveRequest())
        elif how == "timeout":
            meeting.run(
                joining.depart(meeting.room, client.participant, DisconnectReason.CONNECTION_TIMEOUT, meeting.now)
            )
        elif how == "lost":
            client.lose_socket()
        elif not client.participant.attached:
            client.resume()
        if identity not in meeting.room.participants:
            self._left(identity)
            if back:
                self.come_in(IDENTITIES.index(identity), 0)

    def _left(self, identity: str, *, removed: bool = False) -> None:
        self.clients.pop(identity, None)
        self.lobby = lobby.leave(self.lobby, identity, self.meeting.now, may_return=not removed)
        if removed:
            self.let_in.discard(identity)
            self.expected.back_until.pop(identity, None)
        elif self.expected.locked:
            self.expected.back_until[identity] = self.meeting.now + joining.RETURN_WINDOW

    def _one(self, who: int) -> Client | None:
        """One of those who are here, counted round."""
        here = [client for client in self.clients.values() if client.participant.present]
        return here[who % len(here)] if here else None

    # What people try.

    @rule(who=whom, source=st.sampled_from(SOURCES), sound=st.booleans(), muted=seldom, offered=mostly)
    def publish(self, who: int, source: TrackSource, sound: bool, muted: bool, offered: bool) -> None:
        client = self._one(who)
        if client is None or not client.participant.attached:
            return
        self.cids += 1
        cid, kind = f"cid{self.cids}", TrackType.AUDIO if sound else TrackType.VIDEO
        client.request(SignalRequest(add_track=AddTrackRequest(cid=cid, type=kind, source=source, muted=muted)))
        if offered:
            mid = str(len(client.sections) + 1)
            client.offer(audio(mid, cid) if sound else video(mid, cid, ()))

    @rule(who=whom, which=number, muted=seldom)
    def mute_itself(self, who: int, which: int, muted: bool) -> None:
        client = self._one(who)
        if client is None or not client.participant.attached:
            return
        tracks = [*client.participant.tracks.values(), *client.participant.pending.values()]
        if tracks:
            sid = tracks[which % len(tracks)].sid
            if not muted:
                self.expected.silenced.discard(sid)
            client.send(mute=MuteTrackRequest(sid=sid, muted=muted))

    @rule(who=whom, what=st.sampled_from(sorted(PACKETS)))
    def send_data(self, who: int, what: str) -> None:
        client, meeting = self._one(who), self.meeting
        if client is None:
            return
        packet = PACKETS[what]
        before = len(meeting.effects)
        client.says(packet.SerializeToString())
        sent = [effect for effect in meeting.effects[before:] if isinstance(effect, SendPacket)]
        assert not (sent and what == "server's")
        identity = client.participant.identity
        if client.participant.role == "attendee" and "chat" not in self.expected.may(identity):
            begun = "s" in client.participant.chat_streams
            assert not sent or what == "other" or (what == "go on" and not begun)

    @rule(who=whom, role=st.sampled_from(("", *ROLES)), name=st.sampled_from(("", "Other")))
    def describe_itself(self, who: int, role: str, name: str) -> None:
        client = self._one(who)
        if client is None or not client.participant.attached:
            return
        one, may = client.participant, self.expected.may(client.participant.identity)
        before = one.name
        attributes = {"veche.role": role} if role else {"hand": "1"}
        client.send(update_metadata=UpdateParticipantMetadata(name=name, attributes=attributes))
        assert one.name == before or one.role != "attendee" or "rename" in may

    def try_what_is_closed(self) -> None:
        """Every attendee tries all that it may not do now: nothing comes of it."""
        meeting = self.meeting
        for client in list(self.clients.values()):
            one = client.participant
            if not one.present or not one.attached or one.role != "attendee":
                continue
            may, before = self.expected.may(one.identity), len(meeting.effects)
            for source, sound in itertools.product(SOURCES, (False, True)):
                if NEEDED[source] | ({"unmute"} if sound else {"video"} if source in SOUNDS else set()) <= may:
                    continue
                kind = TrackType.AUDIO if sound else TrackType.VIDEO
                client.request(SignalRequest(add_track=AddTrackRequest(cid="closed", type=kind, source=source)))
                assert "closed" not in one.pending, f"{source} may be published, sound {sound}"
            if "chat" not in may:
                chat = ["chat", "legacy", "packet", "begin", "secret", *(["go on"] if "s" in one.chat_streams else [])]
                for what in chat:
                    client.says(PACKETS[what].SerializeToString())
            elif "s" not in one.chat_streams:
                client.says(PACKETS["begin"].SerializeToString())
                before = len(meeting.effects)
            assert not any(isinstance(effect, SendPacket) for effect in meeting.effects[before:])
            if "rename" not in may:
                name = one.name
                client.send(update_metadata=UpdateParticipantMetadata(name="Closed"))
                assert one.name == name

    # What hosts do.

    @rule(allow=words, locked=st.booleans(), mute_on_entry=seldom)
    def change_rules(self, allow: frozenset[str], locked: bool, mute_on_entry: bool) -> None:
        def change(rules: Rules) -> Rules:
            return replace(rules, allow=allow, locked=locked, mute_on_entry=mute_on_entry)

        self._do(lambda: hosting.change_rules(self.meeting.room, change, self.meeting.now))
        expected = self.expected
        expected.allow, expected.locked, expected.mute_on_entry = allow, locked, mute_on_entry

    @rule(text=st.sampled_from(("", "{}", '{"agenda": 1}')))
    def describe_room(self, text: str) -> None:
        """A program that knows nothing of rules."""
        self._do(lambda: moderation.update_metadata(self.meeting.room, text, self.meeting.now))

    @rule(may_unmute=st.booleans(), spared=st.frozensets(whom, max_size=2))
    def mute_all(self, may_unmute: bool, spared: frozenset[int]) -> None:
        room, but, expected = self.meeting.room, {IDENTITIES[who] for who in spared}, self.expected
        self._do(lambda: hosting.mute_all(room, but, self.meeting.now, may_unmute=may_unmute))
        for identity in IDENTITIES:
            one = room.participants.get(identity)
            if identity not in but:
                self._unasked(identity, "unmute")
                self._silenced(identity)
            elif not may_unmute and one is not None and one.role == "attendee":
                expected.asked[identity] = expected.asked.get(identity, frozenset()) | {"unmute"}
        expected.allow = expected.allow | {"unmute"} if may_unmute else expected.allow - {"unmute"}

    @rule(who=whom, wish=word)
    def ask(self, who: int, wish: hosting.Wish) -> None:
        client = self._one(who)
        if client is None:
            return
        one, expected = client.participant, self.expected
        if one.role == "attendee" and self.meeting.room.rules is not None and wish not in expected.may(one.identity):
            expected.asked[one.identity] = expected.asked.get(one.identity, frozenset()) | {wish}
        self._do(lambda: hosting.ask(self.meeting.room, one.identity, wish, self.meeting.now))

    @rule(who=whom, what=st.sampled_from(("mute", "stop video", "stop share")))
    def stop(self, who: int, what: str) -> None:
        client = self._one(who)
        if client is None:
            return
        room, now, identity = self.meeting.room, self.meeting.now, client.participant.identity
        if what == "mute":
            self._do(lambda: hosting.mute(room, identity, now))
            self._unasked(identity, "unmute")
            self._silenced(identity)
        elif what == "stop video":
            self._do(lambda: hosting.stop_video(room, identity, now))
            self._unasked(identity, "video")
        else:
            self._do(lambda: hosting.stop_share(room, identity, now))

    @rule(who=whom, wish=word)
    def ask_and_take_it_back(self, who: int, wish: hosting.Wish) -> None:
        self.ask(who, wish)
        self.stop(who, "mute" if wish == "unmute" else "stop video")

    def _silenced(self, identity: str) -> None:
        one = self.meeting.room.participants.get(identity)
        if one is not None:
            tracks = [*one.tracks.values(), *one.pending.values()]
            self.expected.silenced |= {track.sid for track in tracks if track.is_microphone}

    def _unasked(self, identity: str, wish: str) -> None:
        self.expected.asked[identity] = self.expected.asked.get(identity, frozenset()) - {wish}

    @rule(who=whom, role=st.sampled_from(ROLES))
    def give_role(self, who: int, role: Role) -> None:
        client = self._one(who)
        if client is None:
            return
        one, room = client.participant, self.meeting.room
        changes = one.role != role
        with contextlib.suppress(FailedPrecondition):
            self._do(lambda: hosting.set_role(room, one.identity, role, self.meeting.now))
            if changes:
                self.expected.roles[one.identity] = role
                self.expected.asked.pop(one.identity, None)

    @rule(who=whom, keep_out=st.booleans())
    def remove(self, who: int, keep_out: bool) -> None:
        client, meeting = self._one(who), self.meeting
        if client is None:
            return
        identity, sid = client.participant.identity, client.sid
        self._do(lambda: hosting.remove(meeting.room, identity, meeting.now, keep_out=keep_out)[1])
        assert sid in meeting.gone
        self.revoked[identity] = meeting.now
        self._left(identity, removed=True)
        if keep_out:
            self.expected.out.add(identity)
            self.expected.roles.pop(identity, None)
            self.expected.asked.pop(identity, None)

    @rule(who=whom)
    def let_back(self, who: int) -> None:
        if IDENTITIES[who] in self.expected.out:
            self._do(lambda: hosting.let_back(self.meeting.room, IDENTITIES[who]))
            self.expected.out.discard(IDENTITIES[who])

    def _do(self, verb: Callable[[], list[Effect]]) -> None:
        if not self.meeting.room.closed:
            self.meeting.run(verb())

    # Time, and other nodes.

    @rule(seconds=st.sampled_from((0.5, 5.0, joining.RETURN_WINDOW)))
    def wait(self, seconds: float) -> None:
        for client in self.clients.values():
            client.settle()
        self.meeting.advance(seconds)
        for identity in [one for one, client in self.clients.items() if not client.participant.present]:
            self._left(identity)

    @rule(chance=st.integers(0, 3))
    def node_dies(self, chance: int) -> None:
        if self.meeting.room.closed or chance:
            return
        inside = list(self.meeting.room.participants)
        self.meeting = self.meeting.taken_up()
        self.clients.clear()
        self.expected.silenced.clear()
        for identity in inside:
            self.expected.back_until[identity] = self.meeting.now + joining.RETURN_WINDOW
        for identity in inside:
            self.come_in(IDENTITIES.index(identity), 0)

    @invariant()
    def nobody_gets_or_sends_what_hosts_do_not_let_them(self) -> None:
        if not hasattr(self, "cids"):
            return
        if self.meeting.room.closed:  # empty for too long: nothing of it lives on
            self.open(True)
        self.meeting.check(self.expected)
        self.try_what_is_closed()
        for identity in self.meeting.room.participants:
            assert any(issued > self.revoked.get(identity, 0) for _, issued in self.tokens[identity]), "without a token"


def play(examples: int, steps: int) -> None:
    run_state_machine_as_test(
        Powers,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            derandomize=True,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_whatever_happens_next_hosts_are_masters_of_the_meeting() -> None:
    play(200, 40)


@pytest.mark.long
def test_whatever_happens_next_hosts_are_masters_of_the_meeting_for_long() -> None:
    play(3000, 60)
