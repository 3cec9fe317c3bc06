"""Rules: what a room lets attendees do, and what its metadata says of that. Hosts and co-hosts are exempt.

They stand in the protocol's own room metadata, as JSON beside what an application keeps there, so that every SDK can
read them and who joins later has them at once:

    {"veche": {"locked": false, "muteOnEntry": false, "allow": ["unmute", "video", ...], "spotlight": []}}

A room whose metadata has no such key has no rules.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

from livekit.protocol.models import ParticipantPermission, TrackSource

from signaling.errors import InvalidArgument

KEY = "veche"
ALLOWANCES = ("unmute", "video", "share", "chat", "rename")
"""What attendees can be allowed: sound, a camera, a screen, chat, and another name for themselves."""
SPOTLIGHTS = 9
"""How many can be in the spotlight: a stage has no room for more."""

# What a track needs by what it is said to show. What says nothing could be anything.
_NEEDED = {
    TrackSource.CAMERA: frozenset(("video",)),
    TrackSource.MICROPHONE: frozenset(("unmute",)),
    TrackSource.SCREEN_SHARE: frozenset(("share",)),
    TrackSource.SCREEN_SHARE_AUDIO: frozenset(("share", "unmute")),
    TrackSource.UNKNOWN: frozenset(("unmute", "video", "share")),
}
_SOUND_SOURCES = (TrackSource.MICROPHONE, TrackSource.SCREEN_SHARE_AUDIO)


@dataclass(frozen=True, slots=True)
class Rules:
    """What holds for attendees."""

    locked: bool = False
    """Nobody comes in who isn't in."""
    mute_on_entry: bool = False
    """A microphone that somebody comes in with is muted."""
    allow: frozenset[str] = frozenset(ALLOWANCES)
    """Of ALLOWANCES."""
    spotlight: tuple[str, ...] = ()
    """Identities that everybody sees large."""

    def __post_init__(self) -> None:
        unknown = sorted(self.allow - set(ALLOWANCES))
        if unknown:
            raise InvalidArgument(f"allow: got {unknown[0]!r}, takes {', '.join(ALLOWANCES)}")
        if len(self.spotlight) > SPOTLIGHTS:
            raise InvalidArgument(f"spotlight: got {len(self.spotlight)} identities, takes {SPOTLIGHTS} at most")

    @staticmethod
    def read(metadata: str) -> Rules | None:
        """The rules in a room's metadata, None for a room without. Raises InvalidArgument for what no rules can be."""
        found = _object(metadata)
        if found is None or KEY not in found:
            return None
        said = found[KEY]
        if not isinstance(said, dict):
            raise InvalidArgument(f"metadata: {KEY} takes an object, got {_kind(said)}")
        return Rules(
            locked=_flag(said, "locked"),
            mute_on_entry=_flag(said, "muteOnEntry"),
            allow=frozenset(_texts(said, "allow", ALLOWANCES)),
            spotlight=tuple(dict.fromkeys(_texts(said, "spotlight", ()))),
        )

    def written(self, metadata: str) -> str:
        """The metadata with these rules in it. Raises InvalidArgument where it has no place for them."""
        found = _object(metadata) if metadata else {}
        if found is None:
            raise InvalidArgument("metadata: a room with rules takes a JSON object, got other text")
        found[KEY] = {
            "locked": self.locked,
            "muteOnEntry": self.mute_on_entry,
            "allow": [word for word in ALLOWANCES if word in self.allow],
            "spotlight": list(self.spotlight),
        }
        return json.dumps(found, separators=(",", ":"))

    def with_allowed(self, words: Iterable[str]) -> Rules:
        """The rules for one to whom more is allowed than to others."""
        return replace(self, allow=self.allow.union(words))

    def permits(self, kind: str, source: TrackSource) -> bool:
        """Whether a track may be published: "audio" or "video", and what it is said to show.

        Who may not unmute is not heard, whatever the track is called.
        """
        needed = _NEEDED.get(source, _NEEDED[TrackSource.UNKNOWN])
        if kind == "audio":
            needed |= {"unmute"}
        elif source in _SOUND_SOURCES:
            needed |= {"video"}
        return needed <= self.allow

    def within(self, granted: ParticipantPermission) -> ParticipantPermission:
        """What is left of a permission: sources that the rules close are not in it."""
        if not granted.can_publish or self.allow >= _NEEDED[TrackSource.UNKNOWN]:
            return granted
        sources = list(granted.can_publish_sources) or list(_NEEDED)
        left = ParticipantPermission()
        left.CopyFrom(granted)
        left.can_publish_sources[:] = [
            source for source in sources if _NEEDED.get(source, _NEEDED[TrackSource.UNKNOWN]) <= self.allow
        ]
        left.can_publish = bool(left.can_publish_sources)
        return left


RulesChange = Callable[[Rules], Rules]
"""Makes other rules of those of now."""


def _object(metadata: str) -> dict[str, Any] | None:
    try:
        found = json.loads(metadata)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _flag(said: dict[str, Any], name: str) -> bool:
    value = said.get(name, False)
    if not isinstance(value, bool):
        raise InvalidArgument(f"metadata: {KEY}.{name} takes true or false, got {_kind(value)}")
    return value


def _texts(said: dict[str, Any], name: str, absent: Iterable[str]) -> list[str]:
    value = said.get(name, list(absent))
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise InvalidArgument(f"metadata: {KEY}.{name} takes a list of texts, got {_kind(value)}")
    return value


def _kind(value: object) -> str:
    names = {dict: "an object", list: "a list", str: "a text", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")
