"""Speaking: who is heard now, told as changes to those who receive them (LIVEKIT.md 7.5)."""

from __future__ import annotations

import math

from livekit.protocol.models import SpeakerInfo
from livekit.protocol.rtc import SignalResponse, SpeakersChanged

from signaling.effects import Effect, Notify
from signaling.participant import Participant
from signaling.room import Room, Timer
from signaling.track import Track

# Speakers are told at most this often, in seconds.
UPDATE_INTERVAL = 0.4
# Measurements of the same moment come one after another; they are gathered for this long, in seconds.
GATHER = 0.02
# -35 dBov as a linear level: quieter is not speech.
ACTIVE_LEVEL = 10 ** (-35 / 20)
# Levels are told in eighths, so that small changes cost nothing.
STEPS = 8


def measured(room: Room, track: Track, loudness: float, now: float) -> None:
    """Takes a microphone's loudness, 0..1."""
    track.loudness = 0.0 if track.info.muted or track.blocked else loudness
    _tell_later(room, track.publisher, now)


def forget(room: Room, track: Track, now: float) -> None:
    """A microphone was muted or is gone."""
    if track.loudness:
        track.loudness = 0.0
        _tell_later(room, track.publisher, now)


def _tell_later(room: Room, participant: Participant, now: float) -> None:
    timer = (Timer.SPEAKERS, "")
    if _level(participant) != room.speakers.get(participant.sid, 0.0) and not room.timers.is_set(timer):
        room.timers.set(timer, max(now + GATHER, room.speakers_told_at + UPDATE_INTERVAL))


def _level(participant: Participant) -> float:
    loudest = max((track.loudness for track in participant.tracks.values()), default=0.0)
    return math.ceil(loudest * STEPS) / STEPS if loudest >= ACTIVE_LEVEL else 0.0


def tell(room: Room, now: float) -> list[Effect]:
    """Tells changed levels: to each receiver those it is subscribed to, and itself."""
    room.speakers_told_at = now
    changed: list[tuple[Participant, SpeakerInfo]] = []
    for participant in room.participants.values():
        level = _level(participant)
        if level != room.speakers.get(participant.sid, 0.0):
            changed.append((participant, _info(participant, level)))
            if level:
                room.speakers[participant.sid] = level
            else:
                del room.speakers[participant.sid]
    receivers: dict[tuple[int, ...], list[str]] = {}
    for receiver in room.participants.values():
        heard = tuple(i for i, (speaker, _) in enumerate(changed) if hears(receiver, speaker))
        if heard and receiver.attached:
            receivers.setdefault(heard, []).append(receiver.sid)
    return [Notify(tuple(to), _message(*(changed[i][1] for i in heard))) for heard, to in receivers.items()]


def hears(receiver: Participant, speaker: Participant) -> bool:
    """Whether it is to be told of the speaker: itself, and those it receives something from."""
    return receiver is speaker or any(sid in receiver.subscriptions for sid in speaker.tracks)


def tell_subscribed(room: Room, receiver: Participant, speaker: Participant) -> list[Effect]:
    """A new subscriber learns that the publisher speaks now."""
    level = room.speakers.get(speaker.sid)
    if level is None or not receiver.attached:
        return []
    return [Notify((receiver.sid,), _message(_info(speaker, level)))]


def tell_unsubscribed(room: Room, receiver: Participant, speaker: Participant) -> list[Effect]:
    """Who no longer receives anything from a speaker hears of no end either, so it is told now."""
    if speaker.sid not in room.speakers or hears(receiver, speaker) or not receiver.attached:
        return []
    return [Notify((receiver.sid,), _message(_info(speaker, 0.0)))]


def _info(speaker: Participant, level: float) -> SpeakerInfo:
    return SpeakerInfo(sid=speaker.sid, level=level, active=level > 0)


def _message(*speakers: SpeakerInfo) -> SignalResponse:
    return SignalResponse(speakers_changed=SpeakersChanged(speakers=speakers))
