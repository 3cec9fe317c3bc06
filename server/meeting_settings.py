"""What a meeting's host decides beforehand: kept with the meeting, the same in the API and behind the form. Pure."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from server.origins import clean_origins

PASSCODE_LENGTH = (4, 32)
"""Characters: what is read out on the phone, and no sentence."""
MOST_PARTICIPANTS = 10_000

Permitted = Literal["unmute", "video", "share", "chat", "rename"]
"""What attendees may do; hosts and co-hosts always may."""
ALL_PERMITTED: tuple[Permitted, ...] = ("unmute", "video", "share", "chat", "rename")
LobbyPolicy = Literal["off", "guests", "all"]
"""Who waits in the lobby: nobody, people without an account, or everybody but the hosts."""


class MeetingSettings(BaseModel):
    """The decisions; each has what Zoom's users take for usual."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    passcode: str = ""
    """To be typed by whoever has no account that was invited; 4 to 32 characters, "" for none."""
    lobby: LobbyPolicy = "off"
    """Who waits until a host lets them in."""
    join_before_host: bool = True
    """Whether people come in while no host is there; else they wait until one has come."""
    mute_on_entry: bool = False
    """Whether attendees come in with their microphones off."""
    max_participants: Annotated[int, Field(ge=0, le=MOST_PARTICIPANTS)] = 0
    """At most so many people at once; 0 for as many as the service takes."""
    allow: tuple[Permitted, ...] = ALL_PERMITTED
    """What attendees may do."""
    embed_origins: tuple[str, ...] = ()
    """Other sites whose pages may hold the meeting in an iframe, such as `https://portal.example.org`; 20 at most."""

    @field_validator("passcode")
    @classmethod
    def _passcode_can_be_typed(cls, value: str) -> str:
        least, most = PASSCODE_LENGTH
        value = value.strip()
        if value and not (least <= len(value) <= most and value.isprintable() and value.isascii()):
            raise ValueError(f"takes {least} to {most} letters, digits and signs of ASCII, or nothing")
        return value

    @field_validator("allow")
    @classmethod
    def _each_once(cls, value: tuple[Permitted, ...]) -> tuple[Permitted, ...]:
        return tuple(name for name in ALL_PERMITTED if name in value)

    @field_validator("embed_origins")
    @classmethod
    def _are_origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return clean_origins(value)
