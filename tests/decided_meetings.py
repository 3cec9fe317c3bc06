"""Meetings whose hosts have decided something beforehand, made beside a running service, in its database."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import Any

from server.api.meetings import PATH
from server.database import Database
from server.meeting_settings import MeetingSettings
from server.meetings import MeetingDraft, Meetings
from tests.service import Service


@dataclass(frozen=True)
class DecidedMeeting:
    """Its page, and what makes a host of it."""

    service: Service
    code: str
    host_secret: str

    @property
    def link(self) -> str:
        """The address of its page."""
        return f"{self.service.https}/m/{self.code}"

    @property
    def api(self) -> str:
        """Its address in the API."""
        return f"{self.service.https}{PATH}/{self.code}"


async def decided_meeting(service: Service, title: str = "", **settings: Any) -> DecidedMeeting:
    """A new meeting with these settings."""
    database = Database(f"sqlite:///{service.data_dir / 'veche.sqlite3'}")
    try:
        draft = MeetingDraft(title=title, settings=MeetingSettings(**settings))
        made, secret = await Meetings(database).create(draft, datetime.datetime.now(datetime.UTC))
    finally:
        await database.close()
    return DecidedMeeting(service, made.code, secret)
