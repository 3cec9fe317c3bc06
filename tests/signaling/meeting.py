"""A room in virtual time with scripted clients: the verbs are real, only wires, clock and chance are pretended."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from livekit.protocol.models import (
    BackupCodecPolicy,
    ClientInfo,
    ParticipantInfo,
    TrackSource,
    TrackType,
    VideoLayer,
    VideoQuality,
)
from livekit.protocol.room import CreateRoomRequest
from livekit.protocol.rtc import (
    AddTrackRequest,
    SessionDescription,
    SignalRequest,
    SignalResponse,
    SimulcastCodec,
)

from media import commands, events
from signaling import joining, moving, session
from signaling.effects import (
    Announce,
    CallEnded,
    CloseSocket,
    Disconnect,
    Effect,
    Engine,
    Moved,
    Notify,
    RefreshToken,
    Remember,
    RoomEvent,
    SendPacket,
    StartDtls,
)
from signaling.errors import RpcFailed
from signaling.negotiation import Candidate
from signaling.numbering import Numbers
from signaling.participant import Joining, Participant
from signaling.room import Place, Room
from signaling.settings import Limits, NodeSettings, RoomSettings
from signaling.token import Grants, Role, VideoGrant

T = TypeVar("T")
FINGERPRINT = ":".join(["AB"] * 32)
SIMULCAST = BackupCodecPolicy.SIMULCAST
QUALITIES = (VideoQuality.LOW, VideoQuality.MEDIUM, VideoQuality.HIGH)
START = 1_700_000_000.0
CANDIDATES = (Candidate("198.18.0.1", 7882, 2130706431), Candidate("198.18.0.1", 7881, 1671430143, "tcp"))


class CountingNumbers:
    """Gives out 1, 2, 3..."""

    def __init__(self) -> None:
        self.count = 0

    def _next(self) -> int:
        self.count += 1
        return self.count

    def sid(self, prefix: str) -> str:
        return f"{prefix}{self._next():012}"

    def transport(self, *, sending: bool) -> int:
        return self._next()

    def media(self) -> int:
        return self._next()

    def ssrc(self) -> int:
        return 1_000_000 + self._next()

    def credentials(self, transport: int) -> tuple[str, str]:
        return f"{transport:x}+{self._next():08}", f"{self._next():024}"

    def session_id(self) -> int:
        return self._next()

    def secret(self, size: int) -> bytes:
        return bytes(size)


class Meeting:
    """One room, and all that its effects did."""

    def __init__(
        self,
        room: RoomSettings | None = None,
        limit: Limits | None = None,
        *,
        name: str = "meeting",
        beside: Meeting | None = None,
        **settings_of_node: Any,
    ) -> None:
        """`beside` another room of the same node."""
        self.now: float = beside.now if beside else START
        numbers: Numbers = beside.room.numbers if beside else CountingNumbers()
        settings = NodeSettings(
            keys={"key": "secret" * 8},
            addresses=("198.18.0.1",),
            udp_port=7882,
            room=room or RoomSettings(),
            limit=limit or Limits(),
            **settings_of_node,
        )
        place = Place(settings, FINGERPRINT, CANDIDATES)
        self.inbox: dict[str, list[SignalResponse]] = defaultdict(list)
        self.packets: dict[str, list[tuple[bytes, bool]]] = defaultdict(list)
        self.commands: list[commands.Command] = []
        self.announced: list[RoomEvent] = []
        self.effects: list[Effect] = []
        self.ended: dict[str, Disconnect] = {}
        self.tokens: list[str] = []
        self.called: dict[str, str | RpcFailed] = {}
        """What calls of participants' methods came to."""
        self.closed: list[str] = []
        """Whose sockets were closed while their sessions went on."""
        self.room: Room
        self.room, effects = joining.open_room(name, place, numbers, CreateRoomRequest(), self.now)
        self.run(effects)

    def run(self, effects: list[Effect]) -> None:
        """Carries effects out as the driver does."""
        for effect in session.complete(self.room, effects, self.now):
            self.effects.append(effect)
            match effect:
                case Notify(to, message):
                    for sid in to:
                        if sid not in self.ended:
                            self.inbox[sid].append(message)
                case Engine(command):
                    self.commands.append(command)
                case SendPacket(to, payload, label):
                    for sid in to:
                        self.packets[sid].append((payload, label == "_reliable"))
                case Announce(event):
                    self.announced.append(event)
                case RefreshToken(who):
                    self.tokens.append(who)
                case Disconnect(who):
                    self.ended[who] = effect
                case Moved(_, who, _, response):
                    self.inbox[who].append(SignalResponse(room_moved=response))
                case CallEnded(call, outcome):
                    self.called[call] = outcome
                case CloseSocket(who):
                    self.closed.append(who)
                case _:
                    pass

    def advance(self, seconds: float) -> None:
        """Lets time pass, timer by timer."""
        until = self.now + seconds
        while not self.room.closed and (at := self.room.timers.next()) is not None and at <= until:
            self.now = max(self.now, at)
            self.run(session.handle_timeout(self.room, self.now))
        self.now = until

    def effects_of(self, kind: type[T]) -> list[T]:
        """The effects of this kind so far."""
        return [effect for effect in self.effects if isinstance(effect, kind)]

    def given(self, kind: type[T]) -> list[T]:
        """The commands of this kind so far."""
        return [command for command in self.commands if isinstance(command, kind)]

    def join(self, identity: str, *, connect: bool = True, **options: Any) -> Client:
        """A client joins and, unless told otherwise, connects its way down."""
        client = Client(self, identity, **options)
        if connect:
            client.connect()
        return client


