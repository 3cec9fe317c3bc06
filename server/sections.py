"""The sections of the settings, each one table of the file. The text under each field is its manual."""

from __future__ import annotations

import ipaddress
import json
import re
from email.utils import parseaddr
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator
from yarl import URL

from server.meeting_settings import LobbyPolicy
from server.origins import clean_origins
from signaling import settings as node_settings

Port = Annotated[int, Field(ge=1, le=65535)]
OptionalPort = Annotated[int, Field(ge=0, le=65535)]
Count = Annotated[int, Field(ge=0)]
Small = Annotated[int, Field(ge=0, lt=2**32)]
"""A number that the protocol has 32 bits for."""
Rate = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Words = tuple[str, ...]


class Section(BaseModel):
    """One table of the file."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, hide_input_in_errors=True)


def split_words(value: object) -> object:
    """Lists come from variables as text: words between commas or white space, or a JSON list."""
    if not isinstance(value, str):
        return value
    return tuple(word for word in re.split(r'[\s,\[\]"]+', value) if word)


def _read_json(value: object, takes: str) -> object:
    """Tables come from variables as JSON. Raises ValueError with `takes` where a text is none."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        raise ValueError(takes) from None


def check_address(value: str) -> str:
    """An IP literal in its usual form. Raises ValueError saying what is taken."""
    try:
        return str(ipaddress.ip_address(value))
    except ValueError:
        raise ValueError("an IP address such as 192.0.2.7 or 2001:db8::7") from None


def check_network(value: str) -> str:
    """A network in CIDR form. Raises ValueError saying what is taken."""
    try:
        return str(ipaddress.ip_network(value))
    except ValueError:
        raise ValueError(f"addresses or networks such as 10.0.0.0/8; {value} is none") from None


class Http(Section):
    """Pages, API and signalling."""

    host: str = "0.0.0.0"
    """Address to listen on; `::` is every IPv6 and IPv4 address."""
    port: Port = 8080
    """Port of plain HTTP: for SDKs, for localhost, and for a reverse proxy that ends TLS."""
    tls_port: OptionalPort = 8443
    """Port of HTTPS; 0 turns it off, and then pages are not redirected to it."""
    cert: Path | None = None
    """PEM file with the certificate chain; without it a self-signed one is made in the data folder."""
    key: Path | None = None
    """PEM file with the certificate's private key."""
    trusted_proxies: Words = ()
    """Addresses or networks (CIDR) whose X-Forwarded-For, -Proto and -Host are believed."""
    url: str = ""
    """Address of the service for people, `https://HOST`, in letters and calendars; else this machine's."""

    _split = field_validator("trusted_proxies", mode="before")(split_words)

    @field_validator("host")
    @classmethod
    def _host_is_an_address(cls, value: str) -> str:
        return check_address(value)

    @field_validator("url")
    @classmethod
    def _is_an_address(cls, value: str) -> str:
        try:
            parsed = URL(value)
            is_bare = parsed.scheme in ("http", "https") and parsed.host and URL(value).origin() == parsed.with_path("")
        except ValueError:
            is_bare = False
        if value and not is_bare:
            raise ValueError("https://host or https://host:port, without a path")
        return value.rstrip("/")

    @field_validator("trusted_proxies")
    @classmethod
    def _proxies_are_networks(cls, value: Words) -> Words:
        return tuple(check_network(network) for network in value)

    @model_validator(mode="after")
    def _both_or_none(self) -> Http:
        if (self.cert is None) != (self.key is None):
            raise ValueError("http.cert and http.key belong together: set both or none")
        if self.port == self.tls_port:
            raise ValueError(f"http.port and http.tls_port are both {self.port}: two different ports")
        return self


class TurnServer(Section):
    """A TURN server of the operator's."""

    host: Annotated[str, Field(pattern=r"^[A-Za-z0-9._:-]{1,253}$")]
    """Its name or IP address, as clients reach it."""
    port: Port
    protocol: Literal["udp", "tcp", "tls"]
    """How clients reach it."""
    secret: str = Field("", repr=False)
    """What it and this service share, to make credentials for each participant."""
    secret_file: Path | None = None
    """A file with the secret in it, read at the start."""
    ttl: Annotated[int, Field(ge=60, le=604800)] = 14400
    """Seconds for which those hold."""
    username: str = ""
    """For a server without a secret: the same for everybody."""
    credential: str = Field("", repr=False)

    @model_validator(mode="after")
    def _has_credentials(self) -> TurnServer:
        given = (self.secret, self.secret_file, self.username or self.credential)
        if sum(map(bool, given)) != 1:
            raise ValueError("either a secret, or secret_file, or username and credential")
        if bool(self.username) != bool(self.credential):
            raise ValueError("a username with its credential")
        return self


