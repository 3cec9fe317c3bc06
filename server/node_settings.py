"""What rooms and a node take of the operator's settings."""

from __future__ import annotations

from pathlib import Path

from livekit.protocol.agent_dispatch import RoomAgentDispatch
from livekit.protocol.room import RoomConfiguration

from server import sections
from server.config import SettingsError
from signaling.settings import Limits, RoomSettings
from signaling.turn import TurnServer


def limits(limit: sections.Limit) -> Limits:
    """What clients, rooms and this node may use."""
    return Limits(
        max_identity_length=limit.max_participant_identity_length,
        max_name_length=limit.max_participant_name_length,
        max_room_name_length=limit.max_room_name_length,
        max_metadata_size=limit.max_metadata_size,
        max_attributes_size=limit.max_attributes_size,
        max_data_blobs_size=limit.max_data_blobs_size,
        bytes_per_sec=limit.bytes_per_sec,
        num_tracks=limit.num_tracks,
        tracks_per_participant=limit.tracks_per_participant,
        subscription_limit_video=limit.subscription_limit_video,
        subscription_limit_audio=limit.subscription_limit_audio,
        signal_message_size=limit.signal_message_size_limit,
        signal_messages_per_second=limit.signal_messages_per_second,
        signal_message_burst=limit.signal_message_burst,
        signal_queue_size=limit.signal_queue_size,
        data_messages_per_second=limit.data_messages_per_second,
        data_message_burst=limit.data_message_burst,
    )


def room_settings(section: sections.Room) -> RoomSettings:
    """What rooms take of the section."""
    plain = section.model_dump(exclude={"enable_full_room_in_webhooks", "room_configurations"})
    presets = {
        name: RoomConfiguration(
            name=name,
            empty_timeout=preset.empty_timeout,
            departure_timeout=preset.departure_timeout,
            max_participants=preset.max_participants,
            sync_streams=preset.sync_streams,
            metadata=preset.metadata,
            agents=[RoomAgentDispatch(agent_name=a.agent_name, metadata=a.metadata) for a in preset.agents],
        )
        for name, preset in section.room_configurations.items()
    }
    return RoomSettings(**plain, room_configurations=presets)


def turn_servers(section: sections.Rtc) -> tuple[TurnServer, ...]:
    """The operator's TURN servers, which clients are told of; reads their files. Raises SettingsError."""
    return tuple(_turn_server(server) for server in section.turn_servers)


def _turn_server(server: sections.TurnServer) -> TurnServer:
    plain = server.model_dump(exclude={"secret_file"})
    if server.secret_file is not None:
        plain["secret"] = _secret_of(server.secret_file)
    return TurnServer(**plain)


def _secret_of(file: Path) -> str:
    takes = f"rtc.turn_servers.secret_file: got {file}, takes a file with the secret on one line"
    try:
        # As editors and `echo` leave it: with an end of line that is no part of the secret.
        secret = file.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise SettingsError(f"{takes}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise SettingsError(f"{takes}, in UTF-8") from None
    if not secret or "\n" in secret:
        raise SettingsError(takes)
    return secret
