"""Random meetings: joins, losses, media, permissions in any order, and what must hold after each step and at rest."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test
from livekit.protocol.models import (
    DataPacket,
    DisconnectReason,
    ParticipantInfo,
    ParticipantPermission,
    TrackSource,
    UserPacket,
    VideoQuality,
)
from livekit.protocol.room import UpdateParticipantRequest
from livekit.protocol.rtc import (
    MuteTrackRequest,
    PublishDataTrackRequest,
    SubscriptionPermission,
    TrackPermission,
    UnpublishDataTrackRequest,
    UpdateDataSubscription,
    UpdateParticipantMetadata,
    UpdateSubscription,
    UpdateTrackSettings,
)

from media.events import SubscriptionPaused, TransportExpired, TransportReachable, TransportSilent
from signaling import joining, moderation, session, subscribing
from signaling.effects import SendPacket
from signaling.errors import FailedPrecondition
from signaling.room import TOLD_AT_ONCE
from signaling.settings import Limits, RoomSettings
from signaling.token import VideoGrant
from signaling.track import Track
from tests.signaling.attendee import VIDEO_SOURCES, Attendee
from tests.signaling.watched import Watched

IDENTITIES = ("anna", "boris", "clara", "dora")
CIDS = ("cam", "cmic", "cscreen", "csound")
SOURCES = (TrackSource.CAMERA, TrackSource.MICROPHONE, TrackSource.SCREEN_SHARE, TrackSource.SCREEN_SHARE_AUDIO)
RIDS = ("q", "h", "f")

whom = st.integers(0, 7)
"""Which of those who are here, counted round."""
number = st.integers(0, 15)
source = st.sampled_from(range(4))
mostly = st.sampled_from((True, True, True, False))
seldom = st.sampled_from((False, False, False, True))
rarely = st.sampled_from((False,) * 15 + (True,))


def permissions() -> st.SearchStrategy[ParticipantPermission]:
    return st.builds(
        ParticipantPermission,
        can_subscribe=mostly,
        can_publish=mostly,
        can_publish_data=mostly,
        can_update_metadata=st.just(True),
        hidden=seldom,
        recorder=seldom,
        can_publish_sources=st.sampled_from(((), (), (TrackSource.MICROPHONE,), (TrackSource.CAMERA,))),
    )


class Interleavings(RuleBasedStateMachine):
    """A room in which anything may happen next."""

    @initialize(
        limited=rarely, crowd=rarely, single=st.lists(st.booleans(), min_size=2, max_size=4), sends=st.integers(1, 15)
    )
    def open(self, limited: bool, crowd: bool, single: list[bool], sends: int) -> None:
        limit = Limits(subscription_limit_video=1, subscription_limit_audio=1) if limited else Limits()
        self.hall = Watched(RoomSettings(enable_remote_unmute=True), limit)
        self.side = Watched(RoomSettings(enable_remote_unmute=True), name="side", beside=self.hall)
        self.attendees: list[Attendee] = []
        if crowd:  # so many that newcomers are told of together
            for index in range(TOLD_AT_ONCE):
                self._join(f"listener{index}", auto_subscribe=False)
            self._serve()
        for identity, alone in zip(IDENTITIES, single, strict=False):
            self._join(identity, single=alone)
            self._serve()
        for what in range(4):
            if sends & 1 << what:
                self.publish(what, what, 3, False)
        self._serve()

    def _join(self, identity: str, meeting: Watched | None = None, **options: Any) -> Attendee:
        self.attendees.append(Attendee(meeting or self.hall, identity, **options))
        self._forget()
        return self.attendees[-1]

    def _forget(self) -> None:
        self.attendees = [one for one in self.attendees if one.here]

    def _one(self, index: int) -> Attendee:
        return self.attendees[-1 - index % len(self.attendees)]

    def _track(self, one: Attendee, index: int) -> Track | None:
        tracks = list(one.meeting.room.tracks.values())
        return tracks[index % len(tracks)] if tracks else None

    def _own(self, one: Attendee, index: int) -> Track | None:
        tracks = [*one.participant.tracks.values(), *one.participant.pending.values()]
        return tracks[index % len(tracks)] if tracks else None

    def anyone(self) -> bool:
        return any(one.here for one in self.attendees)

    @rule(
        identity=st.sampled_from(IDENTITIES),
        single=st.booleans(),
        protocol=st.sampled_from((2, 9, 13, 17)),
        permission=permissions(),
        auto_subscribe=mostly,
        adaptive_stream=st.booleans(),
        lacks=st.sampled_from(("", "", "VP9")),
        kind=st.sampled_from((ParticipantInfo.Kind.STANDARD,) * 3 + (ParticipantInfo.Kind.AGENT,)),
        served=mostly,
        aside=seldom,
    )
    def join(
        self,
        identity: str,
        single: bool,
        protocol: int,
        permission: ParticipantPermission,
        lacks: str,
        served: bool,
        aside: bool,
        **options: Any,
    ) -> None:
        meeting = self.side if aside else self.hall
        if meeting.room.closed:
            return
        grant = VideoGrant(room=meeting.room.name, room_join=True).with_permission(permission)
        one = self._join(identity, meeting, grant=grant, single=single, protocol=17 if single else protocol, **options)
        one.client.lacks = lacks
        if served:
            self._serve()

    @precondition(anyone)
    @rule(who=whom)
    def connect(self, who: int) -> None:
        self._one(who).connect()
        self._forget()

    @precondition(anyone)
    @rule(who=whom, refuse=st.sampled_from(("", "", "", "video", "audio")))
    def answer(self, who: int, refuse: str) -> None:
        self._one(who).answer(refuse=refuse)
        self._forget()

    @precondition(anyone)
    @rule(who=whom, restart=st.booleans())
    def offer(self, who: int, restart: bool) -> None:
        self._one(who).offer(restart=restart)
        self._forget()

    @precondition(anyone)
    @rule(who=whom, what=source, layers=st.integers(1, 3), scalable=seldom)
    def ask_for_track(self, who: int, what: int, layers: int, scalable: bool) -> None:
        codec, backup = ("vp9", "vp8") if scalable and SOURCES[what] in VIDEO_SOURCES else ("", "")
        self._one(who).ask(CIDS[what], SOURCES[what], layers, codec, backup)

    @precondition(anyone)
    @rule(who=whom, what=source, layers=st.sampled_from((1, 3)), scalable=seldom, offered=mostly)
    def send_on_section(self, who: int, what: int, layers: int, scalable: bool, offered: bool) -> None:
        one = self._one(who)
        kind = "video" if SOURCES[what] in VIDEO_SOURCES else "audio"
        rids = RIDS if kind == "video" and layers == 3 and not scalable else ()
        one.send_on_section(CIDS[what], kind, rids, "VP9" if scalable else "VP8")
        if offered:
            one.offer()
        self._forget()

    @precondition(anyone)
    @rule(who=whom, what=source, layers=st.sampled_from((1, 3)), scalable=seldom)
    def publish(self, who: int, what: int, layers: int, scalable: bool) -> None:
        self.ask_for_track(who, what, layers, scalable)
        self.send_on_section(who, what, layers, scalable, True)

    @precondition(anyone)
    @rule(who=whom, which=number, begin=st.booleans())
    def send_backup(self, who: int, which: int, begin: bool) -> None:
        one = self._one(who)
        if begin:
            self.publish(who, 0, 1, True)
        for track in [*one.participant.tracks.values()]:
            if track.backup_mime and one.here:
                one.send_backup(track.sid, "vp8")
        self._forget()

    @precondition(anyone)
    @rule(who=whom, which=number, stop=st.booleans(), offered=mostly)
    def close_section(self, who: int, which: int, stop: bool, offered: bool) -> None:
        one = self._one(who)
        one.close_section(which, stop=stop)
        if offered:
            one.offer()
        self._forget()

    @precondition(anyone)
    @rule(who=whom, which=number, muted=st.booleans())
    def mute(self, who: int, which: int, muted: bool) -> None:
        one = self._one(who)
        track = self._own(one, which)
        if track is not None:
            one.request(mute=MuteTrackRequest(sid=track.sid, muted=muted))

    @precondition(anyone)
    @rule(who=whom, which=number, muted=st.booleans())
    def mute_by_server(self, who: int, which: int, muted: bool) -> None:
        one = self._one(who)
        track = self._own(one, which)
        if track is not None:
            meeting = one.meeting
            _, effects = moderation.mute(meeting.room, one.participant.identity, track.sid, muted, meeting.now)
            meeting.run(effects)

    @precondition(anyone)
    @rule(who=whom, which=number, subscribe=st.booleans(), unknown=seldom, by_server=seldom)
    def subscribe(self, who: int, which: int, subscribe: bool, unknown: bool, by_server: bool) -> None:
        one = self._one(who)
        track = self._track(one, which)
        sid = track.sid if track is not None and not unknown else f"TR_nobody{which}"
        asked = UpdateSubscription(track_sids=[sid], subscribe=subscribe)
        if not by_server:
            one.request(subscription=asked)
            return
        one.meeting.run(subscribing.request(one.meeting.room, one.participant, asked, one.meeting.now))

    @precondition(anyone)
    @rule(who=whom, which=number, disabled=st.booleans(), quality=st.sampled_from(VideoQuality.values()))
    def choose(self, who: int, which: int, disabled: bool, quality: VideoQuality) -> None:
        one = self._one(who)
        track = self._track(one, which)
        if track is not None:
            asked = UpdateTrackSettings(track_sids=[track.sid], disabled=disabled, quality=quality)
            one.request(track_setting=asked)

    @precondition(anyone)
    @rule(who=whom, everybody=st.booleans(), listed=st.lists(st.tuples(st.sampled_from(IDENTITIES), number)))
    def permit(self, who: int, everybody: bool, listed: list[tuple[str, int]]) -> None:
        one = self._one(who)
        asked = SubscriptionPermission(all_participants=everybody)
        for identity, which in listed:
            track = self._own(one, which)
            entry = TrackPermission(participant_identity=identity, all_tracks=track is None or which > 7)
            if track is not None:
                entry.track_sids.append(track.sid)
            asked.track_permissions.append(entry)
        one.permit(asked)

    @precondition(anyone)
    @rule(who=whom, permission=permissions())
    def change_permission(self, who: int, permission: ParticipantPermission) -> None:
        one = self._one(who)
        asked = UpdateParticipantRequest(identity=one.participant.identity, permission=permission)
        one.meeting.run(moderation.update(one.meeting.room, asked, one.meeting.now))
        self._forget()

    @precondition(anyone)
    @rule(who=whom, text=st.sampled_from(("", "one", "two")), by_server=st.booleans())
    def describe(self, who: int, text: str, by_server: bool) -> None:
        one = self._one(who)
        if by_server:
            asked = UpdateParticipantRequest(identity=one.participant.identity, metadata=text, attributes={"at": text})
            one.meeting.run(moderation.update(one.meeting.room, asked, one.meeting.now))
        else:
            one.request(update_metadata=UpdateParticipantMetadata(name=text, attributes={"of": text}))

    @rule(text=st.sampled_from(("", "one", "two")))
    def describe_room(self, text: str) -> None:
        if not self.hall.room.closed:
            self.hall.run(moderation.update_metadata(self.hall.room, text, self.hall.now))

    @precondition(anyone)
    @rule(who=whom, handle=st.integers(1, 3), publish=mostly)
    def data_track(self, who: int, handle: int, publish: bool) -> None:
        one = self._one(who)
        if publish:
            asked = PublishDataTrackRequest(pub_handle=handle, name=f"data{handle}")
            one.request(publish_data_track_request=asked)
        else:
            one.request(unpublish_data_track_request=UnpublishDataTrackRequest(pub_handle=handle))

    @precondition(anyone)
    @rule(who=whom, to=st.lists(st.sampled_from(IDENTITIES), unique=True), handle=st.integers(0, 3))
    def send_data(self, who: int, to: list[str], handle: int) -> None:
        """A packet to some or all, or a frame of a data track; nobody gets one that it may not."""
        one = self._one(who)
        meeting, sender = one.meeting, one.participant
        before = len(meeting.effects)
        if handle:
            one.client.says(bytes(2) + handle.to_bytes(2) + bytes(8), "_data_track")
        else:
            packet = DataPacket(user=UserPacket(payload=b"x"), destination_identities=to)
            one.client.says(packet.SerializeToString())
        sent = [effect for effect in meeting.effects[before:] if isinstance(effect, SendPacket)]
        receivers = [meeting.room.by_sid[sid] for effect in sent for sid in effect.to]
        assert sender.permission.can_publish_data or not receivers
        assert sender not in receivers
        if handle:
            track = sender.data_tracks.get(handle)
            assert {receiver.sid for receiver in receivers} == (track.subscribers if track else set())
        else:
            assert not to or {receiver.identity for receiver in receivers} <= set(to)

    @precondition(anyone)
    @rule(who=whom, which=number, is_paused=st.booleans())
    def pause(self, who: int, which: int, is_paused: bool) -> None:
        one = self._one(who)
        subscriptions = list(one.participant.subscriptions.values())
        if subscriptions and one.participant.subscriber is not None:
            subscription = subscriptions[which % len(subscriptions)]
            one.client.hears(SubscriptionPaused(one.participant.subscriber.number, subscription.number, is_paused))

    @precondition(anyone)
    @rule(who=whom, which=number, subscribe=mostly)
    def subscribe_data(self, who: int, which: int, subscribe: bool) -> None:
        one = self._one(who)
        tracks = list(one.meeting.room.data_tracks)
        if tracks:
            asked = UpdateDataSubscription()
            asked.updates.add(track_sid=tracks[which % len(tracks)], subscribe=subscribe)
            one.request(update_data_subscription=asked)

    @precondition(anyone)
    @rule(who=whom, index=number)
    def lose_socket(self, who: int, index: int) -> None:
        self._one(who).lose_socket()
        self._forget()

    @precondition(anyone)
    @rule(who=whom)
    def swallow(self, who: int) -> None:
        """What is sent to it is lost, and the server does not know."""
        self._one(who).view.hears = False

    @precondition(anyone)
    @rule(who=whom)
    def resume(self, who: int) -> None:
        self._one(who).resume()
        self._forget()

    @precondition(anyone)
    @rule(who=whom, event=st.sampled_from((TransportSilent, TransportReachable, TransportExpired)))
    def hear_of_path(self, who: int, event: type) -> None:
        one = self._one(who)
        transport = one.participant.primary
        if transport is not None:
            happened = (
                TransportReachable(transport.number, "udp", "198.18.0.9:1")
                if event is TransportReachable
                else (event(transport.number))
            )
            one.client.hears(happened)
        self._forget()

    @precondition(anyone)
    @rule(who=whom)
    def move(self, who: int) -> None:
        one = self._one(who)
        target = self.side if one.meeting is self.hall else self.hall
        if not target.room.closed:
            with contextlib.suppress(FailedPrecondition):
                one.move(target)
        self._forget()

    @precondition(anyone)
    @rule(who=whom, how=st.sampled_from(("leave", "removed", "dtls")))
    def go(self, who: int, how: str) -> None:
        one = self._one(who)
        meeting = one.meeting
        if how == "leave":
            one.leave()
        elif how == "removed":
            meeting.run(moderation.remove(meeting.room, one.participant.identity))
        else:
            meeting.run(session.ended(meeting.room, one.participant, meeting.now))
        self._forget()

    @rule(seconds=st.sampled_from((0.005, 0.05, 0.2, 1)))
    def wait(self, seconds: float) -> None:
        self._advance(seconds)
        self._forget()

    @rule(seconds=st.sampled_from((6, 16, 61)), served=mostly)
    def wait_long(self, seconds: float, served: bool) -> None:
        if served:
            self._serve()
        self._advance(seconds)
        self._forget()

    def _advance(self, seconds: float) -> None:
        for meeting in (self.hall, self.side):
            meeting.advance(seconds)

    def _serve(self) -> None:
        for _ in range(30):
            busy = [one.serve() for one in self.attendees]
            self._advance(0.2)
            self._forget()
            if not any(busy):
                return
        pytest.fail("clients are asked for something for ever")

    @rule(come_back=st.booleans())
    def rest(self, come_back: bool) -> None:
        """Everybody does what is asked of them until nothing is."""
        for one in list(self.attendees):
            if not one.hears and (come_back or one.participant.attached):
                one.resume()
            elif one.hears:
                one.close_unpublished()
                one.offer()
        self._forget()
        for _ in range(4):
            self._serve()
            self._advance(2)
        self._forget()
        self._serve()
        self.hall.look_when_quiet()
        self.side.look_when_quiet()

    def teardown(self) -> None:
        if not hasattr(self, "side"):
            return
        self.rest(True)
        for meeting in (self.hall, self.side):
            meeting.run(joining.close(meeting.room, DisconnectReason.ROOM_DELETED, meeting.now))
            assert not meeting.room.tracks
            assert not meeting.room.data_tracks
            assert not meeting.room.seekers
        assert not self.hall.ledger.transports


def play(examples: int, steps: int) -> None:
    run_state_machine_as_test(
        Interleavings,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            derandomize=True,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_whatever_happens_next_the_room_stays_whole() -> None:
    play(60, 40)


@pytest.mark.long
def test_whatever_happens_next_the_room_stays_whole_for_long() -> None:
    play(5000, 60)
