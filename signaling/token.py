"""Access tokens (LIVEKIT.md 2): JSON Web Tokens signed with HS256 by an API key. Pure: `now` is Unix seconds."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, cast, get_args

import jwt
from google.protobuf.json_format import MessageToDict, ParseDict, ParseError
from livekit.protocol.models import ParticipantInfo, ParticipantPermission, TrackSource
from livekit.protocol.room import RoomConfiguration

from signaling.settings import Limits

# The header fixes nothing: this is the only algorithm that is tried (RFC 8725 section 3.1).
ALGORITHM = "HS256"
# Seconds by which the clocks of issuer and server may differ; LiveKit's figure.
LEEWAY = 60.0
# A refreshed token lives this long at least, in seconds: two refreshes of five minutes may go missing.
REFRESH_LIFETIME = 600.0
# The HTTP server takes no longer request line or header than 64 KiB; what is longer came by no way of ours.
MAX_TOKEN_LENGTH = 65536

Role = Literal["host", "cohost", "attendee"]
ROLES: tuple[Role, ...] = get_args(Role)

_KINDS = {name.lower(): cast("ParticipantInfo.Kind", value) for name, value in ParticipantInfo.Kind.items()}
_KIND_NAMES = {value: name for name, value in _KINDS.items()}
_KIND_DETAILS = {
    name.lower(): cast("ParticipantInfo.KindDetail", value) for name, value in ParticipantInfo.KindDetail.items()
}
_KIND_DETAIL_NAMES = {value: name for name, value in _KIND_DETAILS.items()}
_SOURCES = {name.lower(): cast("TrackSource", value) for name, value in TrackSource.items()}
_SOURCE_NAMES = {value: name for name, value in _SOURCES.items()}


class TokenError(Exception):
    """Root of what this module raises; the text is meant for the client."""


class TokenRefused(TokenError):
    """The request carries no right to what it asks for: HTTP 401."""


class ClaimRefused(TokenError):
    """The token is genuine and says something that cannot be: HTTP 400."""


@dataclass(frozen=True, slots=True)
class VideoGrant:
    """The `video` claim (LIVEKIT.md 2.2). None means that the claim was absent, where absence has a meaning."""

    room: str = ""
    room_create: bool = False
    room_list: bool = False
    room_record: bool = False
    room_admin: bool = False
    room_join: bool = False
    can_publish: bool | None = None
    can_subscribe: bool | None = None
    can_publish_data: bool | None = None
    can_publish_sources: tuple[str, ...] = ()
    can_update_own_metadata: bool | None = None
    can_subscribe_metrics: bool | None = None
    can_manage_agent_session: bool | None = None
    hidden: bool = False
    recorder: bool = False
    agent: bool = False
    ingress_admin: bool = False
    destination_room: str = ""

    def permission(self) -> ParticipantPermission:
        """What the participant may do, with the meaning of absent claims put in."""
        can_publish = self.can_publish is not False
        return ParticipantPermission(
            can_publish=can_publish,
            can_subscribe=self.can_subscribe is not False,
            can_publish_data=can_publish if self.can_publish_data is None else self.can_publish_data,
            can_publish_sources=[_SOURCES.get(name, TrackSource.UNKNOWN) for name in self.can_publish_sources],
            can_update_metadata=bool(self.can_update_own_metadata),
            can_subscribe_metrics=bool(self.can_subscribe_metrics),
            can_manage_agent_session=bool(self.can_manage_agent_session),
            hidden=self.hidden,
            recorder=self.recorder,
            agent=self.agent,
        )

    def with_permission(self, permission: ParticipantPermission) -> VideoGrant:
        """The grant that gives exactly this permission: for the token of a participant whose permission changed."""
        return replace(
            self,
            can_publish=permission.can_publish,
            can_subscribe=permission.can_subscribe,
            can_publish_data=permission.can_publish_data,
            can_publish_sources=tuple(_SOURCE_NAMES.get(s, "unknown") for s in permission.can_publish_sources),
            can_update_own_metadata=permission.can_update_metadata,
            can_subscribe_metrics=permission.can_subscribe_metrics,
            can_manage_agent_session=permission.can_manage_agent_session,
            hidden=permission.hidden,
            recorder=permission.recorder,
            agent=permission.agent,
        )


@dataclass(frozen=True, slots=True)
class Grants:
    """What a token claims. Times are Unix seconds; `issued_at` is 0.0 when the token tells neither iat nor nbf."""

    identity: str = ""
    name: str = ""
    kind: ParticipantInfo.Kind = ParticipantInfo.Kind.STANDARD
    kind_details: tuple[ParticipantInfo.KindDetail, ...] = ()
    metadata: str = ""
    attributes: Mapping[str, str] = field(default_factory=dict)
    video: VideoGrant = field(default_factory=VideoGrant)
    room_config: RoomConfiguration | None = None
    room_preset: str = ""
    sha256: str = ""
    role: Role = "attendee"
    issuer: str = ""
    issued_at: float = 0.0
    expires_at: float = 0.0


def read_role(text: object) -> Role:
    """The role of that name; what is no role is the ordinary one."""
    return next((role for role in ROLES if role == text), "attendee")


def verify(text: str, keys: Mapping[str, str], now: float) -> Grants:
    """The claims of a token that one of `keys` (key id -> secret) signed and whose time is now.

    Raises TokenRefused, in LiveKit's words.
    """
    return _grants(read_claims(text, keys, now))


def read_claims(text: str, keys: Mapping[str, str], now: float) -> dict[str, Any]:
    """What a token of whatever use says, if one of `keys` signed it and its time is now. Raises TokenRefused."""
    if len(text) > MAX_TOKEN_LENGTH:
        raise TokenRefused(f"invalid authorization token: {len(text)} characters, at most {MAX_TOKEN_LENGTH} expected")
    issuer = _decode(text, "", signed=False).get("iss")
    secret = keys.get(issuer) if isinstance(issuer, str) else None
    if not secret:
        raise TokenRefused("invalid API key")
    claims = _decode(text, secret, signed=True)
    _check_times(claims, now)
    return claims


def check_join(grants: Grants | None, limits: Limits) -> None:
    """Whether these claims let somebody join `grants.video.room`.

    Raises TokenRefused without the right to, ClaimRefused where identity, names or sizes are not what a room takes.
    """
    if grants is None:
        raise TokenRefused("no permissions to access the room")
    if not grants.video.room_join:
        raise TokenRefused("permissions denied")
    if not grants.video.room:
        raise ClaimRefused("no room name")
    if not grants.identity:
        raise ClaimRefused("identity cannot be empty")
    check_room_name(grants.video.room, limits)
    check_identity(grants.identity, limits)
    _check_text("participant name", grants.name, limits.max_name_length)
    check_metadata(grants.metadata, limits)
    check_attributes(grants.attributes, limits)
    if grants.room_config is not None:
        _check_size("room metadata size", len(grants.room_config.metadata.encode()), limits.max_metadata_size)


def check_room_name(name: str, limits: Limits) -> None:
    """Raises ClaimRefused for a name that is too long or holds a NUL."""
    _check_text("room name", name, limits.max_room_name_length)


def check_identity(identity: str, limits: Limits) -> None:
    """Raises ClaimRefused for an identity that is too long or holds a NUL."""
    _check_text("participant identity", identity, limits.max_identity_length)


def check_attributes(attributes: Mapping[str, str], limits: Limits) -> None:
    """Raises ClaimRefused when keys and values together are over the limit."""
    size = sum(len(key.encode()) + len(value.encode()) for key, value in attributes.items())
    _check_size("attribute size", size, limits.max_attributes_size)


def check_metadata(metadata: str, limits: Limits) -> None:
    """Raises ClaimRefused when it is over the limit."""
    _check_size("metadata size", len(metadata.encode()), limits.max_metadata_size)


def check_not_revoked(grants: Grants, revoked_before: float) -> None:
    """Raises TokenRefused for a token issued before the time at which this identity's tokens were revoked."""
    if grants.issued_at < revoked_before:
        raise TokenRefused("invalid authorization token: token is revoked")


