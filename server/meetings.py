"""Meetings: made once, found by their code, joined by decision. The decisions are pure; `Meetings` keeps the rows."""

from __future__ import annotations

import base64
import binascii
import datetime
import hashlib
import hmac
import secrets
import unicodedata
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from server import codes
from server.database import Database, MeetingRow
from signaling.token import Grants, VideoGrant

TITLE_LENGTH = 200
NAME_LENGTH = 64
"""Characters: a tile shows about thirty."""
TAB_SECRET_SIZE = 16
"""Bytes: 128 bits, so that nobody takes another's identity by guessing."""
TOKEN_LIFETIME = 600.0
"""Seconds; a token is renewed over the open socket."""

Role = Literal["host", "attendee"]


class MeetingNotFound(Exception):
    """No meeting has this code."""


class WrongInput(Exception):
    """A field that can't be taken; the text says what was received and what is expected."""


@dataclass(frozen=True, slots=True)
class Meeting:
    """The durable thing that a code names."""

    id: str
    code: str
    room_name: str
    title: str
    host_secret_hash: bytes
    identity_key: bytes
    owner_id: str | None
    created_at: datetime.datetime


@dataclass(frozen=True, slots=True)
class Enter:
    """The decision that somebody may come in: what the token says, and the role in it."""

    grants: Grants
    role: Role


def decide_join(meeting: Meeting, name: str, tab: str, host_secret: str | None, account_id: str | None = None) -> Enter:
    """Who comes in and as what: whoever holds the code enters; who made the meeting is a host.

    `tab` is the secret of the browser tab. Raises WrongInput for a name or tab that can't be.
    """
    role = role_of(meeting, host_secret, account_id)
    grant = VideoGrant(
        room=meeting.room_name,
        room_join=True,
        can_publish=True,
        can_subscribe=True,
        can_publish_data=True,
        can_update_own_metadata=True,
    )
    secret = read_tab_secret(tab)
    identity = account_identity(meeting, account_id) if account_id else identity_of(meeting, secret)
    return Enter(Grants(identity=identity, name=clean_name(name), role=role, video=grant), role)


def role_of(meeting: Meeting, host_secret: str | None, account_id: str | None = None) -> Role:
    """A host is whose account made the meeting, or who holds the secret that was made with it."""
    if account_id is not None and account_id == meeting.owner_id:
        return "host"
    if host_secret and hmac.compare_digest(_hash(host_secret), meeting.host_secret_hash):
        return "host"
    return "attendee"


def identity_of(meeting: Meeting, tab_secret: bytes) -> str:
    """The same for the same tab in the same meeting, so that a reload replaces itself; tells nothing of the secret."""
    digest = hmac.digest(meeting.identity_key, tab_secret, "sha256")
    return f"guest-{digest[:12].hex()}"


def account_identity(meeting: Meeting, account_id: str) -> str:
    """The same for an account in one meeting, on whatever device: the newer session replaces the older."""
    digest = hmac.digest(meeting.identity_key, account_id.encode(), "sha256")
    return f"account-{digest[:12].hex()}"


def read_tab_secret(text: str) -> bytes:
    """The bytes of a base64url secret. Raises WrongInput."""
    try:
        secret = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise WrongInput("tab: takes a secret in base64url") from None
    if not TAB_SECRET_SIZE <= len(secret) <= 64:
        raise WrongInput(f"tab: got {len(secret)} bytes, takes {TAB_SECRET_SIZE} to 64")
    return secret


def clean_name(name: str) -> str:
    """A name as it is shown: white space joined, control and direction characters gone. Raises WrongInput."""
    return _clean("name", name, NAME_LENGTH, least=1)


def clean_title(title: str) -> str:
    """A title as it is shown; may be empty. Raises WrongInput."""
    return _clean("title", title, TITLE_LENGTH, least=0)


def _clean(field: str, text: str, most: int, *, least: int) -> str:
    kept = "".join(" " if character.isspace() else character for character in text)
    # Cc, Cf, Cs: control, format (bidirectional overrides among them) and surrogates; joiners of emoji stay.
    kept = "".join(c for c in kept if c == "\u200d" or unicodedata.category(c) not in {"Cc", "Cf", "Cs"})
    cleaned = " ".join(unicodedata.normalize("NFC", kept).split())
    if not least <= len(cleaned) <= most:
        raise WrongInput(f"{field}: got {len(cleaned)} characters, takes {least} to {most}")
    return cleaned


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()


class Meetings:
    """The meetings in the database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(self, title: str, now: datetime.datetime, owner_id: str | None = None) -> tuple[Meeting, str]:
        """A new meeting and its host secret, which is kept nowhere else. Raises WrongInput."""
        cleaned = clean_title(title)
        host_secret = secrets.token_urlsafe(32)
        while True:
            row = MeetingRow(
                id=f"MT_{secrets.token_hex(12)}",
                code=codes.new(secrets.choice),
                room_name=secrets.token_urlsafe(16),
                title=cleaned,
                host_secret_hash=_hash(host_secret),
                identity_key=secrets.token_bytes(32),
                owner_id=owner_id,
                created_at=now,
            )
            try:
                async with self._database.session.begin() as session:
                    session.add(row)
            except IntegrityError:
                continue  # the code is taken: draw another
            return _meeting(row), host_secret

    async def find(self, code: str) -> Meeting:
        """The meeting with this code, however it was typed. Raises MeetingNotFound."""
        usual = codes.read(code)
        if usual is None:
            raise MeetingNotFound
        async with self._database.session() as session:
            row = await session.scalar(select(MeetingRow).where(MeetingRow.code == usual))
        if row is None:
            raise MeetingNotFound
        return _meeting(row)


def _meeting(row: MeetingRow) -> Meeting:
    return Meeting(
        id=row.id,
        code=row.code,
        room_name=row.room_name,
        title=row.title,
        host_secret_hash=row.host_secret_hash,
        identity_key=row.identity_key,
        owner_id=row.owner_id,
        created_at=row.created_at,
    )
