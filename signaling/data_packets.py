"""Data packets: what participants send each other that is not media (LIVEKIT.md 6)."""

from __future__ import annotations

from google.protobuf.message import DecodeError
from livekit.protocol.models import DataPacket, ParticipantInfo, UserPacket

from signaling import calling, data_tracks
from signaling.connecting import DATA_TRACK, LOSSY, RELIABLE
from signaling.effects import Effect, SendPacket
from signaling.participant import Participant, State, Transport
from signaling.permission import RESERVED_PREFIX
from signaling.room import Room

CHAT_TOPICS = ("lk.chat", "lk-chat-topic")
"""Under which LiveKit's components chat: as text streams, and as packets in older versions."""
# Messages that one participant may be sending at a time: what it began is known, should chat be closed to it.
CHAT_STREAMS = 100
# Bytes of reliable packets that wait for one participant whose channel is not open yet; what is beyond is lost to it.
HELD_LIMIT = 100_000


def receive(room: Room, participant: Participant, label: str, payload: bytes | str, now: float) -> list[Effect]:
    """Takes a message of one of the participant's channels and passes it on under its sender's true name."""
    if not participant.present or not participant.permission.can_publish_data:
        return []
    if not _allowed_now(room, participant, now):
        return []
    if label == DATA_TRACK:
        return data_tracks.receive(room, participant, payload, now) if isinstance(payload, bytes) else []
    packet = _read(label, payload)
    if packet is None:
        return []
    answered = calling.answer(room, participant, packet)
    if answered is not None:
        return answered
    reliable = label != LOSSY
    if reliable and packet.sequence:
        if packet.sequence <= participant.last_sequence:
            return []
        participant.last_sequence = packet.sequence
    if not _within_rules(room, participant, packet):
        return []
    _sign(participant, packet)
    if packet.HasField("stream_header"):
        room.place.figures.stream(packet.stream_header, len(packet.destination_identities))
    return route(room, packet, reliable, sender=participant)


def _within_rules(room: Room, participant: Participant, packet: DataPacket) -> bool:
    """Whether it is no forgery of a message of the server's own, nor chat where attendees may not write."""
    kind = packet.WhichOneof("value")
    topic = packet.user.topic if kind == "user" else packet.stream_header.topic if kind == "stream_header" else ""
    if topic.startswith(RESERVED_PREFIX):
        return False
    if room.rules is None:
        return True
    is_chat = kind == "chat_message" or topic in CHAT_TOPICS
    streams = participant.chat_streams
    if kind == "stream_header" and is_chat:
        if len(streams) >= CHAT_STREAMS:
            return False
        streams.add(packet.stream_header.stream_id)
    elif kind == "stream_chunk":
        is_chat = packet.stream_chunk.stream_id in streams
    elif kind == "stream_trailer":
        is_chat = packet.stream_trailer.stream_id in streams
        streams.discard(packet.stream_trailer.stream_id)
    rules = room.rules_for(participant)
    if rules is None or "chat" in rules.allow:
        return True
    # What is encrypted could be chat.
    return not is_chat and kind != "encrypted_packet"


def _allowed_now(room: Room, participant: Participant, now: float) -> bool:
    """Takes one from the sender's allowance, which refills with time up to the burst."""
    limit = room.place.settings.limit
    if not limit.data_messages_per_second:
        return True
    if participant.data_allowance_at:
        refill = (now - participant.data_allowance_at) * limit.data_messages_per_second
        participant.data_allowance = min(limit.data_message_burst, participant.data_allowance + refill)
    else:
        participant.data_allowance = float(limit.data_message_burst)
    participant.data_allowance_at = now
    if participant.data_allowance < 1:
        return False
    participant.data_allowance -= 1
    return True


def _read(label: str, payload: bytes | str) -> DataPacket | None:
    if label not in (RELIABLE, LOSSY):  # a plain data channel of an application
        return DataPacket(user=UserPacket(payload=payload.encode() if isinstance(payload, str) else payload))
    if isinstance(payload, str):
        return None
    try:
        return DataPacket.FromString(payload)
    except DecodeError:
        return None


def _sign(participant: Participant, packet: DataPacket) -> None:
    """Puts the sender's own sid and identity in; an agent may speak in another's name (LIVEKIT.md 6.2, 4)."""
    identity = "" if participant.hidden else participant.identity
    packet.participant_sid = participant.sid
    is_agent = participant.joining.grants.kind == ParticipantInfo.Kind.AGENT
    kind = packet.WhichOneof("value")
    text_header = kind == "stream_header" and packet.stream_header.HasField("text_header")
    if is_agent and packet.participant_identity and (kind == "chat_message" or text_header):
        if packet.participant_identity != participant.identity:
            if kind == "chat_message":
                packet.chat_message.generated = True
            else:
                packet.stream_header.text_header.generated = True
    else:
        packet.participant_identity = identity
    if kind == "user":
        packet.user.participant_sid = "" if participant.hidden else participant.sid
        packet.user.participant_identity = packet.participant_identity


def route(room: Room, packet: DataPacket, reliable: bool, sender: Participant | None = None) -> list[Effect]:
    """Sends the packet to everybody else, or to those it names, over the same kind of channel."""
    kind = packet.WhichOneof("value")
    if kind == "metrics" or (kind == "transcription" and not _is_agent(sender)):
        return []
    packet.kind = DataPacket.Kind.RELIABLE if reliable else DataPacket.Kind.LOSSY
    if kind == "user" and packet.user.nonce:
        if packet.user.nonce in room.nonces:
            return []
        room.nonces.append(packet.user.nonce)
    receivers = [p for p in _named(room, packet) if p is not sender and p.present]
    payload = packet.SerializeToString()
    if not reliable:
        to = tuple(p.sid for p in receivers if p.state in (State.ACTIVE, State.DETACHED))
    else:
        to = tuple(p.sid for p in receivers if not _hold(p, payload))
    return [SendPacket(to, payload, RELIABLE if reliable else LOSSY)] if to else []


def _is_agent(sender: Participant | None) -> bool:
    return sender is None or sender.joining.grants.kind == ParticipantInfo.Kind.AGENT


def _named(room: Room, packet: DataPacket) -> list[Participant]:
    """Everybody where no destination is named; of named ones those who are here, each once."""
    identities = dict.fromkeys(packet.destination_identities)
    sids: list[str] = []
    if packet.WhichOneof("value") == "user":
        identities.update(dict.fromkeys(packet.user.destination_identities))
        sids = list(packet.user.destination_sids)
        packet.destination_identities[:] = identities
        packet.user.destination_identities[:] = identities
    if not identities and not sids:
        return list(room.participants.values())
    found = {p.sid: p for identity in identities if (p := room.participants.get(identity))}
    found.update({sid: room.by_sid[sid] for sid in sids if sid in room.by_sid})
    return list(found.values())


def _hold(participant: Participant, payload: bytes) -> bool:
    """Keeps a reliable packet for a participant whose channel is not open yet. True when it is not to be sent now."""
    transport = participant.primary
    if transport is not None and RELIABLE in transport.channels:
        return False
    if participant.held_size + len(payload) <= HELD_LIMIT:
        participant.held.append(payload)
        participant.held_size += len(payload)
    return True


def channel_opened(participant: Participant, transport: Transport, label: str) -> list[Effect]:
    """A channel can be written to: what waited for it goes out first."""
    transport.channels.add(label)
    if label != RELIABLE or transport is not participant.primary:
        return []
    held = [SendPacket((participant.sid,), payload, RELIABLE) for payload in participant.held]
    participant.held.clear()
    participant.held_size = 0
    return list(held)
