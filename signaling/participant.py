"""Participant: one identity in one room, with its session's state, its transports, tracks and wishes. Data only."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from enum import Enum, auto

from livekit.protocol.models import (
    ClientInfo,
    ConnectionQuality,
    DataBlob,
    DisconnectReason,
    ParticipantInfo,
    ParticipantPermission,
)
from livekit.protocol.rtc import AddTrackRequest, UpdateTrackSettings

from signaling.negotiation import Negotiation, Quirks, ReceivingSection
from signaling.permission import Audience, is_dependent
from signaling.token import Grants, Role
from signaling.track import DataTrack, FrameRate, Subscription, Track


class State(Enum):
    """Of a session; the theory is in `session.py`."""

    JOINING = auto()
    JOINED = auto()
    ACTIVE = auto()
    DETACHED = auto()
    DISCONNECTED = auto()


_ON_THE_WIRE = {
    State.JOINING: ParticipantInfo.State.JOINING,
    State.JOINED: ParticipantInfo.State.JOINED,
    State.ACTIVE: ParticipantInfo.State.ACTIVE,
    State.DETACHED: ParticipantInfo.State.ACTIVE,
    State.DISCONNECTED: ParticipantInfo.State.DISCONNECTED,
}


@dataclass(slots=True, eq=False)
class Transport:
    """One ICE, DTLS and SRTP path of a participant, and what was negotiated on it."""

    number: int
    negotiation: Negotiation
    ufrag: str
    dtls_started: bool = False
    connected: bool = False
    """The DTLS handshake is complete."""
    silent: bool = False
    """Nothing was heard for 10 s."""
    protocol: str = ""
    """Of the selected path, "udp" or "tcp"; "" before there is one."""
    address: str = ""
    """The client's end of the selected path, "ip:port"; "" before there is one."""
    channels: set[str] = field(default_factory=set)
    """Labels of data channels that can be written to."""


@dataclass(frozen=True, slots=True)
class Joining:
    """What a client brings when it joins: what its token claims and what its request says (LIVEKIT.md 1.4)."""

    grants: Grants
    client: ClientInfo
    auto_subscribe: bool = True
    adaptive_stream: bool = False
    allow_pause: bool = True
    auto_subscribe_data_track: bool = False
    single: bool = False
    """One PeerConnection for both directions, on which only the client offers (LIVEKIT.md 4.3)."""


