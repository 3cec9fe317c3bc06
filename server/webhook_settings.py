"""What webhooks take of the operator's settings."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping

from server.config import Settings, SettingsError
from server.database import Database
from server.destinations import Network
from server.webhook_events import Wanted
from server.webhooks import Webhooks
from signaling.chance import ChanceNumbers


def check_webhook_key(settings: Settings, keys: Mapping[str, str]) -> None:
    """Raises SettingsError where webhooks would have nothing to be signed with."""
    given = settings.webhook
    if given.urls and given.api_key not in keys:
        known = ", ".join(keys)
        raise SettingsError(f"webhook.api_key: got {given.api_key!r}, takes one of the API keys: {known}")


def open_webhooks(
    settings: Settings, keys: Callable[[], Mapping[str, str]], database: Database, count: Callable[[str], None]
) -> Webhooks | None:
    """The webhooks of the settings, not yet started; None where there are none."""
    given = settings.webhook
    if not given.urls:
        return None
    filters = given.filter_params
    return Webhooks(
        given.urls,
        given.api_key,
        keys,
        database,
        ChanceNumbers(1).sid,
        count,
        wanted=Wanted(frozenset(filters.include_events), frozenset(filters.exclude_events)),
        full_room=settings.room.enable_full_room_in_webhooks,
    )


def networks(settings: Settings) -> tuple[Network, ...]:
    """Where webhooks of the API may go beside the internet."""
    return tuple(ipaddress.ip_network(text) for text in settings.webhook.allow_networks)
