"""Standing: what hosts have decided of one identity. It outlives that identity's sessions, and ends with the room."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from livekit.protocol.models import Room as RoomInfo

from signaling.token import Role, read_role


@dataclass(frozen=True, slots=True)
class Standing:
    """What holds for an identity in a room, whatever its token says."""

    role: Role | None = None
    """Given here; None where it is what the token says."""
    name: str = ""
    """Given here by a host; "" where it is what the token says."""
    allowed: frozenset[str] = frozenset()
    """What it is allowed beyond what attendees are: of rules.ALLOWANCES."""
    kept_out: bool = False
    """It was removed and does not come back."""

    @property
    def is_plain(self) -> bool:
        """Nothing was decided: it need not be kept."""
        return self == Standing()

    def written(self) -> str:
        """As text, for a store."""
        said = {"role": self.role, "name": self.name, "allowed": sorted(self.allowed), "keptOut": self.kept_out}
        return json.dumps(said, separators=(",", ":"))

    @staticmethod
    def read(text: str | bytes) -> Standing:
        """What `written` gave."""
        said = json.loads(text)
        role = None if said["role"] is None else read_role(said["role"])
        return Standing(role, said["name"], frozenset(said["allowed"]), said["keptOut"])


@dataclass(frozen=True, slots=True)
class KeptRoom:
    """What is known of a room that lived before, here or on another node."""

    room: RoomInfo
    inside: tuple[str, ...]
    """Identities of those who were in it."""
    standings: Mapping[str, Standing]
    """By identity."""
