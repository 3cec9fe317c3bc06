"""What rooms and a node take of the operator's settings."""

from __future__ import annotations

from livekit.protocol.agent_dispatch import RoomAgentDispatch
from livekit.protocol.room import RoomConfiguration

from server import sections
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
    """The operator's TURN servers, which clients are told of."""
    return tuple(TurnServer(**server.model_dump()) for server in section.turn_servers)
