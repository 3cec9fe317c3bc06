"""An attendee for random meetings: a scripted client that also keeps its sections as an SDK does."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from livekit.protocol.models import TrackSource
from livekit.protocol.rtc import (
    AddTrackRequest,
    LeaveRequest,
    SessionDescription,
    SignalRequest,
    SimulcastCodec,
    SubscriptionPermission,
    SyncState,
)

from signaling import session
from signaling.participant import Participant, Transport
from tests.signaling.meeting import Client, answer_to, audio, offer_of, video
from tests.signaling.watched import View, Watched

VIDEO_SOURCES = (TrackSource.CAMERA, TrackSource.SCREEN_SHARE)


@dataclass
class Line:
    """One section of the client's offers."""

    mid: str
    kind: str
    cid: str = ""
    direction: str = "recvonly"
    rids: tuple[str, ...] = ()
    codec: str = "VP8"
    stopped: bool = False
    over: bool = False
    """It was offered as stopped: another may take its place."""

    @property
    def idle(self) -> bool:
        """A source may take it."""
        return self.direction == "inactive" and self.over == self.stopped

    def text(self) -> str:
        """As the client offers it."""
        if self.kind == "video":
            text = video(self.mid, self.cid, self.rids, self.direction, self.codec)
        else:
            text = audio(self.mid, self.cid, self.direction)
        return re.sub(r"^m=(\w+) 9", r"m=\1 0", text) if self.stopped else text


