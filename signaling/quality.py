"""Quality of connections: scored from what packets went missing or came late, told when it changes (LIVEKIT.md 7.6)."""

from __future__ import annotations

from livekit.protocol.models import ConnectionQuality
from livekit.protocol.rtc import ConnectionQualityInfo, ConnectionQualityUpdate, SignalResponse

from media.events import SubscriptionMeasured, TrackMeasured
from signaling.effects import Effect, Notify
from signaling.participant import Participant, Received
from signaling.room import Room, Timer
from signaling.speaking import hears
from signaling.track import Track

# Seconds between two scorings: the engine measures as often.
INTERVAL = 5.0
BEST = 100.0
# Nothing came of a track that should come.
POOR_SCORE = 40.0
# Nothing at all comes from the client any more.
LOST_SCORE = 20.0
# Packets can't make a score worse than this: only silence can.
FLOOR = 30.0
# How much of a new score counts: a worse one is believed sooner than a better one.
DOWN, UP = 0.8, 0.4
# What one per cent of loss costs, by codec: Opus repairs some of it (in-band FEC: / 1.5), RED most.
_WEIGHTS = {"audio/opus": 8 / 1.5, "audio/red": 4 / 1.5}
_VIDEO_WEIGHT = 10.0
_AUDIO_WEIGHT = 8.0


def track_measured(participant: Participant, event: TrackMeasured) -> None:
    """Takes a layer's totals."""
    received = participant.received.setdefault(event.track, Received())
    received.packets[event.layer] = event.packets
    received.lost[event.layer] = event.lost
    received.jitter = event.jitter
    received.fresh = True


def subscription_measured(participant: Participant, event: SubscriptionMeasured) -> None:
    """Takes a receiver's report."""
    for subscription in participant.subscriptions.values():
        if subscription.number == event.subscription:
            subscription.measured = event


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
        participant.quality = _quality(_score(participant))
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
    receivers: dict[tuple[str, ...], list[str]] = {}
    for receiver in room.participants.values():
        if not receiver.attached or not receiver.has_been_active:
            continue
        concerned = tuple(
            sid
            for sid in sorted(changed | receiver.quality_due)
            if sid in room.by_sid and sid != receiver.sid and hears(receiver, room.by_sid[sid])
        )
        if receiver.sid in changed or receiver.sid in receiver.quality_due:
            own = _info(receiver, to_self=True)
            infos = [own, *(_info(room.by_sid[sid]) for sid in concerned)]
            effects.append(Notify((receiver.sid,), _message(infos)))
        elif concerned:
            receivers.setdefault(concerned, []).append(receiver.sid)
        receiver.quality_due.clear()
    effects += [
        Notify(tuple(to), _message([_info(room.by_sid[sid]) for sid in sids])) for sids, to in receivers.items()
    ]
    return effects


def _info(participant: Participant, *, to_self: bool = False) -> ConnectionQualityInfo:
    quality = participant.quality
    if quality == ConnectionQuality.LOST and (to_self or participant.protocol <= 10):
        # A client that reads LOST of itself for ten seconds starts anew (LIVEKIT.md 14, 32).
        quality = ConnectionQuality.POOR
    return ConnectionQualityInfo(participant_sid=participant.sid, quality=quality, score=_opinion(_score_of(quality)))


def _score_of(quality: ConnectionQuality) -> float:
    scores = {ConnectionQuality.EXCELLENT: BEST, ConnectionQuality.GOOD: 70.0, ConnectionQuality.POOR: POOR_SCORE}
    return scores.get(quality, LOST_SCORE)


def _message(infos: list[ConnectionQualityInfo]) -> SignalResponse:
    return SignalResponse(connection_quality=ConnectionQualityUpdate(updates=infos))


def _score(participant: Participant) -> float:
    """The worst of all that it sends and receives."""
    if participant.silent:
        return LOST_SCORE
    scores: dict[int, float] = {}
    for track in participant.tracks.values():
        scores[track.number] = _smooth(participant.scores.get(track.number, BEST), _score_sent(participant, track))
    for subscription in participant.subscriptions.values():
        before = participant.scores.get(subscription.number, BEST)
        scores[subscription.number] = _smooth(
            before, _score_received(subscription.track, subscription.measured, before)
        )
        subscription.measured = None
    participant.scores = scores
    participant.received = {number: r for number, r in participant.received.items() if number in scores}
    return min(scores.values(), default=BEST)


def _score_sent(participant: Participant, track: Track) -> float:
    received = participant.received.get(track.number)
    if received is None or not received.fresh:
        return participant.scores.get(track.number, BEST)
    packets, lost = sum(received.packets.values()), sum(received.lost.values())
    before, received.scored, received.fresh = received.scored, (packets, lost), False
    if before is None or track.info.muted or track.blocked or track.subscriptions == {}:
        return BEST
    arrived, missing = packets - before[0], max(0, lost - before[1])
    if arrived <= 0:
        return POOR_SCORE
    return _packet_score(track, missing / (arrived + missing), received.jitter, -1.0)


def _score_received(track: Track, event: SubscriptionMeasured | None, before: float) -> float:
    if event is None:
        return before
    if track.info.muted or event.layer < 0:
        return BEST
    return _packet_score(track, event.fraction_lost, event.jitter, event.rtt)


def _packet_score(track: Track, fraction_lost: float, jitter: float, rtt: float) -> float:
    mime = track.info.mime_type.lower()
    weight = _WEIGHTS.get(mime, _VIDEO_WEIGHT if track.kind == "video" else _AUDIO_WEIGHT)
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
