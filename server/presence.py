"""What is so in a meeting's room now, on whatever node it is."""

from __future__ import annotations

from server.entrance import Live
from server.meetings import Meeting
from signaling.permission import ROLE_ATTRIBUTE
from signaling.room_service import RoomService
from signaling.rules import Rules
from signaling.token import read_role


async def live(rooms: RoomService, meeting: Meeting) -> Live:
    """Raises Unavailable where the Store does not answer."""
    found = await rooms.list_rooms([meeting.room_name])
    if not found:
        return Live()
    rules = Rules.read(found[0].metadata) or Rules()
    standings = await rooms.standings(meeting.room_name)
    people = await rooms.list_participants(meeting.room_name)
    return Live(
        inside={person.identity: read_role(person.attributes.get(ROLE_ATTRIBUTE)) for person in people},
        locked=rules.locked,
        returning=rooms.returning(meeting.room_name),
        given={identity: standing.role for identity, standing in standings.items() if standing.role is not None},
        kept_out=frozenset(identity for identity, standing in standings.items() if standing.kept_out),
    )