def mint(grants: Grants, key: str, secret: str, now: float, lifetime: float) -> str:
    """A token with these claims, good for `lifetime` seconds; issuer and times of `grants` are not looked at."""
    optional: dict[str, Any] = {
        "sub": grants.identity,
        "name": grants.name,
        "kind": _KIND_NAMES[grants.kind] if grants.kind else "",
        "kindDetails": [_KIND_DETAIL_NAMES[detail] for detail in grants.kind_details],
        "metadata": grants.metadata,
        "attributes": dict(grants.attributes),
        "video": _video_claim(grants.video),
        "roomConfig": MessageToDict(grants.room_config) if grants.room_config else None,
        "roomPreset": grants.room_preset,
        "sha256": grants.sha256,
        "veche": {"role": grants.role} if grants.role != "attendee" else None,
    }
    return sign({name: value for name, value in optional.items() if value}, key, secret, now, lifetime)


def sign(claims: Mapping[str, Any], key: str, secret: str, now: float, lifetime: float) -> str:
    """A token that says this, good for `lifetime` seconds."""
    issued = math.floor(now)
    times = {"iss": key, "iat": issued, "nbf": issued, "exp": math.ceil(now + lifetime)}
    return jwt.encode({**times, **claims}, secret, algorithm=ALGORITHM)


