"""Faults that a client asks for: they come as it asked, and to it alone (LIVEKIT.md 5.5)."""

from __future__ import annotations

import pytest
from livekit.protocol.models import TrackSource
from livekit.protocol.rtc import CandidateProtocol, LeaveRequest, SimulateScenario

from media.commands import LimitBandwidth
from signaling import simulating
from signaling.effects import Disconnect
from tests.signaling.meeting import Client, Meeting


def two(*, single: bool = False) -> tuple[Meeting, Client, Client]:
    """A room of two; Boris has a camera."""
    meeting = Meeting()
    anna, boris = meeting.join("anna", single=single), meeting.join("boris")
    boris.publish("cam", TrackSource.CAMERA)
    anna.settle()
    return meeting, anna, boris


@pytest.mark.parametrize(
    ("scenario", "expected"),
    [
        (SimulateScenario(node_failure=True), (True, LeaveRequest.Action.RECONNECT)),
        (SimulateScenario(migration=True), (True, LeaveRequest.Action.RECONNECT)),
        (SimulateScenario(server_leave=True), (False, LeaveRequest.Action.DISCONNECT)),
        (SimulateScenario(leave_request_full_reconnect=True), (False, LeaveRequest.Action.RECONNECT)),
    ],
)
def test_ends_the_sender_alone(scenario: SimulateScenario, expected: tuple[bool, LeaveRequest.Action]) -> None:
    meeting, anna, boris = two()
    anna.send(simulate=scenario)
    ended: Disconnect = meeting.ended[anna.sid]
    assert (ended.silent, ended.action) == expected
    assert boris.sid not in meeting.ended


def test_a_speaker_is_told_to_the_sender_for_so_long() -> None:
    meeting, anna, boris = two()
    anna.send(simulate=SimulateScenario(speaker_update=3))
    assert anna.last("speakers_changed").speakers_changed.speakers[0].active
    meeting.advance(2.9)
    assert len(anna.messages("speakers_changed")) == 1
    meeting.advance(0.2)
    assert not anna.last("speakers_changed").speakers_changed.speakers[0].active
    assert not boris.messages("speakers_changed")


def test_the_next_resume_is_answered_and_its_socket_closed() -> None:
    meeting, anna, _ = two()
    anna.send(simulate=SimulateScenario(disconnect_signal_on_resume=True))
    meeting.advance(1)
    anna.lose_socket()
    anna.resume()
    assert anna.messages("reconnect")
    assert meeting.closed == [anna.sid]
    assert anna.sid not in meeting.room.attached()
    anna.resume()
    assert anna.sid in meeting.room.attached()
    assert meeting.closed == [anna.sid]


def test_a_resume_that_comes_late_is_left_alone() -> None:
    meeting, anna, _ = two()
    anna.send(simulate=SimulateScenario(disconnect_signal_on_resume=True))
    anna.send(simulate=SimulateScenario(disconnect_signal_on_resume_no_messages=True))
    meeting.advance(6)
    anna.lose_socket()
    assert not simulating.ignores_resume(anna.participant, meeting.now)
    anna.resume()
    assert not meeting.closed
    assert anna.sid in meeting.room.attached()


def test_three_resumes_find_nobody() -> None:
    meeting, anna, boris = two()
    anna.send(simulate=SimulateScenario(disconnect_signal_on_resume_no_messages=True))
    ignored = [simulating.ignores_resume(anna.participant, meeting.now) for _ in range(4)]
    assert ignored == [True, True, True, False]
    assert not simulating.ignores_resume(boris.participant, meeting.now)


def test_a_receiver_is_sent_no_more_than_it_asks_for() -> None:
    meeting, anna, _ = two()
    anna.send(simulate=SimulateScenario(subscriber_bandwidth=300_000))
    anna.send(simulate=SimulateScenario(subscriber_bandwidth=0))
    assert anna.participant.subscriber is not None
    number = anna.participant.subscriber.number
    assert meeting.given(LimitBandwidth) == [LimitBandwidth(number, 300_000), LimitBandwidth(number, 0)]


def candidates(sdp: str) -> set[str]:
    """Protocols of a description's candidates."""
    return {line.split()[2].lower() for line in sdp.splitlines() if line.startswith("a=candidate:")}


def test_two_connections_keep_to_a_protocol_after_a_restart() -> None:
    meeting, anna, boris = two()
    assert candidates(anna.last("offer").offer.sdp) == {"udp", "tcp"}
    anna.forget()
    anna.send(simulate=SimulateScenario(switch_candidate_protocol=CandidateProtocol.TCP))
    assert candidates(anna.last("offer").offer.sdp) == {"tcp"}
    anna.answer()
    anna.offer(ufrag="cliB")
    assert candidates(anna.last("answer").answer.sdp) == {"tcp"}
    assert candidates(boris.last("answer").answer.sdp) == {"udp", "tcp"}
    again = meeting.join("anna")
    assert candidates(again.last("offer").offer.sdp) == {"tcp"}
    meeting.advance(301)
    assert candidates(meeting.join("anna").last("offer").offer.sdp) == {"udp", "tcp"}


def test_a_single_connection_keeps_to_a_protocol_once_the_client_restarts_it() -> None:
    _, anna, _ = two(single=True)
    anna.send(simulate=SimulateScenario(switch_candidate_protocol=CandidateProtocol.UDP))
    anna.offer(ufrag="cliB")
    assert candidates(anna.last("answer").answer.sdp) == {"udp"}