class Client:
    """What an SDK does, reduced to messages."""

    def __init__(
        self,
        meeting: Meeting,
        identity: str,
        *,
        grant: VideoGrant | None = None,
        kind: ParticipantInfo.Kind = ParticipantInfo.Kind.STANDARD,
        attributes: Mapping[str, str] | None = None,
        role: Role = "attendee",
        protocol: int = 17,
        auto_subscribe: bool = True,
        adaptive_stream: bool = False,
        metadata: str = "",
        single: bool = False,
        auto_subscribe_data_track: bool = False,
        browser: str = "",
        capabilities: Iterable[ClientInfo.Capability] = (),
    ) -> None:
        self.meeting = meeting
        grants = Grants(
            identity=identity,
            name=identity.title(),
            kind=kind,
            attributes=attributes or {},
            metadata=metadata,
            role=role,
            video=grant or VideoGrant(room="meeting", room_join=True, can_update_own_metadata=True),
        )
        client = ClientInfo(sdk=ClientInfo.SDK.JS, protocol=protocol, client_protocol=1, browser=browser)
        client.capabilities.extend(capabilities)
        joined = Joining(
            grants,
            client,
            auto_subscribe=auto_subscribe,
            adaptive_stream=adaptive_stream,
            auto_subscribe_data_track=auto_subscribe_data_track,
            single=single,
        )
        meeting.run(joining.join(meeting.room, joined, meeting.now))
        self.participant: Participant = meeting.room.participants[identity]
        self.sid = self.participant.sid
        self.sections: list[str] = receivers(1, 1, 1) if single else []
        self.lacks = ""
        """A codec that it cannot decode."""
        self.ufrag = "cliA"
        self.offers = 0

    @property
    def inbox(self) -> list[SignalResponse]:
        return self.meeting.inbox[self.sid]

    def messages(self, kind: str) -> list[SignalResponse]:
        """What came of one kind."""
        return [message for message in self.inbox if message.WhichOneof("message") == kind]

    def last(self, kind: str) -> SignalResponse:
        return self.messages(kind)[-1]

    def forget(self) -> None:
        self.inbox.clear()

    def send(self, **message: object) -> None:
        """Sends a SignalRequest with this one field."""
        self.request(SignalRequest(**message))  # type: ignore[arg-type]

    def request(self, request: SignalRequest) -> None:
        self.meeting.run(session.handle(self.meeting.room, self.participant, request, self.meeting.now))

    def connect(self) -> None:
        """Answers our offer and completes DTLS on the primary transport."""
        self.answer()
        transport = self.participant.primary
        if transport is None or self.participant.single:
            self.offer()
            transport = self.participant.publisher
        assert transport is not None
        meeting = self.meeting
        meeting.run(session.connected(meeting.room, self.participant, transport, meeting.now))
        for label in ("_reliable", "_lossy", "_data_track"):
            meeting.run(session.channel_opened(meeting.room, self.participant, transport, label, meeting.now))

    def serve(self) -> None:
        """Lets gathered changes come; with a single PeerConnection adds the sections asked for, and offers."""
        self.meeting.advance(0.2)
        asked = self.messages("media_sections_requirement")
        if asked:
            wanted = asked[-1].media_sections_requirement
            self.forget()
            self.offer(*receivers(len(self.sections) + 1, wanted.num_audios, wanted.num_videos))

    def answer(self, *, refuse: str = "") -> None:
        """Answers the newest offer, refusing sections of the kind named, and the codec that the client lacks."""
        offers = self.messages("offer")
        if offers:
            offer = offers[-1].offer
            self.request(
                SignalRequest(
                    answer=SessionDescription(type="answer", sdp=answer_to(offer.sdp, refuse, self.lacks), id=offer.id)
                )
            )

    def settle(self) -> None:
        """Lets gathered offers come, and answers them."""
        self.meeting.advance(0.2)
        if self.participant.subscriber and self.participant.subscriber.negotiation.offer_outstanding:
            self.answer()

    def add_track(
        self,
        cid: str,
        source: TrackSource = TrackSource.CAMERA,
        *,
        layers: int = 3,
        muted: bool = False,
        sid: str = "",
        codecs: Mapping[str, str] | None = None,
        policy: BackupCodecPolicy = SIMULCAST,
        stream: str = "",
    ) -> None:
        """Asks for a track; `codecs` are those it is to be sent in, each with its cid."""
        video = source in (TrackSource.CAMERA, TrackSource.SCREEN_SHARE)
        sizes = [(320, 180), (640, 360), (1280, 720)][:layers]
        request = AddTrackRequest(
            cid=cid,
            name=cid,
            sid=sid,
            type=TrackType.VIDEO if video else TrackType.AUDIO,
            source=source,
            muted=muted,
            stream=stream,
            backup_codec_policy=policy,
            width=1280 if video else 0,
            height=720 if video else 0,
        )
        if video:
            for quality, (width, height) in zip(QUALITIES, sizes, strict=False):
                request.layers.append(VideoLayer(quality=quality, width=width, height=height))
        for codec, codec_cid in (codecs or {}).items():
            request.simulcast_codecs.append(SimulcastCodec(codec=codec, cid=codec_cid))
        self.request(SignalRequest(add_track=request))

    def offer(self, *sections: str, ufrag: str | None = None) -> None:
        """Offers the publisher's sections: all so far and these, each made by `video` or `audio`."""
        self.sections += sections
        self.ufrag = ufrag or self.ufrag
        self.offers += 1
        sdp = offer_of(self.sections, self.ufrag)
        self.request(SignalRequest(offer=SessionDescription(type="offer", sdp=sdp, id=self.offers)))

    def publish_scalable(
        self, cid: str, codec: str, layers: int, *, backup: str = "", policy: BackupCodecPolicy = SIMULCAST
    ) -> str:
        """Asks for a camera whose one stream holds all layers, and offers its section; the track's sid."""
        codecs = {codec.lower(): cid, **({backup: ""} if backup else {})}
        self.add_track(cid, layers=layers, codecs=codecs, policy=policy)
        self.offer(video(str(len(self.sections) + 1), cid, codec=codec))
        return self.last("track_published").track_published.track.sid

    def publish(
        self,
        cid: str,
        source: TrackSource = TrackSource.CAMERA,
        *,
        layers: int = 3,
        muted: bool = False,
        stream: str = "",
    ) -> str:
        """Asks for a track and offers its section; the track's sid."""
        self.add_track(cid, source, layers=layers, muted=muted, stream=stream)
        mid = str(len(self.sections) + 1)
        simulcast = ("q", "h", "f")[:layers] if layers > 1 else ()
        kind = "video" if source in (TrackSource.CAMERA, TrackSource.SCREEN_SHARE) else "audio"
        self.offer(video(mid, cid, simulcast) if kind == "video" else audio(mid, cid))
        return self.last("track_published").track_published.track.sid

    def hears(self, event: events.Event) -> None:
        """The engine tells of one of this client's transports."""
        transport = self.participant.transport(event.transport)  # type: ignore[union-attr]
        assert transport is not None
        meeting = self.meeting
        meeting.run(session.heard(meeting.room, self.participant, transport, event, meeting.now))

    def says(self, payload: bytes | str, label: str = "_reliable") -> None:
        """A message on a data channel."""
        meeting = self.meeting
        meeting.run(session.message(meeting.room, self.participant, label, payload, meeting.now))

    def lose_socket(self) -> None:
        self.meeting.run(session.socket_lost(self.meeting.room, self.participant, self.meeting.now))

    def move(self, target: Meeting) -> None:
        """The server API moves the client to another room."""
        target.now = max(target.now, self.meeting.now)
        leaving, entering = moving.move(self.meeting.room, self.participant, target.room, self.meeting.now)
        self.meeting.run(leaving)
        target.run(entering)
        self.meeting = target
        self.participant = target.room.participants[self.participant.identity]
        self.sid = self.participant.sid

    def resume(self) -> None:
        self.forget()
        self.meeting.run(session.resumed(self.meeting.room, self.participant, self.meeting.now))


