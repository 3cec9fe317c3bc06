"""Dynacast: publishers learn which qualities of a video anybody wants, and stop encoding the rest (LIVEKIT.md 7.4)."""

from __future__ import annotations

from livekit.protocol.models import VideoQuality
from livekit.protocol.rtc import SignalResponse, SubscribedCodec, SubscribedQuality, SubscribedQualityUpdate

from signaling.effects import Effect, Notify
from signaling.participant import Participant
from signaling.room import Room, Timer
from signaling.track import Track, wished_quality

# More is asked for at once, less only after so many seconds: subscribers come and go, and a layer takes time to start.
PAUSE_DELAY = 5.0
# Seconds after its appearance in which nobody is expected to have chosen yet.
FIRST_UPDATE = 10.0

_QUALITIES = (VideoQuality.LOW, VideoQuality.MEDIUM, VideoQuality.HIGH)
# OFF is the highest number of the protocol's enum and the least of wishes.
_RANK = {VideoQuality.OFF: -1, VideoQuality.LOW: 0, VideoQuality.MEDIUM: 1, VideoQuality.HIGH: 2}


def wishes_changed(room: Room, track: Track, now: float) -> list[Effect]:
    """Asks the publisher for more at once, and sees to it that less is asked for later."""
    if track.kind != "video" or track.sid not in room.tracks:
        return []
    timer = (Timer.DYNACAST, track.sid)
    best = _wanted(track)
    if _RANK[best] > _RANK[track.offered_quality]:
        room.timers.clear(timer)
        return _ask(track, best)
    if best == track.offered_quality:
        room.timers.clear(timer)
    elif not room.timers.is_set(timer):
        room.timers.set(timer, max(now + PAUSE_DELAY, track.published_at + FIRST_UPDATE))
    return []


def wishes_settled(track: Track) -> list[Effect]:
    """The delay is over: the publisher need send no more than what is wanted."""
    best = _wanted(track)
    return _ask(track, best) if best != track.offered_quality else []


def ask_again(participant: Participant) -> list[Effect]:
    """What a publisher who resumed must know: messages may have been lost with its socket."""
    effects: list[Effect] = []
    for track in participant.tracks.values():
        if track.kind == "video" and track.offered_quality != VideoQuality.HIGH:
            effects += _ask(track, track.offered_quality)
    return effects


def _wanted(track: Track) -> VideoQuality:
    wishes = (
        wished_quality(track.info, s.subscriber.settings.get(track.sid), s.subscriber.joining.adaptive_stream)
        for s in track.subscriptions.values()
    )
    return max(wishes, key=_RANK.__getitem__, default=VideoQuality.OFF)


def _ask(track: Track, best: VideoQuality) -> list[Effect]:
    track.offered_quality = best
    if not track.publisher.attached:
        return []
    qualities = [SubscribedQuality(quality=quality, enabled=quality <= _RANK[best]) for quality in _QUALITIES]
    codec = SubscribedCodec(codec=track.info.mime_type.lower().removeprefix("video/"), qualities=qualities)
    update = SubscribedQualityUpdate(track_sid=track.sid, subscribed_qualities=qualities, subscribed_codecs=[codec])
    return [Notify((track.publisher.sid,), SignalResponse(subscribed_quality_update=update))]