def refresh(grants: Grants, key: str, secret: str, now: float) -> str:
    """A newer token with the same content (LIVEKIT.md 2.6): ten minutes, or what the old one has left."""
    return mint(grants, key, secret, now, max(REFRESH_LIFETIME, grants.expires_at - now))


def _decode(text: str, secret: str, *, signed: bool) -> dict[str, Any]:
    # PyJWT reads the clock itself; times are ours to check, against `now`.
    options: Any = {"verify_signature": signed} | dict.fromkeys(
        ("verify_exp", "verify_nbf", "verify_iat", "verify_aud", "verify_iss", "verify_sub", "verify_jti"), False
    )
    try:
        return jwt.decode(text, secret, algorithms=[ALGORITHM], options=options)
    except jwt.InvalidSignatureError:
        raise TokenRefused("invalid authorization token: signature is invalid") from None
    except (jwt.PyJWTError, ValueError, RecursionError) as error:
        why = str(error).rstrip(".") or type(error).__name__
        raise TokenRefused(f"invalid authorization token: {why}") from None


def _check_times(claims: dict[str, Any], now: float) -> None:
    expires = _time(claims, "exp")
    not_before = _time(claims, "nbf")
    if expires is None:
        raise TokenRefused("invalid authorization token: token has no expiry (exp)")
    if now > expires + LEEWAY:
        raise TokenRefused("invalid authorization token: token is expired (exp)")
    if not_before is not None and now < not_before - LEEWAY:
        raise TokenRefused("invalid authorization token: token not valid yet (nbf)")


def _grants(claims: dict[str, Any]) -> Grants:
    issued = _time(claims, "iat")
    if issued is None:
        issued = _time(claims, "nbf")
    attributes = _object(claims, "attributes")
    return Grants(
        identity=_text(claims, "sub") or _text(claims, "jti"),
        name=_text(claims, "name"),
        kind=_KINDS.get(_text(claims, "kind").lower(), ParticipantInfo.Kind.STANDARD),
        kind_details=tuple(_KIND_DETAILS[d] for d in _texts(claims, "kindDetails") if d in _KIND_DETAILS),
        metadata=_text(claims, "metadata"),
        attributes={_unicode("attributes", key): _text(attributes, key) for key in attributes},
        video=_video(_object(claims, "video")),
        room_config=_room_config(_object(claims, "roomConfig")),
        room_preset=_text(claims, "roomPreset"),
        sha256=_text(claims, "sha256"),
        role=read_role(_object(claims, "veche").get("role")),
        issuer=_text(claims, "iss"),
        issued_at=issued or 0.0,
        expires_at=_time(claims, "exp") or 0.0,
    )


