"""The server API calls a participant's method: it gets the answer, or the reason why there is none."""

from __future__ import annotations

import pytest
from livekit.protocol.models import DataPacket, RpcAck, RpcError, RpcResponse
from livekit.protocol.room import PerformRpcRequest
from livekit.protocol.rtc import LeaveRequest

from signaling import moderation
from signaling.calling import OUTSTANDING_CALLS, PAYLOAD_SIZE
from signaling.errors import InvalidArgument, LimitExceeded, NotFound, RpcFailed
from tests.signaling.meeting import Client, Meeting


def two() -> tuple[Meeting, Client, Client]:
    meeting = Meeting()
    return meeting, meeting.join("anna"), meeting.join("boris")


def call(
    meeting: Meeting,
    identity: str = "anna",
    *,
    method: str = "greet",
    payload: str = "hello",
    response_timeout_ms: int = 0,
) -> str:
    """Calls a method; the call's id."""
    request = PerformRpcRequest(
        room="meeting",
        destination_identity=identity,
        method=method,
        payload=payload,
        response_timeout_ms=response_timeout_ms,
    )
    number, effects = moderation.call(meeting.room, request, meeting.now)
    meeting.run(effects)
    return number


def acknowledge(client: Client, number: str) -> None:
    packet = DataPacket(destination_identities=[number], rpc_ack=RpcAck(request_id=number))
    client.says(packet.SerializeToString())


def respond(client: Client, response: RpcResponse) -> None:
    packet = DataPacket(destination_identities=[response.request_id], rpc_response=response)
    client.says(packet.SerializeToString())


def failure(meeting: Meeting, number: str) -> RpcFailed:
    outcome = meeting.called[number]
    assert isinstance(outcome, RpcFailed)
    return outcome


def test_the_answer_comes_back() -> None:
    meeting, anna, boris = two()
    number = call(meeting)
    ((payload, reliable),) = meeting.packets[anna.sid]
    packet = DataPacket.FromString(payload)
    asked = packet.rpc_request
    assert reliable
    assert (asked.id, asked.method, asked.payload, asked.version) == (number, "greet", "hello", 1)
    assert (packet.participant_identity, asked.response_timeout_ms) == (number, 10_000)
    acknowledge(anna, number)
    meeting.advance(9)
    respond(anna, RpcResponse(request_id=number, payload="hi"))
    assert meeting.called == {number: "hi"}
    assert not meeting.packets[boris.sid]
    meeting.advance(60)
    assert meeting.called == {number: "hi"}
    assert not meeting.room.calls


def test_an_answer_needs_no_acknowledgement() -> None:
    meeting, anna, _ = two()
    number = call(meeting)
    respond(anna, RpcResponse(request_id=number, payload=""))
    assert meeting.called == {number: ""}


def test_the_methods_own_error_is_told() -> None:
    meeting, anna, _ = two()
    number = call(meeting)
    respond(anna, RpcResponse(request_id=number, error=RpcError(code=1400, message="Method not supported", data="x")))
    assert failure(meeting, number).code == 1400
    assert str(failure(meeting, number)) == "RpcError 1400: Method not supported: x"


def test_silence_ends_a_call() -> None:
    meeting, anna, _ = two()
    unheard, heard = call(meeting), call(meeting, response_timeout_ms=5000)
    acknowledge(anna, heard)
    meeting.advance(2.1)
    assert failure(meeting, unheard).code == 1501
    assert heard not in meeting.called
    meeting.advance(3)
    assert failure(meeting, heard).code == 1502
    respond(anna, RpcResponse(request_id=heard, payload="late"))
    assert failure(meeting, heard).code == 1502


def test_who_leaves_answers_no_more() -> None:
    meeting, anna, _ = two()
    number = call(meeting)
    acknowledge(anna, number)
    anna.send(leave=LeaveRequest())
    assert failure(meeting, number).code == 1503
    assert not meeting.room.calls


def test_nobody_answers_for_another() -> None:
    meeting, _, boris = two()
    number = call(meeting)
    acknowledge(boris, number)
    respond(boris, RpcResponse(request_id=number, payload="forged"))
    assert not meeting.called
    meeting.advance(2.1)
    assert failure(meeting, number).code == 1501


def test_answers_among_participants_go_on() -> None:
    meeting, anna, boris = two()
    packet = DataPacket(destination_identities=["boris"], rpc_response=RpcResponse(request_id="theirs", payload="hi"))
    anna.says(packet.SerializeToString())
    ((payload, _),) = meeting.packets[boris.sid]
    assert DataPacket.FromString(payload).rpc_response.payload == "hi"


def test_what_cannot_be_called_is_refused() -> None:
    meeting, _, _ = two()
    with pytest.raises(NotFound):
        call(meeting, "nobody")
    with pytest.raises(InvalidArgument, match="method"):
        call(meeting, method="")
    with pytest.raises(InvalidArgument, match="an hour at most"):
        call(meeting, response_timeout_ms=3_600_001)
    with pytest.raises(RpcFailed, match="RpcError 1402"):
        call(meeting, payload="я" * (PAYLOAD_SIZE // 2 + 1))
    call(meeting, payload="я" * (PAYLOAD_SIZE // 2))
    for _ in range(OUTSTANDING_CALLS - 1):
        call(meeting)
    with pytest.raises(LimitExceeded):
        call(meeting)