def receivers(first: int, audios: int, videos: int) -> list[str]:
    """Sections on which a client with a single PeerConnection only receives, their mids from `first` on."""
    kinds = [audio] * audios + [video] * videos
    return [section(str(mid), "", direction="recvonly") for mid, section in enumerate(kinds, first)]


def audio(mid: str, cid: str, direction: str = "sendonly") -> str:
    """An audio section as Chromium offers it."""
    return _section("audio", mid, cid, direction, ["111 opus/48000/2"], ["a=fmtp:111 minptime=10;useinbandfec=1"], ())


def video(mid: str, cid: str, rids: tuple[str, ...] = (), direction: str = "sendonly", codec: str = "VP8") -> str:
    """A video section as Chromium offers it, with simulcast by rid where rids are given."""
    number = {"VP8": 96, "VP9": 98, "AV1": 45}[codec]
    feedback = [f"a=rtcp-fb:{number} {kind}" for kind in ("transport-cc", "ccm fir", "nack", "nack pli")]
    maps = [f"{number} {codec}/90000", f"{number + 1} rtx/90000"]
    return _section("video", mid, cid, direction, maps, [*feedback, f"a=fmtp:{number + 1} apt={number}"], rids)


def _section(
    kind: str, mid: str, cid: str, direction: str, maps: list[str], extra: list[str], rids: tuple[str, ...]
) -> str:
    types = " ".join(line.split()[0] for line in maps)
    lines = [
        f"m={kind} 9 UDP/TLS/RTP/SAVPF {types}",
        "c=IN IP4 0.0.0.0",
        "a=ice-ufrag:UFRAG",
        "a=ice-pwd:0123456789abcdef01234567",
        f"a=fingerprint:sha-256 {FINGERPRINT}",
        "a=setup:actpass",
        f"a=mid:{mid}",
        "a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid",
        "a=extmap:10 urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id",
        f"a={direction}",
        *([f"a=msid:- {cid}"] if cid else []),
        "a=rtcp-mux",
        *(f"a=rtpmap:{line}" for line in maps),
        *extra,
        *(f"a=rid:{rid} send" for rid in rids),
    ]
    if rids:
        lines.append(f"a=simulcast:send {';'.join(rids)}")
    return "\r\n".join(lines) + "\r\n"


