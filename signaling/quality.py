"""Quality of connections: scored from packets missing or late and layers held back, told when it changes.

LIVEKIT.md 7.6, without its comparison of bitrates: what a publisher sends is what its encoder finds fit for the scene
and for our own feedback, and what a subscriber is not sent shows in its layers.
"""

from __future__ import annotations

import math

from livekit.protocol.models import ConnectionQuality, VideoQuality
from livekit.protocol.rtc import ConnectionQualityInfo, ConnectionQualityUpdate, SignalResponse

from media.events import Choice
from signaling.effects import Effect, Notify
from signaling.participant import Participant
from signaling.readings import SubscriptionReading
from signaling.room import Room, Timer
from signaling.speaking import hears
from signaling.track import Subscription, Track, layer_of

# Seconds between two scorings: the engine measures as often.
INTERVAL = 5.0
BEST = 100.0
# Nothing came of a track that should come.
POOR_SCORE = 40.0
# Nothing at all comes from the client any more.
LOST_SCORE = 20.0
# Packets can't make a score worse than this: only silence can.
FLOOR = 30.0
# What each layer costs that is wanted, there, and held back.
_LAYER_COST = 35.0
# How much of a new score counts: a worse one is believed sooner than a better one.
DOWN, UP = 0.8, 0.4
# What one per cent of loss costs, by codec: Opus repairs some of it (in-band FEC: / 1.5), RED most.
_WEIGHTS = {"audio/opus": 8 / 1.5, "audio/red": 4 / 1.5}
_VIDEO_WEIGHT = 10.0
_AUDIO_WEIGHT = 8.0
# Clients up to this version do not know LOST (LIVEKIT.md 1.8).
_PROTOCOL_WITHOUT_LOST = 10


def tell_later(receiver: Participant, participant: Participant) -> None:
    """The receiver is to learn the participant's quality with the next scoring."""
    receiver.quality_due.add(participant.sid)


def score_all(room: Room, now: float) -> list[Effect]:
    """Scores everybody, tells what changed, and sets the time of the next scoring."""
    if room.participants:
        room.timers.set((Timer.QUALITY, ""), now + INTERVAL)
    changed = set()
    for participant in room.participants.values():
        before = participant.quality
        score = _score(participant, now)
        participant.quality = _quality(score)
        room.place.figures.scored(participant.quality, _opinion(score))
        if participant.quality != before:
            changed.add(participant.sid)
    return _tell(room, changed)


def silent(room: Room, participant: Participant) -> list[Effect]:
    """Nothing is heard from the participant: the others learn it at once."""
    if participant.quality == ConnectionQuality.LOST:
        return []
    participant.quality = ConnectionQuality.LOST
    return _tell(room, {participant.sid})


def _tell(room: Room, changed: set[str]) -> list[Effect]:
    effects: list[Effect] = []
    receivers: dict[tuple[bool, tuple[str, ...]], list[str]] = {}
    for receiver in room.participants.values():
        if not receiver.attached or not receiver.has_been_active:
            continue
        concerned = tuple(
            sid
            for sid in sorted(changed | receiver.quality_due)
            if sid in room.by_sid and sid != receiver.sid and hears(receiver, room.by_sid[sid])
        )
        knows_lost = receiver.protocol > _PROTOCOL_WITHOUT_LOST
        if receiver.sid in changed or receiver.sid in receiver.quality_due:
            # A client that reads LOST of itself for ten seconds starts anew (LIVEKIT.md 14, 32).
            own = _info(receiver, lost=False)
            infos = [own, *(_info(room.by_sid[sid], lost=knows_lost) for sid in concerned)]
            effects.append(Notify((receiver.sid,), _message(infos)))
        elif concerned:
            receivers.setdefault((knows_lost, concerned), []).append(receiver.sid)
        receiver.quality_due.clear()
    effects += [
        Notify(tuple(to), _message([_info(room.by_sid[sid], lost=knows_lost) for sid in sids]))
        for (knows_lost, sids), to in receivers.items()
    ]
    return effects


def _info(participant: Participant, *, lost: bool) -> ConnectionQualityInfo:
    """Its quality for one who reads it; without `lost` that is POOR at the worst."""
    quality = participant.quality
    if quality == ConnectionQuality.LOST and not lost:
        quality = ConnectionQuality.POOR
    return ConnectionQualityInfo(participant_sid=participant.sid, quality=quality, score=_opinion(_score_of(quality)))


def _score_of(quality: ConnectionQuality) -> float:
    scores = {ConnectionQuality.EXCELLENT: BEST, ConnectionQuality.GOOD: 70.0, ConnectionQuality.POOR: POOR_SCORE}
    return scores.get(quality, LOST_SCORE)


