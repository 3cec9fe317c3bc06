"""The place before a meeting's room: who knocked, and who may come in. Pure; times are Unix seconds.

A `Lobby` is a value: each verb takes one and returns another, so that a store can change it atomically, whichever
node a host is on. What has expired counts for nothing; `current` leaves it out, and every verb begins with that.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from signaling.errors import LimitExceeded, NotAllowed, NotFound

STREAM_GONE = 60.0
"""Seconds that a knock outlives its event stream: a reload, or another network, loses nobody their place."""
ADMITTED_KEPT = 300.0
"""Seconds in which who was let in comes in, or comes back after leaving."""
INSIDE_KEPT = 24 * 3600.0
"""Seconds for which somebody inside stays let in; leaving shortens it."""
REFUSED_KEPT = 60.0
"""Seconds in which who was refused may not knock again: a host's click must not turn into a doorbell."""
MESSAGE_KEPT = 4 * 3600.0
"""Seconds for which hosts' message is shown to those who come to wait."""
MOST_OF_NETWORK = 0.5
"""Share of the lobby that one address may fill: the others still find room."""

KnockState = Literal["waiting", "admitted", "refused", "ended"]
"""`ended`: the meeting was over first. What has expired, or was taken back, is not there any more."""
Turn = Literal["knocked", "admitted", "refused", "expired"]
"""What becomes of a knock. It expires with its meeting, too."""
Reason = Literal["lobby", "not_started", "started"]
"""Why somebody waits: for a host's word; for a host to come; or not any more, since one has come."""


class LobbyFull(LimitExceeded):
    """As many as may wait do."""


class KnockNotFound(NotFound):
    """Nobody waits under this id: it expired, was taken back, or never was."""


class KnockRefused(NotAllowed):
    """A host refused this person a moment ago."""


@dataclass(frozen=True, slots=True)
class Guest:
    """Who knocks. `network` is the address, or what stands for it; `member` tells an account from a mere name."""

    identity: str
    name: str
    member: bool
    network: str


@dataclass(frozen=True, slots=True)
class Knock:
    """One request to come in. Of its secret only a hash is kept."""

    id: str
    identity: str
    name: str
    member: bool
    network: str
    reason: Reason
    state: KnockState
    since: float
    expires_at: float
    secret_hash: str


@dataclass(frozen=True, slots=True)
class Lobby:
    """All knocks of one meeting in the order in which people came, and what the hosts say to them."""

    knocks: tuple[Knock, ...] = ()
    message: str = ""
    message_until: float = 0.0
    revision: int = 0
    """Grows when the meeting itself is changed, or who runs it, while somebody waits: who looks reads it anew."""

    def find(self, knock: str) -> Knock | None:
        """The knock of this id."""
        return next((one for one in self.knocks if one.id == knock), None)

    def of(self, identity: str) -> Knock | None:
        """The knock of this identity: there is one at the most."""
        return next((one for one in self.knocks if one.identity == identity), None)

    @property
    def waiting(self) -> tuple[Knock, ...]:
        """Those who wait for a host's word: what hosts see."""
        return tuple(one for one in self.knocks if one.state == "waiting" and one.reason == "lobby")

    @property
    def early(self) -> tuple[Knock, ...]:
        """Those who wait for a host to come at all: nobody decides about them."""
        return tuple(one for one in self.knocks if one.state == "waiting" and one.reason == "not_started")

    @property
    def is_waited_in(self) -> bool:
        """Whether somebody waits, for whatever."""
        return any(one.state == "waiting" for one in self.knocks)


EMPTY = Lobby()


def current(lobby: Lobby, now: float) -> Lobby:
    """Without what has expired."""
    kept = [one for one in lobby.knocks if one.expires_at > now]
    if lobby.message and lobby.message_until <= now:
        lobby = replace(lobby, message="", message_until=0.0)
    return _left(lobby, kept)


