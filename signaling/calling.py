"""Calling: the server API calls a method of a participant's and gets its answer (PerformRpc; LIVEKIT.md 6.4, 10)."""

from __future__ import annotations

from livekit.protocol.models import DataPacket, RpcError
from livekit.protocol.room import PerformRpcRequest

from signaling.effects import CallEnded, Effect
from signaling.errors import InvalidArgument, LimitExceeded, RpcFailed
from signaling.participant import Participant
from signaling.room import Call, Room, Timer

# Bytes that a call or an answer of the first version takes.
PAYLOAD_SIZE = 15_360
# Seconds within which the client must say that it has the call, and by default to answer it: LiveKit's own.
ACK_TIMEOUT = 2.0
RESPONSE_TIMEOUT = 10.0
# Seconds that a program may wait at most. LiveKit has no bound; a room would keep forgotten calls for weeks.
LONGEST_WAIT = 3600.0
# Calls of one room that wait for their answers: a program that forgets to wait can't fill the memory.
OUTSTANDING_CALLS = 1000

UNSUPPORTED_METHOD = 1400
REQUEST_TOO_LARGE = 1402
APPLICATION_ERROR = 1500
CONNECTION_TIMEOUT = 1501
RESPONSE_TIMEOUT_ERROR = 1502
RECIPIENT_DISCONNECTED = 1503
_TEXTS = {
    REQUEST_TOO_LARGE: "Request payload too large",
    CONNECTION_TIMEOUT: "Connection timeout",
    RESPONSE_TIMEOUT_ERROR: "Response timeout",
    RECIPIENT_DISCONNECTED: "Recipient disconnected",
}


def begin(room: Room, participant: Participant, request: PerformRpcRequest, now: float) -> tuple[str, DataPacket]:
    """Notes a call; its id, and the packet that is to go to the participant.

    The caller is named by the id, so that the answer shows what it answers. Raises InvalidArgument, LimitExceeded, and
    RpcFailed for a payload that no client takes.
    """
    size, wait = len(request.payload.encode()), request.response_timeout_ms / 1000 or RESPONSE_TIMEOUT
    if not request.method:
        raise InvalidArgument("method: takes the name of a method that the participant has registered")
    if wait > LONGEST_WAIT:
        raise InvalidArgument(f"response_timeout_ms: got {request.response_timeout_ms}, takes an hour at most")
    if size > PAYLOAD_SIZE:
        raise RpcFailed(REQUEST_TOO_LARGE, _TEXTS[REQUEST_TOO_LARGE], f"{size} bytes, at most {PAYLOAD_SIZE} expected")
    if len(room.calls) >= OUTSTANDING_CALLS:
        raise LimitExceeded(f"{OUTSTANDING_CALLS} calls of this room wait for their answers")
    number = room.numbers.sid("RPC_")
    room.calls[number] = Call(participant.sid, now + wait)
    room.timers.set((Timer.CALL, number), now + min(ACK_TIMEOUT, wait))
    packet = DataPacket(participant_identity=number, destination_identities=[participant.identity])
    packet.rpc_request.id = number
    packet.rpc_request.method = request.method
    packet.rpc_request.payload = request.payload
    packet.rpc_request.response_timeout_ms = int(wait * 1000)
    packet.rpc_request.version = 1
    return number, packet


def answer(room: Room, participant: Participant, packet: DataPacket) -> list[Effect] | None:
    """Takes what answers a call of ours; None for a packet that does not, and is for others."""
    kind = packet.WhichOneof("value")
    if kind not in ("rpc_ack", "rpc_response"):
        return None
    number = packet.rpc_ack.request_id if kind == "rpc_ack" else packet.rpc_response.request_id
    call = room.calls.get(number)
    if call is None or call.who != participant.sid:
        return None
    if kind == "rpc_ack":
        call.acknowledged = True
        room.timers.set((Timer.CALL, number), call.answer_by)
        return []
    response = packet.rpc_response
    if response.WhichOneof("value") == "payload":
        return [_end(room, number, response.payload)]
    return [_end(room, number, _failure(response.error))]


def _failure(error: RpcError) -> RpcFailed:
    return RpcFailed(error.code or APPLICATION_ERROR, error.message, error.data)


def overdue(room: Room, number: str) -> list[Effect]:
    """A call was not acknowledged, or not answered, in time."""
    code = RESPONSE_TIMEOUT_ERROR if room.calls[number].acknowledged else CONNECTION_TIMEOUT
    return [_end(room, number, RpcFailed(code, _TEXTS[code]))]


def callee_left(room: Room, participant: Participant) -> list[Effect]:
    """Nobody is there any more who could answer."""
    waiting = [number for number, call in room.calls.items() if call.who == participant.sid]
    failure = RpcFailed(RECIPIENT_DISCONNECTED, _TEXTS[RECIPIENT_DISCONNECTED])
    return [_end(room, number, failure) for number in waiting]


def _end(room: Room, number: str, outcome: str | RpcFailed) -> CallEnded:
    del room.calls[number]
    room.timers.clear((Timer.CALL, number))
    return CallEnded(number, outcome)