def _video(claim: dict[str, Any]) -> VideoGrant:
    return VideoGrant(
        room=_text(claim, "room"),
        room_create=_flag(claim, "roomCreate") is True,
        room_list=_flag(claim, "roomList") is True,
        room_record=_flag(claim, "roomRecord") is True,
        room_admin=_flag(claim, "roomAdmin") is True,
        room_join=_flag(claim, "roomJoin") is True,
        can_publish=_flag(claim, "canPublish"),
        can_subscribe=_flag(claim, "canSubscribe"),
        can_publish_data=_flag(claim, "canPublishData"),
        can_publish_sources=tuple(_texts(claim, "canPublishSources")),
        can_update_own_metadata=_flag(claim, "canUpdateOwnMetadata"),
        can_subscribe_metrics=_flag(claim, "canSubscribeMetrics"),
        can_manage_agent_session=_flag(claim, "canManageAgentSession"),
        hidden=_flag(claim, "hidden") is True,
        recorder=_flag(claim, "recorder") is True,
        agent=_flag(claim, "agent") is True,
        ingress_admin=_flag(claim, "ingressAdmin") is True,
        destination_room=_text(claim, "destinationRoom"),
    )


def _video_claim(video: VideoGrant) -> dict[str, Any]:
    claim: dict[str, Any] = {
        "room": video.room or None,
        "roomCreate": video.room_create or None,
        "roomList": video.room_list or None,
        "roomRecord": video.room_record or None,
        "roomAdmin": video.room_admin or None,
        "roomJoin": video.room_join or None,
        "canPublish": video.can_publish,
        "canSubscribe": video.can_subscribe,
        "canPublishData": video.can_publish_data,
        "canPublishSources": list(video.can_publish_sources) or None,
        "canUpdateOwnMetadata": video.can_update_own_metadata,
        "canSubscribeMetrics": video.can_subscribe_metrics,
        "canManageAgentSession": video.can_manage_agent_session,
        "hidden": video.hidden or None,
        "recorder": video.recorder or None,
        "agent": video.agent or None,
        "ingressAdmin": video.ingress_admin or None,
        "destinationRoom": video.destination_room or None,
    }
    return {name: value for name, value in claim.items() if value is not None}


def _room_config(claim: dict[str, Any]) -> RoomConfiguration | None:
    if not claim:
        return None
    try:
        return ParseDict(claim, RoomConfiguration(), ignore_unknown_fields=True, max_recursion_depth=20)
    except (ParseError, ValueError, RecursionError) as error:
        raise TokenRefused(f"invalid authorization token: claim roomConfig: {error}") from None


def _text(claims: dict[str, Any], name: str) -> str:
    value = claims.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise _wrong(name, "a string", value)
    return _unicode(name, value)


def _unicode(name: str, value: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError:
        raise TokenRefused(f"invalid authorization token: claim {name} is not valid Unicode") from None
    return value


def _texts(claims: dict[str, Any], name: str) -> list[str]:
    value = claims.get(name)
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise _wrong(name, "a list of strings", value)
    return [_unicode(name, item) for item in value]


def _flag(claims: dict[str, Any], name: str) -> bool | None:
    value = claims.get(name)
    if value is not None and not isinstance(value, bool):
        raise _wrong(name, "true or false", value)
    return value


def _object(claims: dict[str, Any], name: str) -> dict[str, Any]:
    value = claims.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise _wrong(name, "an object", value)
    return value


def _time(claims: dict[str, Any], name: str) -> float | None:
    value = claims.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _wrong(name, "seconds", value)
    try:
        seconds = float(value)
    except OverflowError:
        seconds = math.inf
    if not math.isfinite(seconds):
        raise TokenRefused(f"invalid authorization token: claim {name} is not a finite number")
    return seconds


def _wrong(name: str, expected: str, value: object) -> TokenRefused:
    return TokenRefused(f"invalid authorization token: claim {name} must be {expected}, not {type(value).__name__}")


def _check_text(what: str, text: str, limit: int) -> None:
    if "\0" in text:
        raise ClaimRefused(f"{what} holds a NUL character")
    _check_size(f"{what} length", len(text.encode()), limit)


def _check_size(what: str, size: int, limit: int) -> None:
    if limit and size > limit:
        raise ClaimRefused(f"{what} exceeds limits: {size} bytes, limit {limit}")
