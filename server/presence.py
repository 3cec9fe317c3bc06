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
    people = await rooms.list_participants(meeting.room_name)
    return Live(
        inside={person.identity: read_role(person.attributes.get(ROLE_ATTRIBUTE)) for person in people},
        locked=rules.locked,
    )