@dataclass(slots=True, eq=False)
class Participant:
    """One identity in one room."""

    sid: str
    joining: Joining
    permission: ParticipantPermission
    name: str
    metadata: str
    attributes: dict[str, str]
    joined_at: float
    grants: Grants
    """What its next token says: the claims of the first with later changes. Rules of the room are not in it."""
    state: State = State.JOINING
    version: int = 0
    region: str = ""
    subscriber_primary: bool = True
    publisher: Transport | None = None
    """The client sends on it; opened by its first offer."""
    subscriber: Transport | None = None
    """We send on it. With a single PeerConnection it is the publisher's."""
    has_been_active: bool = False
    disconnect_reason: DisconnectReason = DisconnectReason.UNKNOWN_REASON

    pending: dict[str, Track] = field(default_factory=dict)
    """Tracks that wait for their media section, by cid, in the order of their requests."""
    queued: dict[str, deque[AddTrackRequest]] = field(default_factory=dict)
    """Further requests with the cid of a track that is still there."""
    tracks: dict[str, Track] = field(default_factory=dict)
    """Visible tracks by sid."""
    by_mid: dict[str, Track] = field(default_factory=dict)
    parked: dict[str, ReceivingSection] = field(default_factory=dict)
    """Sections on which media comes that no request has named yet, by mid."""
    audience: Audience = field(default_factory=Audience)

    subscriptions: dict[str, Subscription] = field(default_factory=dict)
    """By track sid."""
    desires: dict[str, bool] = field(default_factory=dict)
    """What was asked for explicitly, by track sid: it outlives refusals and permissions."""
    sought: dict[str, float] = field(default_factory=dict)
    """Track sids asked for that nobody has published, with the time at which the search ends."""
    settings: dict[str, UpdateTrackSettings] = field(default_factory=dict)
    """By track sid; may come before the subscription."""
    offered_at: float = float("-inf")
    """Time of our last offer."""

    data_tracks: dict[int, DataTrack] = field(default_factory=dict)
    """Those that it publishes, by its handle for them."""
    data_desires: dict[str, bool] = field(default_factory=dict)
    """What was asked for explicitly, by data track sid."""
    data_subscriptions: dict[str, int] = field(default_factory=dict)
    """Its handle for each data track that it receives, by sid."""
    data_rates: dict[str, FrameRate] = field(default_factory=dict)
    """How much of a data track it wants, by sid; what is not here, it wants whole."""
    last_data_handle: int = 0

    chat_streams: set[str] = field(default_factory=set)
    """Ids of the chat messages that it is sending."""
    enters_until: float = float("-inf")
    """A microphone that it publishes before this time is one that it came in with."""
    blobs: dict[bytes, DataBlob] = field(default_factory=dict)
    """What it has left for the others, by key."""
    last_sequence: int = 0
    """Of the reliable data packets that it has sent (LIVEKIT.md 6.2)."""
    held: deque[bytes] = field(default_factory=deque)
    """Reliable data packets that wait for its channel to open."""
    held_size: int = 0
    data_allowance: float = 0.0
    data_allowance_at: float = 0.0
    preferred_protocol: str = ""
    """Of the candidates that it is told, "udp" or "tcp"; "" for both."""
    cuts_resume_until: float = float("-inf")
    """The next resume before this time is answered, and its socket closed: the client rehearses that."""
    ignores_resumes_until: float = float("-inf")
    resumes_to_ignore: int = 0
    """So many resumes before that time find nobody: the client rehearses that."""
    quality: ConnectionQuality = ConnectionQuality.EXCELLENT
    """Of its connection, as last told."""
    quality_due: set[str] = field(default_factory=set)
    """Sids of those whose quality it has not been told yet."""
    scores: dict[int, float] = field(default_factory=dict)
    """Smoothed score 0..100 of what it sends and receives, by track or subscription number."""
    scored_at: float = 0.0
    """When they were scored last."""
    usual_rates: dict[int, float] = field(default_factory=dict)
    """The most packets a second so far of what it sends and receives, by track or subscription number."""
    dependent: bool = field(init=False)
    """A recorder or an agent (LIVEKIT.md 2.3). By kind and permission; kept, as each join counts everybody."""
    _info: ParticipantInfo | None = None

    def __post_init__(self) -> None:
        self.permit(self.permission)

    def permit(self, permission: ParticipantPermission) -> None:
        """Takes another permission."""
        self.permission = permission
        self.dependent = is_dependent(self.joining.grants.kind, permission)

    @property
    def identity(self) -> str:
        return self.joining.grants.identity

    @property
    def role(self) -> Role:
        """Its role now."""
        return self.grants.role

    @property
    def is_attendee(self) -> bool:
        """Bound by the rules of a room: neither a host nor a program of the service's own."""
        return self.role == "attendee" and not self.dependent

    @property
    def protocol(self) -> int:
        return self.joining.client.protocol

    @property
    def quirks(self) -> Quirks:
        """Where its client departs from the rule."""
        return Quirks.of(self.joining.client, single=self.single)

    @property
    def single(self) -> bool:
        return self.joining.single

    @property
    def hidden(self) -> bool:
        return self.permission.hidden

    @property
    def present(self) -> bool:
        """Joined and not gone."""
        return self.state in (State.JOINED, State.ACTIVE, State.DETACHED)

    @property
    def attached(self) -> bool:
        """Has a socket to be told on."""
        return self.state in (State.JOINED, State.ACTIVE)

    @property
    def primary(self) -> Transport | None:
        """The transport whose coming up makes it ACTIVE and on which data packets go down (LIVEKIT.md 4.2)."""
        return self.subscriber if self.subscriber_primary else self.publisher

    @property
    def silent(self) -> bool:
        """Nothing is heard on one of its transports."""
        return any(t.silent for t in (self.publisher, self.subscriber) if t)

    def transports(self) -> list[tuple[str, Transport]]:
        """Its transports with what each is for."""
        if self.single:
            return [("single", self.publisher)] if self.publisher else []
        known = (("publisher", self.publisher), ("subscriber", self.subscriber))
        return [(role, transport) for role, transport in known if transport is not None]

    def transport(self, number: int) -> Transport | None:
        """Its transport of this number."""
        return next((t for t in (self.publisher, self.subscriber) if t and t.number == number), None)

    def track(self, sid: str) -> Track | None:
        """Its track, published or pending."""
        return self.tracks.get(sid) or next((t for t in self.pending.values() if t.sid == sid), None)

    def changed(self) -> None:
        """Counts a change that others must hear of."""
        self.version += 1
        self._info = None

    def info(self) -> ParticipantInfo:
        """The complete description (LIVEKIT.md 5.3). It is shared: do not alter it."""
        state = _ON_THE_WIRE[self.state]
        if self._info is not None and self._info.state == state:
            return self._info
        grants = self.joining.grants
        self._info = ParticipantInfo(
            sid=self.sid,
            identity=grants.identity,
            state=state,
            tracks=[track.info for track in self.tracks.values()],
            data_tracks=[track.info for track in self.data_tracks.values()],
            metadata=self.metadata,
            joined_at=int(self.joined_at),
            joined_at_ms=int(self.joined_at * 1000),
            name=self.name,
            version=self.version,
            permission=self.permission,
            region=self.region,
            is_publisher=bool(self.tracks),
            kind=grants.kind,
            kind_details=grants.kind_details,
            attributes=self.attributes,
            disconnect_reason=self.disconnect_reason,
            client_protocol=self.joining.client.client_protocol,
            capabilities=self.joining.client.capabilities,
        )
        return self._info
