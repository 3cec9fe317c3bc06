"""One scripted client as the server sees it: signalling as stock SDKs do it, DTLS and data channels; no media here.

Two PeerConnections, the server's the primary one, protocol 15, adaptive stream and dynacast: what livekit-client does.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
import uuid
from dataclasses import dataclass, field

import aiohttp
from aiortc.rtcsctptransport import RTCSctpTransport
from livekit import api
from livekit.protocol.models import TrackSource, TrackType, VideoLayer, VideoQuality
from livekit.protocol.rtc import (
    AddTrackRequest,
    Ping,
    SessionDescription,
    SignalRequest,
    SignalResponse,
    SignalTarget,
    SimulcastCodec,
    TrickleRequest,
    UpdateTrackSettings,
)

from signaling.transport import DtlsTransport, SrtpKeys, local_fingerprint
from tests.load.client_sdp import Answers, Local, Published, attribute, offer
from tests.load.scripted_media import ScriptedMedia
from tests.service import Service

# Bits and frames a second by rid, from low to high: livekit-client's presets for 720p (h180, h360, h720).
SIMULCAST = (("q", 160_000, 20), ("h", 450_000, 20), ("f", 1_700_000, 30))
OPUS_BITRATE = 48_000  # livekit-client's default, AudioPresets.music
_SIZES = {"q": (320, 180), "h": (640, 360), "f": (1280, 720), "": (1280, 720)}
_QUALITIES = {"q": VideoQuality.LOW, "h": VideoQuality.MEDIUM, "f": VideoQuality.HIGH, "": VideoQuality.HIGH}
PATIENCE = 30.0  # seconds after which a person would have given up
_FIRST_SSRC = 1_000_000


@dataclass(frozen=True, slots=True)
class Script:
    """What a client does: the encodings of its camera, bits a second of sound, the size in which it shows videos."""

    video: tuple[tuple[str, int, int], ...] = ()
    audio: int = 0
    muted: bool = False
    temporal: bool = True
    """Its camera sends three temporal layers. Chromium's simulcast, as livekit-client wishes it, has none."""
    tile: tuple[int, int] | None = None


@dataclass(slots=True)
class Times:
    """When things happened, in seconds of `time.monotonic`."""

    begun: float = 0.0
    joined: float = 0.0
    connected: float = 0.0


class _Path:
    """The client's end of a PeerConnection: hears the media process and DTLS, and joins them."""

    def __init__(self, media: ScriptedMedia, offered: str, local: Local, connected: asyncio.Event) -> None:
        self._media = media
        self._connected = connected
        self._fingerprint = attribute(offered, "fingerprint").split(" ")[1]
        self._dtls = DtlsTransport(self)
        username = f"{attribute(offered, 'ice-ufrag')}:{local.ufrag}"
        self.number = media.open(self, username, attribute(offered, "ice-pwd"))

    def reachable(self) -> None:
        self._dtls.start({"sha-256": self._fingerprint}, client=True)

    def feed(self, datagram: bytes) -> None:
        self._dtls.feed(datagram)

    def close(self) -> None:
        self._dtls.stop()
        self._media.close(self.number)

    def send_datagram(self, data: bytes) -> None:
        self._media.tell("dtls", self.number, data.hex())

    def connected(self, keys: SrtpKeys) -> None:
        parts = (keys.send_key, keys.send_salt, keys.receive_key, keys.receive_salt)
        self._media.tell("keys", self.number, keys.profile, *(part.hex() for part in parts))
        # The service's own end leaves the INIT to the client, which this one is.
        begin = RTCSctpTransport._init(self._dtls._association)  # type: ignore[arg-type]
        with contextlib.suppress(StopIteration):
            begin.send(None)
        self._connected.set()

    def channel_opened(self, label: str) -> None: ...
    def channel_closed(self, label: str) -> None: ...
    def message(self, label: str, data: bytes | str) -> None: ...
    def failed(self, reason: str) -> None: ...
    def closed(self) -> None: ...