def _message(infos: list[ConnectionQualityInfo]) -> SignalResponse:
    return SignalResponse(connection_quality=ConnectionQualityUpdate(updates=infos))


def _score(participant: Participant, now: float) -> float:
    """The worst of all that it sends and receives."""
    since, participant.scored_at = participant.scored_at, now
    if participant.silent:
        return LOST_SCORE
    scores: dict[int, float] = {}
    for track in participant.tracks.values():
        before = participant.scores.get(track.number, BEST)
        scores[track.number] = _smooth(before, _score_sent(participant, track, since, before))
    for subscription in participant.subscriptions.values():
        before = participant.scores.get(subscription.number, BEST)
        scores[subscription.number] = _smooth(before, _score_received(participant, subscription, since, before))
    participant.scores = scores
    participant.usual_rates = {number: rate for number, rate in participant.usual_rates.items() if number in scores}
    return min(scores.values(), default=BEST)


def _score_sent(participant: Participant, track: Track, since: float, before: float) -> float:
    fresh = [reading for reading in track.readings.values() if reading.at > since]
    if not fresh:
        return before
    is_asked_for = track.subscriptions and track.offered_quality != VideoQuality.OFF
    if not any(reading.window for reading in fresh) or track.info.muted or track.blocked or not is_asked_for:
        return BEST
    rate = sum(reading.packet_rate for reading in fresh)
    if not rate:
        return POOR_SCORE
    lost = sum(reading.lost / reading.window for reading in fresh if reading.window)
    jitter = max(reading.measured.jitter for reading in fresh)
    weight = _weight(participant, track, track.number, rate)
    return min(_packet_score(weight, lost / (rate + lost), jitter, -1.0), _layer_score(_missed_sent(track)))


def _missed_sent(track: Track) -> int:
    """Layers that were sent before, are asked for, and did not come at all for a whole window."""
    if track.kind != "video" or len(track.readings) < 2:
        return 0
    highest = max(track.readings)
    asked = min(highest, layer_of(track.info, track.offered_quality, highest + 1))
    come = [layer for layer, reading in track.readings.items() if reading.packet_rate or not reading.window]
    return max(0, asked - max(come, default=asked))


def _score_received(participant: Participant, subscription: Subscription, since: float, before: float) -> float:
    reading: SubscriptionReading | None = subscription.reading
    if reading is None or reading.at <= since:
        return before
    choice, track = reading.measured.choice, subscription.track
    if choice.paused:
        return FLOOR
    if track.info.muted or choice.layer < 0:
        return BEST
    reported = reading.measured.reported
    weight = _weight(participant, track, subscription.number, reading.packet_rate)
    packets = _packet_score(weight, reported.fraction_lost, reported.jitter, reported.rtt)
    return min(packets, _layer_score(_missed_received(choice)))


def _missed_received(choice: Choice) -> int:
    """Layers that are wanted and there, and not aimed at. One that only waits for its key frame is not missed."""
    if choice.wanted < 0 or not choice.available:
        return 0
    return max(0, min(choice.wanted, max(choice.available)) - choice.target)


def _layer_score(missed: int) -> float:
    return max(FLOOR, BEST - _LAYER_COST * missed)


def _weight(participant: Participant, track: Track, number: int, rate: float) -> float:
    """What one per cent of loss costs: less while fewer packets come than usual (silence, a still screen)."""
    mime = track.info.mime_type.lower()
    weight = _WEIGHTS.get(mime, _VIDEO_WEIGHT if track.kind == "video" else _AUDIO_WEIGHT)
    usual = max(rate, participant.usual_rates.get(number, 0.0))
    participant.usual_rates[number] = usual
    return weight * math.sqrt(rate / usual) if rate else weight


def _packet_score(weight: float, fraction_lost: float, jitter: float, rtt: float) -> float:
    delay = 1000 * (max(0.0, rtt) / 2 + 2 * jitter)
    late = delay / 40 if delay < 160 else (delay - 120) / 10
    return max(FLOOR, BEST - late - 100 * fraction_lost * weight)


def _smooth(before: float, score: float) -> float:
    if score == POOR_SCORE:  # nothing came: there is nothing to wait for
        return score
    share = DOWN if score < before else UP
    return before + share * (score - before)


def _quality(score: float) -> ConnectionQuality:
    if score > 80:
        return ConnectionQuality.EXCELLENT
    if score > 40:
        return ConnectionQuality.GOOD
    return ConnectionQuality.POOR if score > LOST_SCORE else ConnectionQuality.LOST


def _opinion(score: float) -> float:
    """A score of 0..100 as a mean opinion of 1..4.5 (ITU-T G.107 annex B)."""
    return max(1.0, min(4.5, 1 + 0.035 * score + score * (score - 60) * (100 - score) * 7e-6))
