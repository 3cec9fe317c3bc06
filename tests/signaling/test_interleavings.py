"""Random meetings: joins, losses, media, permissions in any order, and what must hold after each step and at rest."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test
from livekit.protocol.models import DisconnectReason, ParticipantInfo, ParticipantPermission, TrackSource, VideoQuality
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

from media.events import TransportExpired, TransportReachable, TransportSilent
from signaling import joining, moderation, session, subscribing
from signaling.errors import LimitExceeded
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
        self.meeting = Watched(RoomSettings(enable_remote_unmute=True), limit)
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

    def _join(self, identity: str, **options: Any) -> None:
        try:
            self.attendees.append(Attendee(self.meeting, identity, **options))
        except LimitExceeded:
            return
        self._forget()

    def _forget(self) -> None:
        self.attendees = [one for one in self.attendees if one.here]

    def _one(self, index: int) -> Attendee:
        return self.attendees[-1 - index % len(self.attendees)]

    def _track(self, index: int) -> Track | None:
        tracks = list(self.meeting.room.tracks.values())
        return tracks[index % len(tracks)] if tracks else None

    def _own(self, one: Attendee, index: int) -> Track | None:
        tracks = [*one.participant.tracks.values(), *one.participant.pending.values()]
        return tracks[index % len(tracks)] if tracks else None

    def anyone(self) -> bool:
        return any(one.here for one in self.attendees)

    @precondition(lambda self: not self.meeting.room.closed)
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
    )
    def join(
        self,
        identity: str,
        single: bool,
        protocol: int,
        permission: ParticipantPermission,
        lacks: str,
        served: bool,
        **options: Any,
    ) -> None:
        grant = VideoGrant(room="meeting", room_join=True).with_permission(permission)
        self._join(identity, grant=grant, single=single, protocol=17 if single else protocol, **options)
        one = self.attendees[-1]
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
    @rule(who=whom, which=number)
    def send_backup(self, who: int, which: int) -> None:
        one = self._one(who)
        track = self._own(one, which)
        if track is not None and track.backup_mime:
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
            meeting = self.meeting
            _, effects = moderation.mute(meeting.room, one.participant.identity, track.sid, muted, meeting.now)
            meeting.run(effects)

    @precondition(anyone)
    @rule(who=whom, which=number, subscribe=st.booleans(), unknown=seldom, by_server=seldom)
    def subscribe(self, who: int, which: int, subscribe: bool, unknown: bool, by_server: bool) -> None:
        one = self._one(who)
        track = self._track(which)
        sid = track.sid if track is not None and not unknown else f"TR_nobody{which}"
        asked = UpdateSubscription(track_sids=[sid], subscribe=subscribe)
        if not by_server:
            one.request(subscription=asked)
            return
        self.meeting.run(subscribing.request(self.meeting.room, one.participant, asked, self.meeting.now))

    @precondition(anyone)
    @rule(who=whom, which=number, disabled=st.booleans(), quality=st.sampled_from(VideoQuality.values()))
    def choose(self, who: int, which: int, disabled: bool, quality: VideoQuality) -> None:
        track = self._track(which)
        if track is not None:
            asked = UpdateTrackSettings(track_sids=[track.sid], disabled=disabled, quality=quality)
            self._one(who).request(track_setting=asked)

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
        self.meeting.run(moderation.update(self.meeting.room, asked, self.meeting.now))
        self._forget()

    @precondition(anyone)
    @rule(who=whom, text=st.sampled_from(("", "one", "two")), by_server=st.booleans())
    def describe(self, who: int, text: str, by_server: bool) -> None:
        one = self._one(who)
        if by_server:
            asked = UpdateParticipantRequest(identity=one.participant.identity, metadata=text, attributes={"at": text})
            self.meeting.run(moderation.update(self.meeting.room, asked, self.meeting.now))
        else:
            one.request(update_metadata=UpdateParticipantMetadata(name=text, attributes={"of": text}))

    @rule(text=st.sampled_from(("", "one", "two")))
    def describe_room(self, text: str) -> None:
        if not self.meeting.room.closed:
            self.meeting.run(moderation.update_metadata(self.meeting.room, text, self.meeting.now))

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
    @rule(who=whom, which=number, subscribe=mostly)
    def subscribe_data(self, who: int, which: int, subscribe: bool) -> None:
        tracks = list(self.meeting.room.data_tracks)
        if tracks:
            asked = UpdateDataSubscription()
            asked.updates.add(track_sid=tracks[which % len(tracks)], subscribe=subscribe)
            self._one(who).request(update_data_subscription=asked)

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
    @rule(who=whom, how=st.sampled_from(("leave", "removed", "dtls")))
    def go(self, who: int, how: str) -> None:
        meeting, one = self.meeting, self._one(who)
        if how == "leave":
            one.leave()
        elif how == "removed":
            meeting.run(moderation.remove(meeting.room, one.participant.identity))
        else:
            meeting.run(session.ended(meeting.room, one.participant, meeting.now))
        self._forget()

    @rule(seconds=st.sampled_from((0.005, 0.05, 0.2, 1)))
    def wait(self, seconds: float) -> None:
        self.meeting.advance(seconds)
        self._forget()

    @rule(seconds=st.sampled_from((6, 16, 61)), served=mostly)
    def wait_long(self, seconds: float, served: bool) -> None:
        if served:
            self._serve()
        self.meeting.advance(seconds)
        self._forget()

    def _serve(self) -> None:
        for _ in range(30):
            busy = [one.serve() for one in self.attendees]
            self.meeting.advance(0.2)
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
            self.meeting.advance(2)
        self._forget()
        self._serve()
        self.meeting.look_when_quiet()

    def teardown(self) -> None:
        if not hasattr(self, "meeting"):
            return
        self.rest(True)
        meeting = self.meeting
        meeting.run(joining.close(meeting.room, DisconnectReason.ROOM_DELETED, meeting.now))
        assert not meeting.ledger.transports
        assert not meeting.room.tracks
        assert not meeting.room.data_tracks
        assert not meeting.room.seekers


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