class Rtc(Section):
    """Media."""

    udp_port: Port = 7882
    """The one UDP port of all media."""
    tcp_port: OptionalPort = 7881
    """The one TCP port of all media, for clients that UDP does not reach; 0 turns it off."""
    addresses: Words = ()
    """IP addresses that clients are told to send media to; by default those of this machine's interfaces."""
    shards: Annotated[int, Field(ge=0, le=256)] = 0
    """Media threads; 0 is one for each core."""
    idle_timeout: Annotated[float, Field(ge=5, le=600, allow_inf_nan=False)] = 30.0
    """Seconds without a sign of life from a client after which its session ends."""
    allow_pause: bool = True
    """Video without room on its receiver's path may be paused where the client does not say; else its least is sent."""
    datachannel_slow_threshold: Count = 0
    """Bits a second below which a receiver of reliable data is skipped; 0 waits for it."""
    turn_servers: tuple[TurnServer, ...] = ()
    """TURN servers that clients are told of: a list of tables with `host`, `port`, `protocol` (udp, tcp, tls) and
    either `secret`, or `secret_file` with the secret in it, and perhaps `ttl` (14400), or `username` and `credential`;
    in a variable a JSON list."""
    captures: bool = False
    """Whether the API may write the headers of one participant's packets to the data folder, for support cases."""

    _split = field_validator("addresses", mode="before")(split_words)

    @field_validator("turn_servers", mode="before")
    @classmethod
    def _servers_are_a_list(cls, value: object) -> object:
        return _read_json(value, "a JSON list with one object for each server")

    @field_validator("addresses")
    @classmethod
    def _addresses_are_usable(cls, value: Words) -> Words:
        parsed = [ipaddress.ip_address(check_address(address)) for address in value]
        for address in parsed:
            if address.is_unspecified or address.is_multicast:
                raise ValueError(f"addresses that a client can send to; {address} is not one")
        return tuple(str(address) for address in parsed)


class AgentDispatch(Section):
    """An agent that a room is to have."""

    agent_name: str = ""
    metadata: str = ""


class RoomPreset(Section):
    """What rooms are like that are made under a name; 0 and empty texts leave it to the section `room`."""

    empty_timeout: Small = 0
    departure_timeout: Small = 0
    max_participants: Small = 0
    sync_streams: bool = False
    metadata: str = ""
    agents: tuple[AgentDispatch, ...] = ()


class Room(Section):
    """What holds for rooms whose maker said nothing else."""

    auto_create: bool = True
    """Whether joining a room that does not exist makes it."""
    empty_timeout: Small = 300
    """Seconds that a room stays which nobody has joined yet."""
    departure_timeout: Small = 20
    """Seconds that a room stays after the last participant has left."""
    max_participants: Small = 0
    """Most participants of a room; 0 is no limit."""
    enabled_codecs: Words = node_settings.DEFAULT_CODECS
    """MIME types that may be published, the preferred first."""
    enable_remote_unmute: bool = False
    """Whether the room API may unmute a participant's track."""
    sync_streams: bool = False
    """Whether receivers play the sound and picture of one participant in step, where that delays the sound too."""
    enable_full_room_in_webhooks: bool = False
    """Whether webhooks about tracks hold the whole room, not only its sid and name."""

    room_configurations: dict[str, RoomPreset] = {}
    """Presets by name, which a token (`roomPreset`) or CreateRoom (`room_preset`) asks for: tables with
    `empty_timeout`, `departure_timeout`, `max_participants`,
    `sync_streams`, `metadata` and `agents`; in a variable a JSON object."""

    _split = field_validator("enabled_codecs", mode="before")(split_words)

    @field_validator("room_configurations", mode="before")
    @classmethod
    def _presets_are_a_table(cls, value: object) -> object:
        return _read_json(value, "a JSON object with one object for each preset")

    @field_validator("enabled_codecs")
    @classmethod
    def _codecs_are_known(cls, value: Words) -> Words:
        unknown = [codec for codec in value if codec not in node_settings.DEFAULT_CODECS]
        if unknown or not value:
            raise ValueError(
                f"one or more of {', '.join(node_settings.DEFAULT_CODECS)}, not {', '.join(unknown) or 'none'}"
            )
        return value