@dataclass(eq=False)
class Attendee:
    """One client in one room. `join` returns when it is connected; it then goes on by itself until `leave`."""

    service: Service
    media: ScriptedMedia
    http: aiohttp.ClientSession
    room: str
    identity: str
    script: Script
    times: Times = field(default_factory=Times)
    received: int = 0
    """Signalling messages, and their bytes."""
    received_bytes: int = 0

    async def join(self) -> None:
        """Joins, connects, and publishes what it has."""
        self.times.begun = time.monotonic()
        self._connected = asyncio.Event()
        self._answered = asyncio.Event()
        self._published: dict[str, str] = {}
        self._streams: dict[int, str] = {}
        self._shown: set[str] = set()
        self._paths: list[_Path] = []
        self._local = Local(secrets.token_hex(2), secrets.token_hex(12), local_fingerprint())
        self._answers = Answers(self._local)
        token = self._token()
        query = "auto_subscribe=1&sdk=js&version=2.15.0&protocol=15&adaptive_stream=1&browser=Chrome&os=Linux"
        self._socket = await self.http.ws_connect(
            f"{self.service.websocket}/rtc?access_token={token}&{query}", max_msg_size=0, autoclose=False
        )
        self._reader = asyncio.create_task(self._read())
        async with asyncio.timeout(PATIENCE):
            await self._connected.wait()
            self.times.connected = time.monotonic()
            if self.script.video or self.script.audio:
                await self._publish()

    def _token(self) -> str:
        grants = api.VideoGrants(room_join=True, room=self.room)
        token = api.AccessToken(self.service.key, self.service.secret).with_identity(self.identity)
        return token.with_name(self.identity.title()).with_grants(grants).to_jwt()

    async def leave(self) -> None:
        """Goes as a closed tab does."""
        for path in self._paths:
            path.close()
        await self._socket.close()
        await asyncio.gather(self._reader, return_exceptions=True)

    async def _send(self, request: SignalRequest) -> None:
        await self._socket.send_bytes(request.SerializeToString())

    async def ping(self) -> None:
        """What a client sends each five seconds."""
        now = int(time.time() * 1000)
        await self._send(SignalRequest(ping=now))
        await self._send(SignalRequest(ping_req=Ping(timestamp=now, rtt=1)))

    async def _read(self) -> None:
        async for message in self._socket:
            if message.type is not aiohttp.WSMsgType.BINARY:
                break
            self.received += 1
            self.received_bytes += len(message.data)
            response = SignalResponse.FromString(message.data)
            match response.WhichOneof("message"):
                case "join":
                    self.times.joined = time.monotonic()
                case "offer":
                    await self._answer(response.offer)
                case "track_published":
                    self._published[response.track_published.cid] = response.track_published.track.sid
                    self._answered.set()
                case "answer":
                    self._take_answer(response.answer.sdp)
                case "subscribed_quality_update":
                    self._want(response)

    async def _answer(self, description: SessionDescription) -> None:
        sdp, streams = self._answers.answer(description.sdp)
        if not self._paths:
            self._paths.append(_Path(self.media, description.sdp, self._local, self._connected))
            await self._trickle(SignalTarget.SUBSCRIBER)
        path = self._paths[0]
        now = {stream.ssrc: description.mid_to_track_id[stream.mid] for stream in streams}
        for ssrc in self._streams.keys() - now.keys():
            self.media.tell("forget", path.number, ssrc)
        for stream in streams:
            if stream.ssrc not in self._streams:
                words = (stream.kind, stream.ssrc, stream.rtx_ssrc, stream.extension)
                self.media.tell("receive", path.number, *words)
        self._streams = now
        answer = SessionDescription(type="answer", sdp=sdp, id=description.id)
        await self._send(SignalRequest(answer=answer))
        if self.script.tile is not None:
            width, height = self.script.tile
            for stream in streams:
                sid = now[stream.ssrc]
                if stream.kind == "video" and sid not in self._shown:
                    self._shown.add(sid)
                    shown = UpdateTrackSettings(track_sids=[sid], width=width, height=height)
                    await self._send(SignalRequest(track_setting=shown))

    async def _trickle(self, target: SignalTarget) -> None:
        candidate = '{"candidate":"candidate:1 1 udp 2122260223 198.18.64.1 40000 typ host","sdpMid":"0"}'
        await self._send(SignalRequest(trickle=TrickleRequest(candidateInit=candidate, target=target)))

    async def _publish(self) -> None:
        tracks = []
        if self.script.audio:
            tracks.append(Published("audio", str(uuid.uuid4()), _FIRST_SSRC, simulcast=False))
        if self.script.video:
            simulcast = len(self.script.video) > 1
            tracks.append(Published("video", str(uuid.uuid4()), _FIRST_SSRC + 100, simulcast=simulcast))
        self._tracks = tracks
        for track in tracks:
            self._answered.clear()
            await self._send(SignalRequest(add_track=self._wish(track)))
            await self._answered.wait()
        self._publisher = Local(secrets.token_hex(2), secrets.token_hex(12), local_fingerprint())
        self._publisher_connected = asyncio.Event()
        sdp = offer(self._publisher, tracks)
        await self._send(SignalRequest(offer=SessionDescription(type="offer", sdp=sdp)))
        await self._publisher_connected.wait()
        if self.script.muted:
            return
        number = self._paths[1].number
        for track in tracks:
            if track.kind == "audio":
                self.media.tell("microphone", number, track.mid, track.ssrc, self.script.audio)
            else:
                encodings = (":".join(map(str, encoding)) for encoding in self.script.video)
                layers = "temporal" if self.script.temporal else "plain"
                self.media.tell("camera", number, track.mid, track.ssrc, layers, *encodings)

    def _wish(self, track: Published) -> AddTrackRequest:
        if track.kind == "audio":
            return AddTrackRequest(
                cid=track.cid,
                type=TrackType.AUDIO,
                source=TrackSource.MICROPHONE,
                muted=self.script.muted,
                disable_red=True,
            )
        layers = [
            VideoLayer(quality=_QUALITIES[rid], width=_SIZES[rid][0], height=_SIZES[rid][1], bitrate=bitrate)
            for rid, bitrate, _ in self.script.video
        ]
        return AddTrackRequest(
            cid=track.cid,
            type=TrackType.VIDEO,
            source=TrackSource.CAMERA,
            muted=self.script.muted,
            width=1280,
            height=720,
            layers=layers,
            simulcast_codecs=[SimulcastCodec(codec="vp8", cid=track.cid)],
        )

    def _take_answer(self, sdp: str) -> None:
        if len(self._paths) == 1:
            self._paths.append(_Path(self.media, sdp, self._publisher, self._publisher_connected))

    def _want(self, response: SignalResponse) -> None:
        """Dynacast: only the encodings that somebody wants are sent."""
        update = response.subscribed_quality_update
        wanted = {quality.quality: quality.enabled for quality in update.subscribed_qualities}
        for codec in update.subscribed_codecs:
            wanted = {quality.quality: quality.enabled for quality in codec.qualities} or wanted
        track = next((track for track in self._tracks if self._published.get(track.cid) == update.track_sid), None)
        if track is None or len(self._paths) < 2 or not self.script.video:
            return
        rids = [rid for rid, *_ in self.script.video]
        # livekit-client takes a single encoding for the lowest.
        mask = sum(1 << place for place, rid in enumerate(rids) if wanted.get(_QUALITIES[rid or "q"], True))
        self.media.tell("want", self._paths[1].number, track.mid, mask)
