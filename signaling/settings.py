"""What a node needs to know from the configuration: plain values, read once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from livekit.protocol.room import RoomConfiguration

from signaling.turn import TurnServer

# LIVEKIT.md 3: a LiveKit version number that clients compare. Above 1.13.6 JavaScript clients publish VP9 and AV1 as
# simulcast by rid; below 1.8.0 they refuse RPC.
COMPATIBLE_VERSION = "1.13.6"
PROTOCOL = 17

DEFAULT_CODECS = ("video/VP8", "video/H264", "video/VP9", "video/AV1", "audio/opus", "audio/red")


@dataclass(frozen=True, slots=True)
class RoomSettings:
    """`[room]`: what holds for rooms that say nothing else themselves."""

    auto_create: bool = True
    empty_timeout: int = 300
    """Seconds that a room nobody has joined stays."""
    departure_timeout: int = 20
    """Seconds that a room stays after the last one has left."""
    max_participants: int = 0
    """0 is no limit."""
    enabled_codecs: tuple[str, ...] = DEFAULT_CODECS
    """MIME types that may be published, in the order of preference for each kind."""
    enable_remote_unmute: bool = False
    sync_streams: bool = False
    """Whether receivers play the sound and picture of one source in step."""
    room_configurations: Mapping[str, RoomConfiguration] = field(default_factory=dict)
    """Presets by name, which tokens and CreateRoom may ask for."""


@dataclass(frozen=True, slots=True)
class Limits:
    """`[limit]`: sizes in bytes; 0 is no limit except where a note says otherwise."""

    max_identity_length: int = 256
    max_name_length: int = 256
    max_room_name_length: int = 256
    max_metadata_size: int = 512 * 1024
    max_attributes_size: int = 64 * 1024
    max_data_blobs_size: int = 64_000
    """Keys and contents of all data blobs of a participant."""
    bytes_per_sec: int = 0
    """Bytes a second through this node beyond which joins are refused with 503."""
    num_tracks: int = 0
    """Published tracks on this node beyond which joins are refused with 503."""
    tracks_per_participant: int = 64
    """Tracks that one participant may publish, pending ones included."""
    subscription_limit_video: int = 0
    subscription_limit_audio: int = 0
    signal_message_size: int = 2 * 1024 * 1024
    """Largest signalling message, on the wire and inflated."""
    signal_messages_per_second: float = 200.0
    signal_message_burst: int = 500
    signal_queue_size: int = 4 * 1024 * 1024
    """Bytes that may wait for one client's socket before that client is disconnected."""
    data_messages_per_second: float = 2000.0
    """Data packets that one participant may send; what is above is dropped. Room for 1,000 a second and bursts."""
    data_message_burst: int = 4000


def itself(identity: str) -> str:
    """Where nothing else is known, each identity is a person."""
    return identity


@dataclass(frozen=True, slots=True)
class NodeSettings:
    """Everything that `Node` and `/rtc` take from the configuration."""

    keys: Mapping[str, str]
    """API key to secret. The first one signs refreshed tokens. See `Node.replace_keys`."""
    addresses: tuple[str, ...]
    """IP literals that are offered to clients as host candidates."""
    udp_port: int
    """Port of those candidates: the engine's `udp_port`."""
    tcp_port: int | None = None
    """Port of TCP candidates beside them: the engine's `tcp_port`; None offers none."""
    node_id: str = "ND_local"
    region: str = ""
    software: str = ""
    """Name and version of this software, told as `ServerInfo.debug_info`."""
    idle_timeout: float = 30.0
    """`[rtc] idle_timeout`: seconds of silence on ICE after which a session ends."""
    datachannel_slow_threshold: int = 0
    """`[rtc] datachannel_slow_threshold`: bits a second; a slower receiver of reliable data is skipped; 0: none."""
    allow_pause: bool = True
    """`[rtc] allow_pause`: video without room may be paused where the client says nothing."""
    turn_servers: tuple[TurnServer, ...] = ()
    """`[rtc] turn_servers`: told to clients, with credentials of their own."""
    enable_data_tracks: bool = True
    """Participants may publish data tracks."""
    enable_participant_data_blob: bool = False
    """Participants may leave data blobs."""
    trusted_proxies: tuple[str, ...] = ()
    """Networks (CIDR) whose X-Forwarded-For is believed."""
    person_of: Callable[[str], str] = itself
    """What all identities of one person in a room have in common: who is kept out is so under each of them."""
    room: RoomSettings = field(default_factory=RoomSettings)
    limit: Limits = field(default_factory=Limits)
