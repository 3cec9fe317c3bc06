"""Dynacast: publishers learn which qualities of a video anybody wants, and stop encoding the rest (LIVEKIT.md 7.4)."""

from __future__ import annotations

from livekit.protocol.models import VideoQuality
from livekit.protocol.rtc import SignalResponse, SubscribedCodec, SubscribedQuality, SubscribedQualityUpdate

from signaling.effects import Effect, Notify
from signaling.participant import Participant
from signaling.room import Room, Timer
from signaling.track import Subscription, Track, source_of, wants_backup, wished_quality

# More is asked for at once, less only after so many seconds: subscribers come and go, and a layer takes time to start.
PAUSE_DELAY = 5.0
# Seconds after its appearance in which nobody is expected to have chosen yet.
FIRST_UPDATE = 10.0

# Looked up once: a protobuf enum takes as long for a name as all else that is done here for a receiver.
_OFF, _HIGH = VideoQuality.OFF, VideoQuality.HIGH
_QUALITIES = (VideoQuality.LOW, VideoQuality.MEDIUM, VideoQuality.HIGH)
# OFF is the highest number of the protocol's enum and the least of wishes.
_RANK = {VideoQuality.OFF: -1, VideoQuality.LOW: 0, VideoQuality.MEDIUM: 1, VideoQuality.HIGH: 2}


def wish_changed(room: Room, subscription: Subscription, now: float) -> list[Effect]:
    """Asks the publisher for more at once, and sees to it that less is asked for later."""
    track = subscription.track
    if track.kind != "video" or track.sid not in room.tracks:
        return []
    timer = (Timer.DYNACAST, track.sid)
    before, subscription.wish = subscription.wish, _wish(subscription)
    if not track.backup_mime:
        # To look at all, for each who joins, would take long. Who wants less than what was asked for, and did before,
        # changes nothing; nor does who wants as much, where that is what is wanted and less does not wait its time.
        asked_rank, rank, rank_before = (_RANK[each] for each in (track.offered_quality, subscription.wish, before))
        if rank < asked_rank and rank_before < asked_rank:
            return []
        if rank <= asked_rank and (rank_before < asked_rank or rank == rank_before) and not room.timers.is_set(timer):
            return []
    best, asked = wanted(track), (track.offered_quality, track.backup_quality)
    effects: list[Effect] = []
    if any(_RANK[new] > _RANK[old] for new, old in zip(best, asked, strict=True)):
        # What is to become less waits its time.
        asked = (max(best[0], asked[0], key=_RANK.__getitem__), max(best[1], asked[1], key=_RANK.__getitem__))
        effects = _ask(track, asked)
    if best == asked:
        room.timers.clear(timer)
    elif not room.timers.is_set(timer):
        room.timers.set(timer, max(now + PAUSE_DELAY, track.published_at + FIRST_UPDATE))
    return effects


def wishes_settled(track: Track) -> list[Effect]:
    """The delay is over: the publisher need send no more than what is wanted."""
    best = wanted(track)
    return _ask(track, best) if best != (track.offered_quality, track.backup_quality) else []


def ask_again(participant: Participant) -> list[Effect]:
    """What a publisher who resumed must know: messages may have been lost with its socket."""
    return [effect for track in participant.tracks.values() for effect in media_began(track)]


def media_began(track: Track) -> list[Effect]:
    """Says again what is wanted of a video, if anything was said: clients drop what they hear while they publish it."""
    return _ask(track, (track.offered_quality, track.backup_quality)) if track.was_asked else []


def wanted(track: Track) -> tuple[VideoQuality, VideoQuality]:
    """The highest quality that anybody wants of the first codec, and of the backup."""
    best = [_OFF, _OFF]
    if not track.backup_mime:
        for s in track.subscriptions.values():
            best[0] = max(best[0], _wish(s), key=_RANK.__getitem__)
            if best[0] == _HIGH:  # nobody can want more
                break
        return best[0], best[1]
    for s in track.subscriptions.values():
        wish = _wish(s)
        backup = wants_backup(s)
        # Until the backup comes the first codec goes on.
        for codec, wanted in enumerate((not backup or source_of(s) == track.number, backup)):
            if wanted:
                best[codec] = max(best[codec], wish, key=_RANK.__getitem__)
    return best[0], best[1]


def _wish(subscription: Subscription) -> VideoQuality:
    """What a receiver wants now: nothing before its answer, and nothing once it has gone."""
    track, receiver = subscription.track, subscription.subscriber
    if subscription.section is None or track.subscriptions.get(receiver.sid) is not subscription:
        return _OFF
    return wished_quality(track.info, receiver.settings.get(track.sid), receiver.joining.adaptive_stream)


def _ask(track: Track, best: tuple[VideoQuality, VideoQuality]) -> list[Effect]:
    track.offered_quality, track.backup_quality = best
    track.was_asked = True
    if not track.publisher.attached:
        return []
    mimes = (track.info.mime_type, track.backup_mime) if track.backup_mime else (track.info.mime_type,)
    codecs = [
        SubscribedCodec(
            codec=mime.lower().removeprefix("video/"),
            qualities=[SubscribedQuality(quality=quality, enabled=quality <= _RANK[most]) for quality in _QUALITIES],
        )
        for mime, most in zip(mimes, best, strict=False)
    ]
    update = SubscribedQualityUpdate(
        track_sid=track.sid, subscribed_qualities=codecs[0].qualities, subscribed_codecs=codecs
    )
    return [Notify((track.publisher.sid,), SignalResponse(subscribed_quality_update=update))]