def knock(lobby: Lobby, guest: Guest, reason: Reason, knock_id: str, secret_hash: str, most: int, now: float) -> Lobby:
    """Somebody asks to come in. The same identity's earlier knock is replaced, and keeps its place in the line.

    `most` is how many may wait. Raises KnockRefused, LobbyFull.
    """
    lobby = current(lobby, now)
    earlier = lobby.of(guest.identity)
    if earlier is not None and earlier.state == "refused":
        raise KnockRefused("a host refused this request to come in")
    others = tuple(one for one in lobby.knocks if one is not earlier)
    waiting = [one for one in others if one.state == "waiting"]
    if len(waiting) >= most:
        raise LobbyFull(f"more than {most} people wait already")
    if Counter(one.network for one in waiting)[guest.network] >= most * MOST_OF_NETWORK:
        raise LobbyFull("too many people wait from this address already")
    made = Knock(
        id=knock_id,
        identity=guest.identity,
        name=guest.name,
        member=guest.member,
        network=guest.network,
        reason=reason,
        state="waiting",
        since=earlier.since if earlier is not None and earlier.state == "waiting" else now,
        expires_at=now + STREAM_GONE,
        secret_hash=secret_hash,
    )
    knocks = (*others, made)
    return replace(lobby, knocks=tuple(sorted(knocks, key=lambda one: one.since)))


def admit(lobby: Lobby, knock_id: str, now: float) -> Lobby:
    """Lets one in. What was decided before stays decided. Raises KnockNotFound."""
    return _decide(lobby, knock_id, "admitted", ADMITTED_KEPT, now)


def refuse(lobby: Lobby, knock_id: str, now: float) -> Lobby:
    """Refuses one. What was decided before stays decided. Raises KnockNotFound."""
    return _decide(lobby, knock_id, "refused", REFUSED_KEPT, now)


def admit_all(lobby: Lobby, now: float) -> Lobby:
    """Lets in all who wait for a host's word."""
    lobby = current(lobby, now)
    wanted = {one.id for one in lobby.waiting}
    return _changed(
        lobby, lambda one: one.id in wanted, lambda one: replace(one, state="admitted", expires_at=now + ADMITTED_KEPT)
    )


def start(lobby: Lobby, now: float) -> Lobby:
    """A host has come: who waited for that may ask again."""
    return _changed(
        current(lobby, now),
        lambda one: one.state == "waiting" and one.reason == "not_started",
        lambda one: replace(one, reason="started"),
    )


def withdraw(lobby: Lobby, knock_id: str, now: float) -> Lobby:
    """Somebody waits no longer."""
    lobby = current(lobby, now)
    return _left(lobby, [one for one in lobby.knocks if one.id != knock_id or one.state != "waiting"])


def keep(lobby: Lobby, present: Collection[str], now: float) -> Lobby:
    """These knocks have their event streams open."""
    return _changed(
        current(lobby, now),
        lambda one: one.id in present and one.state == "waiting",
        lambda one: replace(one, expires_at=now + STREAM_GONE),
    )


def enter(lobby: Lobby, identity: str, now: float) -> Lobby:
    """Somebody who was let in is inside now."""
    return _changed(
        current(lobby, now),
        lambda one: one.identity == identity and one.state == "admitted",
        lambda one: replace(one, expires_at=now + INSIDE_KEPT),
    )


def leave(lobby: Lobby, identity: str, now: float, *, may_return: bool) -> Lobby:
    """Somebody who was let in has left the room; who `may_return` need not ask again for a while."""
    lobby = current(lobby, now)

    def is_theirs(one: Knock) -> bool:
        return one.identity == identity and one.state == "admitted"

    if may_return:
        return _changed(lobby, is_theirs, lambda one: replace(one, expires_at=now + ADMITTED_KEPT))
    return _left(lobby, [one for one in lobby.knocks if not is_theirs(one)])


def say(lobby: Lobby, message: str, now: float) -> Lobby:
    """Hosts say something to all who wait, or take it back with ""."""
    said = replace(current(lobby, now), message=message, message_until=now + MESSAGE_KEPT if message else 0.0)
    return _left(said, said.knocks)