WEBHOOK_EVENTS = (
    *("room_started", "room_finished"),
    *("participant_joined", "participant_left", "participant_connection_aborted"),
    *("track_published", "track_unpublished"),
)
"""Names of the events that are told. Filters may name those of egress and the like too, which do not occur here."""
_OTHER_EVENTS = (
    *("egress_started", "egress_updated", "egress_ended", "ingress_started", "ingress_ended"),
    *("agent_job_started", "agent_job_ended"),
)


class FilterParams(Section):
    """Which room events are told."""

    include_events: Words = ()
    """Names of the only events to send, such as `participant_joined`; empty is all."""
    exclude_events: Words = ()
    """Names of events not to send; without effect where `include_events` is set."""

    _split = field_validator("include_events", "exclude_events", mode="before")(split_words)

    @field_validator("include_events", "exclude_events")
    @classmethod
    def _events_are_known(cls, value: Words) -> Words:
        unknown = [name for name in value if name not in (*WEBHOOK_EVENTS, *_OTHER_EVENTS)]
        if unknown:
            raise ValueError(f"names among {', '.join(WEBHOOK_EVENTS)}; {unknown[0]} is none")
        return value


class Webhook(Section):
    """Messages to other services about room life."""

    urls: Words = ()
    """Addresses (http:// or https://) that are told of room events, each of all."""
    api_key: str = ""
    """API key whose secret signs them; needed where there are addresses."""
    filter_params: FilterParams = FilterParams()
    allow_networks: Words = ()
    """Networks such as `10.0.0.0/8` to which webhooks of the API may be sent, beside the public internet."""

    _split = field_validator("urls", "allow_networks", mode="before")(split_words)

    @field_validator("allow_networks")
    @classmethod
    def _networks_are_such(cls, value: Words) -> Words:
        for text in value:
            try:
                ipaddress.ip_network(text)
            except ValueError as error:
                raise ValueError(f"networks such as 10.0.0.0/8 or fd00::/8: {error}") from None
        return value

    @field_validator("urls")
    @classmethod
    def _urls_are_addresses(cls, value: Words) -> Words:
        for url in value:
            try:
                parsed = URL(url)
                sound = parsed.scheme in ("http", "https") and bool(parsed.host)
            except ValueError:
                sound = False
            # The address may hold a password: it is not shown.
            if not sound:
                raise ValueError("addresses that begin with http:// or https:// and name a host")
        return tuple(dict.fromkeys(value))


_LIMITS = node_settings.Limits()


class Limit(Section):
    """What one client, room or node may use. 0 is no limit unless the text says otherwise."""

    bytes_per_sec: Count = _LIMITS.bytes_per_sec
    """Bytes a second through this node, in and out together, beyond which joins are refused with 503."""
    num_tracks: Count = _LIMITS.num_tracks
    """Published tracks on this node beyond which joins are refused with 503."""
    tracks_per_participant: Count = _LIMITS.tracks_per_participant
    """Tracks that one participant may publish."""
    subscription_limit_video: Count = _LIMITS.subscription_limit_video
    """Video tracks that one participant may receive."""
    subscription_limit_audio: Count = _LIMITS.subscription_limit_audio
    """Audio tracks that one participant may receive."""
    max_participant_identity_length: Count = _LIMITS.max_identity_length
    """Bytes of an identity."""
    max_participant_name_length: Count = _LIMITS.max_name_length
    """Bytes of a participant's name."""
    max_room_name_length: Count = _LIMITS.max_room_name_length
    """Bytes of a room's name."""
    max_metadata_size: Count = _LIMITS.max_metadata_size
    """Bytes of the metadata of a room or participant."""
    max_attributes_size: Count = _LIMITS.max_attributes_size
    """Bytes of all attributes of a participant."""
    max_data_blobs_size: Count = _LIMITS.max_data_blobs_size
    """Bytes of all data blobs of a participant, keys included."""
    signal_message_size_limit: Annotated[int, Field(ge=65536)] = _LIMITS.signal_message_size
    """Bytes of the largest signalling message."""
    signal_messages_per_second: Rate = _LIMITS.signal_messages_per_second
    """Signalling messages a second that one client may send for long."""
    signal_message_burst: Count = _LIMITS.signal_message_burst
    """Signalling messages that one client may send at once."""
    signal_queue_size: Annotated[int, Field(ge=65536)] = _LIMITS.signal_queue_size
    """Bytes that may wait for a client that does not read; then it is disconnected."""
    data_messages_per_second: Rate = _LIMITS.data_messages_per_second
    """Data packets a second that one participant may send for long; what is above is dropped."""
    data_message_burst: Count = _LIMITS.data_message_burst
    """Data packets that one participant may send at once."""
    failed_joins_per_minute: Count = 20
    """Wrong codes from one address in a minute; then 429. Valid joins are not counted."""
    new_meetings_per_minute: Count = 60
    """Meetings made from one address in a minute; then 429."""
    lobby_size: Annotated[int, Field(ge=2)] = 500
    """People who may wait to be let into one meeting; one address may be half of them."""
    api_requests_per_second: Rate = 50
    """Requests a second that one API key may make of one node, as many at once; then 429."""