class Attendee:
    """A client whose requests come in any order."""

    def __init__(self, meeting: Watched, identity: str, **options: Any) -> None:
        self.meeting = meeting
        self.client = Client(meeting, identity, **options)
        self.lines: list[Line] = []
        self.mids = 0
        self.negotiated = not self.participant.single
        """Its first offer, with which a single PeerConnection begins, is made."""
        if self.participant.single:
            self._add_receivers(1, 1)

    @property
    def participant(self) -> Participant:
        return self.client.participant

    @property
    def view(self) -> View:
        return self.meeting.views[self.participant.sid]

    @property
    def here(self) -> bool:
        """Its session goes on."""
        return self.participant.present

    @property
    def hears(self) -> bool:
        """Messages reach it."""
        return self.here and self.participant.attached and self.view.hears

    def _add_receivers(self, audios: int, videos: int) -> None:
        for kind in ["audio"] * audios + ["video"] * videos:
            self.lines.append(Line(self._new_mid(), kind))

    def _new_mid(self) -> str:
        self.mids += 1
        return str(self.mids)

    def request(self, **message: object) -> None:
        """Says something, if the server believes in its socket."""
        if self.participant.attached:
            self.client.send(**message)

    def offer(self, *, restart: bool = False) -> None:
        """Offers all of its sections, with those that it was asked to add."""
        if not self.participant.attached:
            return
        if self.participant.single and self.view.requirement is not None:
            wanted, self.view.requirement = self.view.requirement, None
            self._add_receivers(wanted.num_audios, wanted.num_videos)
        client = self.client
        if restart:
            client.ufrag = f"cli{client.offers:05}"
        client.offers += 1
        for line in self.lines:
            line.over = line.stopped
        self.negotiated = True
        text = offer_of([line.text() for line in self.lines], client.ufrag)
        client.request(SignalRequest(offer=SessionDescription(type="offer", sdp=text, id=client.offers)))
        sending = {line.mid for line in self.lines if line.direction == "sendonly" and not line.stopped}
        assert set(self.participant.by_mid) <= sending, "a track is on a section that is closed"

    def answer(self, *, refuse: str = "") -> None:
        """Answers the newest offer that it has heard."""
        offer = self.view.offer
        if offer is None or not self.participant.attached:
            return
        self.view.offer = None
        text = answer_to(offer.sdp, refuse, self.client.lacks)
        self.client.request(SignalRequest(answer=SessionDescription(type="answer", sdp=text, id=offer.id)))

    def connect(self) -> None:
        """DTLS of all its transports comes up, where it has begun."""
        for transport in (self.participant.publisher, self.participant.subscriber):
            if transport is not None and transport.dtls_started and not transport.connected:
                self._connected(transport)

    def _connected(self, transport: Transport) -> None:
        meeting = self.meeting
        meeting.run(session.connected(meeting.room, self.participant, transport, meeting.now))
        if transport is self.participant.primary:
            for label in ("_reliable", "_lossy", "_data_track"):
                meeting.run(session.channel_opened(meeting.room, self.participant, transport, label, meeting.now))

    def ask(self, cid: str, source: TrackSource, layers: int = 1, codec: str = "", backup: str = "") -> None:
        """Asks for a track."""
        if self.participant.attached:
            codecs = {name: mid for name, mid in ((codec, cid), (backup, "")) if name}
            self.client.add_track(cid, source, layers=layers, codecs=codecs)

    def send_on_section(self, cid: str, kind: str, rids: tuple[str, ...] = (), codec: str = "VP8") -> None:
        """Puts a source on a section of its own: one that is stopped, or idle, or a new one."""
        if any(line.cid == cid and line.direction == "sendonly" for line in self.lines):
            return
        idle = next((line for line in self.lines if line.kind == kind and line.idle), None)
        if idle is None:
            idle = Line(self._new_mid(), kind)
            self.lines.append(idle)
        if idle.stopped:
            idle.mid, idle.stopped, idle.over = self._new_mid(), False, False
        idle.cid, idle.direction, idle.rids, idle.codec = cid, "sendonly", rids, codec

    def close_section(self, which: int, *, stop: bool) -> None:
        """Stops sending or receiving on one of its sections."""
        used = [line for line in self.lines if line.direction != "inactive"]
        if used:
            line = used[which % len(used)]
            line.direction, line.stopped, line.cid, line.rids = "inactive", stop, "", ()

    def send_backup(self, track_sid: str, codec: str) -> None:
        """Begins to send the backup codec of a track of its own."""
        cid = f"{track_sid}-{codec}"
        wish = AddTrackRequest(cid=cid, sid=track_sid, simulcast_codecs=[SimulcastCodec(codec=codec, cid=cid)])
        self.request(add_track=wish)
        self.send_on_section(cid, "video")
        self.offer()

    def close_unpublished(self) -> None:
        """Closes sections of tracks that the server has ended, as it was told."""
        cids = set(self.view.published.values())
        for line in self.lines:
            if line.direction == "sendonly" and line.cid.startswith("c") and line.cid not in cids:
                line.direction, line.cid, line.rids = "inactive", "", ()

    def lose_socket(self) -> None:
        """The server notices that the socket is gone."""
        self.view.hears = False
        self.client.lose_socket()

    def resume(self) -> None:
        """Comes back on a new socket, and says what it knows, as SDKs do."""
        if not self.here:
            return
        view = self.view
        view.hears, view.asked_to_resume, view.offer, view.requirement = True, False, None, None
        self.client.resume()
        state = SyncState()
        for sid, cid in view.published.items():
            state.publish_tracks.add(cid=cid).track.sid = sid
        self.request(sync_state=state)
        if self.negotiated and (self.participant.single or self.participant.publisher is not None):
            self.offer(restart=True)

    def move(self, target: Watched) -> None:
        """The server API moves it to another room. Raises FailedPrecondition."""
        source = self.meeting
        source.halfway = True
        try:
            self.client.move(target)
        finally:
            source.halfway = False
        self.meeting = target

    def permit(self, permission: SubscriptionPermission) -> None:
        """Says who may receive its tracks."""
        self.request(subscription_permission=permission)

    def leave(self) -> None:
        """Says goodbye."""
        self.request(leave=LeaveRequest())

    def serve(self) -> bool:
        """Does what it was asked to; False when there was nothing."""
        if self.here and self.view.asked_to_resume:
            self.resume()
            return True
        if not self.hears:
            return False
        busy = self.view.offer is not None or self.view.requirement is not None or not self.negotiated
        if self.view.offer is not None:
            self.answer()
        # A client that may not subscribe connects its way up.
        way_up = not self.participant.has_been_active and self.participant.primary is None
        if self.view.requirement is not None or not self.negotiated or way_up:
            self.offer()
        self.connect()
        return busy