def offer_of(sections: list[str], ufrag: str) -> str:
    """A client's whole offer: a data section and these."""
    data = (
        "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 0.0.0.0\r\na=ice-ufrag:UFRAG\r\n"
        "a=ice-pwd:0123456789abcdef01234567\r\n"
        f"a=fingerprint:sha-256 {FINGERPRINT}\r\na=setup:actpass\r\na=mid:0\r\na=sctp-port:5000\r\n"
    )
    mids = " ".join(re.findall(r"^a=mid:(\S+)", data + "".join(sections), re.MULTILINE))
    head = f"v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE {mids}\r\n"
    return (head + data + "".join(sections)).replace("UFRAG", ufrag)


def answer_to(offer: str, refuse: str = "", lacks: str = "") -> str:
    """A client's answer that takes all of an offer but sections of the kind `refuse` and the codec `lacks`."""
    parts = re.split(r"^(?=m=)", offer, flags=re.MULTILINE)
    answered = [parts[0].replace("a=ice-lite\r\n", "")]
    for part in parts[1:]:
        section = re.sub(
            r"^a=candidate:.*\r\n|^a=end-of-candidates\r\n|^a=msid:.*\r\n|^a=ssrc.*\r\n", "", part, flags=re.MULTILINE
        )
        section = section.replace("a=sendonly", "a=recvonly").replace("a=setup:actpass", "a=setup:active")
        section = re.sub(r"a=ice-ufrag:\S+", "a=ice-ufrag:down", section)
        section = re.sub(r"a=ice-pwd:\S+", "a=ice-pwd:0123456789abcdef01234567", section)
        section = re.sub(r"a=fingerprint:.*\r\n", f"a=fingerprint:sha-256 {FINGERPRINT}\r\n", section)
        if refuse and section.startswith(f"m={refuse} "):
            section = re.sub(r"^m=(\w+) \d+", r"m=\1 0", section)
        if lacks:
            section = _without_codec(section, lacks)
        answered.append(section)
    return "".join(answered)


def _without_codec(section: str, codec: str) -> str:
    found = re.search(rf"^a=rtpmap:(\d+) {codec}/", section, re.MULTILINE)
    if found is None:
        return section
    repair = re.search(rf"^a=fmtp:(\d+) apt={found[1]}\r", section, re.MULTILINE)
    for number in (found[1], *([repair[1]] if repair else [])):
        section = re.sub(rf"^a=(rtpmap|fmtp|rtcp-fb):{number} .*\r\n", "", section, flags=re.MULTILINE)
        section = re.sub(rf"^(m=.*?) {number}\b", r"\1", section)
    return section


__all__ = ["Client", "CloseSocket", "CountingNumbers", "Meeting", "Remember", "Room", "StartDtls", "audio", "video"]


def two() -> tuple[Meeting, Client, Client]:
    meeting = Meeting()
    return meeting, meeting.join("anna"), meeting.join("boris")