class Redis(Section):
    """Live state of several nodes."""

    url: str = Field(default="", repr=False)
    """`redis://`, `rediss://` or `unix://` address; empty keeps live rooms in memory, for a service of one node."""

    @field_validator("url")
    @classmethod
    def _scheme(cls, value: str) -> str:
        if value and not value.startswith(("redis://", "rediss://", "unix://")):
            raise ValueError("an address that begins with redis://, rediss:// or unix://")
        return value


class DatabaseSection(Section):
    """What lasts: meetings and accounts."""

    url: str = Field(default="", repr=False)
    """`sqlite:///` and a path, or `postgresql://user:password@host/name`; empty is `veche.sqlite3` in the folder."""

    @field_validator("url")
    @classmethod
    def _scheme(cls, value: str) -> str:
        if value and not value.startswith(("sqlite:///", "postgresql://")):
            raise ValueError("an address that begins with sqlite:/// or postgresql://")
        return value


class AccountsSection(Section):
    """Who may do what without an account, and with one."""

    create_meetings: Literal["anyone", "members", "hosts"] = "anyone"
    """Who may make meetings: `anyone`, whoever is signed in (`members`), or accounts with the role host or
    administrator (`hosts`)."""
    guests: bool = True
    """Whether people without an account may join meetings."""


class MeetingsSection(Section):
    """What new meetings start with (their hosts may choose otherwise, where nothing is required), and what is kept."""

    lobby: LobbyPolicy = "off"
    """Who waits until a host lets them in: nobody (`off`), people without an account (`guests`), or everybody but the
    hosts (`all`)."""
    join_before_host: bool = True
    """Whether people come in while no host is there; else they wait until one has come."""
    passcode: Literal["optional", "required"] = "optional"
    """Whether new meetings have a passcode always (`required`), those made by one click too, or as their host likes."""
    embed_origins: Words = ()
    """Other sites whose pages may hold new meetings in an iframe, each as `https://` and its host; none by default."""
    attendance_days: Annotated[int, Field(ge=0, le=36500)] = 0
    """Days for which it is kept who was in a meeting, after that has ended; 0 keeps it as long as the meeting."""

    _split = field_validator("embed_origins", mode="before")(split_words)

    @field_validator("embed_origins")
    @classmethod
    def _are_origins(cls, value: Words) -> Words:
        return clean_origins(value)


class Mail(Section):
    """Outgoing mail: invitations to the service and links for forgotten passwords. Without it links are handed over."""

    url: str = Field(default="", repr=False)
    """`smtp://user:password@host:port` of the mail server, with STARTTLS where it offers that; `smtps://` for TLS."""
    sender: str = Field(default="", alias="from", validate_default=True)
    """Address that mail comes from."""

    @field_validator("url")
    @classmethod
    def _names_a_mail_server(cls, value: str) -> str:
        parts = urlsplit(value)
        if value and (parts.scheme not in ("smtp", "smtps") or not parts.hostname):
            raise ValueError("smtp://host:port or smtps://host:port, with user:password@ before the host where needed")
        return value

    @field_validator("sender")
    @classmethod
    def _is_there_with_a_server(cls, value: str, info: ValidationInfo) -> str:
        if info.data.get("url") and "@" not in parseaddr(value)[1]:
            raise ValueError("the address that mail comes from, where mail.url is set")
        return value


class Metrics(Section):
    """Figures for Prometheus, at /metrics of a listener of its own."""

    host: str = "127.0.0.1"
    """Address to listen on: metrics are not for the public."""
    port: OptionalPort = 0
    """Port to listen on; 0 turns metrics off."""

    @field_validator("host")
    @classmethod
    def _host_is_an_address(cls, value: str) -> str:
        return check_address(value)


class Log(Section):
    """What is written to standard error."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """Least severe level that is written; re-read on SIGHUP."""
    as_json: bool = Field(default=False, alias="json")
    """Whether each line is a JSON object."""
