"""What is so in a meeting's room now, on whatever node it is, or was so when its service broke off."""

from __future__ import annotations

import datetime
from collections.abc import Mapping

from server.entrance import Live
from server.meetings import Meeting
from server.occurrences import Occurrences
from signaling.permission import ROLE_ATTRIBUTE
from signaling.room_service import RoomService
from signaling.rules import Rules
from signaling.standing import Standing
from signaling.token import Role, read_role


async def live(rooms: RoomService, occurrences: Occurrences, meeting: Meeting) -> Live:
    """Raises Unavailable where the Store does not answer, SQLAlchemyError where the database does not."""
    name = meeting.room_name
    found = await rooms.list_rooms([name])
    if not found:
        return await _cut_off(occurrences, name)
    standings = await rooms.standings(name)
    people = await rooms.list_participants(name)
    rules = Rules.read(found[0].metadata)
    return Live(
        inside={person.identity: read_role(person.attributes.get(ROLE_ATTRIBUTE)) for person in people},
        locked=rules is not None and rules.locked,
        returning=rooms.returning(name),
        given=_given(standings),
        kept_out=_kept_out(standings),
        rules=rules,
    )


async def _cut_off(occurrences: Occurrences, name: str) -> Live:
    kept = await occurrences.cut_off(name, datetime.datetime.now(datetime.UTC))
    if kept is None:
        return Live()
    rules = Rules.read(kept.room.metadata)
    return Live(
        locked=rules is not None and rules.locked,
        returning=kept.inside,
        given=_given(kept.standings),
        kept_out=_kept_out(kept.standings),
        rules=rules,
    )


def _given(standings: Mapping[str, Standing]) -> dict[str, Role]:
    return {identity: standing.role for identity, standing in standings.items() if standing.role is not None}


def _kept_out(standings: Mapping[str, Standing]) -> frozenset[str]:
    return frozenset(identity for identity, standing in standings.items() if standing.kept_out)