def close(lobby: Lobby, now: float) -> Lobby:
    """The meeting is over for all: who waits hears that it is, and nobody is let in any more."""
    lobby = current(lobby, now)
    over = [one for one in lobby.knocks if one.state == "waiting"]
    lobby = _left(replace(lobby, message="", message_until=0.0) if lobby.message else lobby, over)
    return _changed(lobby, lambda one: True, lambda one: replace(one, state="ended", expires_at=now + STREAM_GONE))


def replan(lobby: Lobby, now: float) -> Lobby:
    """The meeting itself was changed, or who runs it: whoever waits, or looks at who does, hears of it."""
    lobby = current(lobby, now)
    return replace(lobby, revision=lobby.revision + 1) if lobby.is_waited_in else lobby


def is_admitted(lobby: Lobby, identity: str, now: float) -> bool:
    """Whether a host let this identity in."""
    found = current(lobby, now).of(identity)
    return found is not None and found.state == "admitted"


def opened_by(lobby: Lobby, knock_id: str, secret: str, now: float) -> Knock | None:
    """The knock, for who has its secret."""
    found = current(lobby, now).find(knock_id)
    if found is None or not hmac.compare_digest(found.secret_hash, hash_secret(secret)):
        return None
    return found


def hash_secret(secret: str) -> str:
    """What is kept of a secret of 256 random bits."""
    return hashlib.sha256(secret[:200].encode("utf-8", "surrogatepass")).hexdigest()


def is_news(before: Lobby, after: Lobby) -> bool:
    """Whether somebody sees a difference: how long a knock is good is seen by nobody."""
    return (before.message, before.revision) != (after.message, after.revision) or _seen(before) != _seen(after)


def turns(before: Lobby, after: Lobby) -> list[tuple[Turn, Knock]]:
    """What became of those who wait for a host's word between two states; who took a knock back has expired, too."""
    found: list[tuple[Turn, Knock]] = []
    waited = {one.identity: one for one in before.waiting}
    for one in after.knocks:
        earlier = waited.pop(one.identity, None)
        if one.reason != "lobby":
            continue
        if one.state != "waiting" and earlier is not None:
            found.append(("expired" if one.state == "ended" else one.state, one))
        elif one.state == "waiting" and earlier is None:
            found.append(("knocked", one))
    return found + [("expired", one) for one in waited.values()]


def written(lobby: Lobby) -> str:
    """As JSON, for a store."""
    return json.dumps(asdict(lobby), ensure_ascii=False, separators=(",", ":"))


def read(text: str | bytes) -> Lobby:
    """What `written` made."""
    found: dict[str, Any] = json.loads(text)
    knocks = tuple(Knock(**one) for one in found["knocks"])
    # A node of an older version writes no revision.
    return Lobby(knocks, found["message"], found["message_until"], found.get("revision", 0))


def _decide(lobby: Lobby, knock_id: str, state: KnockState, kept: float, now: float) -> Lobby:
    lobby = current(lobby, now)
    found = lobby.find(knock_id)
    if found is None or (found.state == "waiting" and found.reason != "lobby"):
        raise KnockNotFound("nobody waits under this id")
    return _changed(
        lobby,
        lambda one: one is found and one.state == "waiting",
        lambda one: replace(one, state=state, expires_at=now + kept),
    )


def _changed(lobby: Lobby, wanted: Callable[[Knock], bool], change: Callable[[Knock], Knock]) -> Lobby:
    knocks = tuple(change(one) if wanted(one) else one for one in lobby.knocks)
    return lobby if knocks == lobby.knocks else replace(lobby, knocks=knocks)


def _left(lobby: Lobby, kept: Sequence[Knock]) -> Lobby:
    """With these of its knocks alone; EMPTY where nothing is left, so that no store keeps it."""
    if not kept and not lobby.message:
        return EMPTY
    return lobby if len(kept) == len(lobby.knocks) else replace(lobby, knocks=tuple(kept))


def _seen(lobby: Lobby) -> list[tuple[str, str, str, str]]:
    return [(one.id, one.name, one.state, one.reason) for one in lobby.knocks]
