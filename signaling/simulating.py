"""Simulating: faults that a client asks for to see how it bears them; each touches it alone (LIVEKIT.md 5.5)."""

from __future__ import annotations

from livekit.protocol.models import DisconnectReason, SpeakerInfo
from livekit.protocol.rtc import (
    CandidateProtocol,
    LeaveRequest,
    SignalRequest,
    SignalResponse,
    SimulateScenario,
    SpeakersChanged,
)

from media.commands import LimitBandwidth
from signaling import subscribing
from signaling.effects import CloseSocket, Disconnect, Effect, Engine, Notify
from signaling.participant import Participant
from signaling.room import Room, Timer

# Seconds within which a resume is to be disturbed, and how many of them: LiveKit's own.
_RESUME_WINDOW = 5.0
_IGNORED_RESUMES = 3
# Seconds for which an identity keeps to a protocol for its media (LIVEKIT.md 4.8).
_PREFERENCE_LIFE = 300.0


def request(room: Room, participant: Participant, asked: SignalRequest, now: float) -> list[Effect]:
    """Does what the client asks for; an unknown scenario does nothing."""
    scenario: SimulateScenario = asked.simulate
    me, again = participant.sid, LeaveRequest.Action.RECONNECT
    match scenario.WhichOneof("scenario"):
        case "speaker_update":
            return _speak(room, participant, scenario.speaker_update, now)
        case "node_failure" | "migration":
            return [Disconnect(me, DisconnectReason.MIGRATION, again, silent=True)]
        case "server_leave":
            return [Disconnect(me, DisconnectReason.SERVER_SHUTDOWN, LeaveRequest.Action.DISCONNECT)]
        case "leave_request_full_reconnect":
            return [Disconnect(me, DisconnectReason.STATE_MISMATCH, again)]
        case "switch_candidate_protocol":
            return _prefer(room, participant, scenario.switch_candidate_protocol, now)
        case "subscriber_bandwidth" if participant.subscriber is not None:
            number = participant.subscriber.number
            return [Engine(LimitBandwidth(number, max(0, scenario.subscriber_bandwidth)))]
        case "disconnect_signal_on_resume":
            participant.cuts_resume_until = now + _RESUME_WINDOW
        case "disconnect_signal_on_resume_no_messages":
            participant.ignores_resumes_until = now + _RESUME_WINDOW
            participant.resumes_to_ignore = _IGNORED_RESUMES
        case _:
            pass
    return []


def _speak(room: Room, participant: Participant, seconds: int, now: float) -> list[Effect]:
    timer = (Timer.SIMULATED_SPEAKER, participant.sid)
    if seconds > 0:
        room.timers.set(timer, now + seconds)
    else:
        room.timers.clear(timer)
    return [_speaks(participant, active=seconds > 0)]


def silence(participant: Participant) -> list[Effect]:
    """The time for which the client wanted to be told that it speaks is over."""
    return [_speaks(participant, active=False)]


def _speaks(participant: Participant, *, active: bool) -> Notify:
    speaker = SpeakerInfo(sid=participant.sid, active=active, level=0.9 if active else 0.0)
    return Notify((participant.sid,), SignalResponse(speakers_changed=SpeakersChanged(speakers=[speaker])))


def _prefer(room: Room, participant: Participant, protocol: CandidateProtocol, now: float) -> list[Effect]:
    """From the next description on the client is told candidates of one protocol; TLS is TCP here, without TURN.

    A subscriber's PeerConnection is restarted at once; one on which the client offers, by the client.
    """
    wanted = "udp" if protocol == CandidateProtocol.UDP else "tcp"
    room.preferences = {identity: held for identity, held in room.preferences.items() if held[1] > now}
    room.preferences[participant.identity] = (wanted, now + _PREFERENCE_LIFE)
    participant.preferred_protocol = wanted
    if participant.single or participant.subscriber is None:
        return []
    return subscribing.make_offer(room, participant, now, restart=True)


def ignores_resume(participant: Participant, now: float) -> bool:
    """Whether this resume is to find nobody: its socket is closed without a word."""
    if not participant.resumes_to_ignore or now > participant.ignores_resumes_until:
        return False
    participant.resumes_to_ignore -= 1
    return True


def cut_resume(participant: Participant, now: float) -> list[Effect]:
    """The socket of a resume that was answered is closed, once, where the client wanted that."""
    if now > participant.cuts_resume_until:
        return []
    participant.cuts_resume_until = float("-inf")
    return [CloseSocket(participant.sid)]
