"""What the operator has decided about new meetings. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from server import codes
from server.meeting_settings import MeetingSettings
from server.sections import MeetingsSection
from server.texts import WrongInput


def starting_settings(policy: MeetingsSection, choose: Callable[[Sequence[str]], str]) -> MeetingSettings:
    """What a new meeting has whose maker has chosen nothing; `choose` draws a passcode where one is required."""
    return MeetingSettings(
        lobby=policy.lobby,
        join_before_host=policy.join_before_host,
        passcode=codes.new_passcode(choose) if policy.passcode == "required" else "",
        embed_origins=policy.embed_origins,
    )


def check_settings(policy: MeetingsSection, settings: MeetingSettings) -> None:
    """Raises WrongInput for what the operator does not allow."""
    if policy.passcode == "required" and not settings.passcode:
        raise WrongInput("passcode: got none, takes one: meetings here have a passcode")
