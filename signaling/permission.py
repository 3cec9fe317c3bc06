"""What a participant may do now, and who may receive whose tracks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from livekit.protocol.models import ParticipantInfo, ParticipantPermission, TrackSource
from livekit.protocol.rtc import SubscriptionPermission

from signaling.errors import InvalidArgument
from signaling.token import Role

# Attributes under this prefix come from the token's own signed claim and nowhere else.
RESERVED_PREFIX = "veche."
ROLE_ATTRIBUTE = "veche.role"

_MEDIA_SOURCES = (
    TrackSource.CAMERA,
    TrackSource.MICROPHONE,
    TrackSource.SCREEN_SHARE,
    TrackSource.SCREEN_SHARE_AUDIO,
    TrackSource.UNKNOWN,
)


def may_publish(permission: ParticipantPermission, source: TrackSource) -> bool:
    """Whether a track of this source may be published; no list of sources means all."""
    if not permission.can_publish or source not in _MEDIA_SOURCES:
        return False
    return not permission.can_publish_sources or source in permission.can_publish_sources


def starting_attributes(claimed: Mapping[str, str], role: Role) -> dict[str, str]:
    """The token's attributes without reserved ones; the role is there unless it is the ordinary one."""
    attributes = {key: text for key, text in claimed.items() if text and not key.startswith(RESERVED_PREFIX)}
    return with_role(attributes, role)


def with_role(attributes: Mapping[str, str], role: Role) -> dict[str, str]:
    """The attributes of one who has this role."""
    others = {key: text for key, text in attributes.items() if key != ROLE_ATTRIBUTE}
    return others if role == "attendee" else {**others, ROLE_ATTRIBUTE: role}


_DEPENDENT_KINDS = frozenset((ParticipantInfo.Kind.AGENT, ParticipantInfo.Kind.EGRESS))


def is_dependent(kind: ParticipantInfo.Kind, permission: ParticipantPermission) -> bool:
    """Recorders and agents: they neither count for the size of a room nor keep it open (LIVEKIT.md 2.3)."""
    return kind in _DEPENDENT_KINDS or permission.agent or permission.recorder


@dataclass(frozen=True, slots=True)
class Audience:
    """Whom a publisher lets receive its tracks, by identity; `None` of `listed` is everybody (LIVEKIT.md 5.1, 11)."""

    listed: Mapping[str, frozenset[str] | None] | None = None
    """Identity to track sids, None for all tracks."""

    def admits(self, identity: str, track_sid: str) -> bool:
        """Whether the identity may receive the track."""
        if self.listed is None:
            return True
        if identity not in self.listed:
            return False
        sids = self.listed[identity]
        return sids is None or track_sid in sids


def audience_of(request: SubscriptionPermission, identities: Mapping[str, str]) -> Audience:
    """Reads a `subscription_permission`; `identities` is sid to identity of those present.

    Raises InvalidArgument for an entry that names nobody: the state before it stays.
    """
    if request.all_participants:
        return Audience()
    listed: dict[str, frozenset[str] | None] = {}
    for entry in request.track_permissions:
        identity = entry.participant_identity or identities.get(entry.participant_sid, "")
        if not identity:
            raise InvalidArgument("a track permission names neither an identity nor a participant who is here")
        before = listed.get(identity, frozenset())
        listed[identity] = None if entry.all_tracks or before is None else before | frozenset(entry.track_sids)
    return Audience(listed)
