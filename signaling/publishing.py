"""Publishing: a client asks for a track, offers its section, mutes it, and takes it away (LIVEKIT.md 4.6, 5.1)."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import replace

from livekit.protocol.models import (
    DisconnectReason,
    TrackSource,
    TrackType,
    VideoQuality,
)
from livekit.protocol.rtc import (
    AddTrackRequest,
    LeaveRequest,
    MuteTrackRequest,
    RequestResponse,
    SessionDescription,
    SignalRequest,
    SignalResponse,
    SubscribedAudioCodecUpdate,
    TrackPublishedResponse,
    TrackUnpublishedResponse,
)

from media.commands import AddTrack, BlockTrack, RemoveTrack, SetExtensions, SilenceTrack
from signaling import backup_codec, dynacast, speaking, subscribing, track_info, wire
from signaling import permission as permissions
from signaling.connecting import open_transport, restart_ice, start_dtls
from signaling.effects import Announce, Disconnect, Effect, Engine, Notify, TrackPublished, TrackUnpublished
from signaling.negotiation import Offered, ReceivingSection, SectionWishes
from signaling.participant import Participant, Transport
from signaling.room import Room, Timer, counts_changed, tell_changed
from signaling.sdp import SdpError
from signaling.track import Track

# Requests that may wait for their media section, and requests for a cid whose track is still there (LIVEKIT.md 5.1).
PENDING_TRACKS = 20
QUEUED_FOR_A_CID = 3

# Seconds after which a client is told that the microphone it came in with is muted: before it has an answer to its
# offer it knows no such track and would not listen, and then unmute what it takes for unmuted.
ENTRY_DELAY = 1.0

_SOURCE_LETTERS = {
    TrackSource.CAMERA: "C",
    TrackSource.MICROPHONE: "M",
    TrackSource.SCREEN_SHARE: "S",
    TrackSource.SCREEN_SHARE_AUDIO: "s",
}


def add_track(room: Room, participant: Participant, request: SignalRequest, now: float) -> list[Effect]:
    """Takes a request to publish: answers `track_published`, or why not. Others see it when its section comes."""
    wish = request.add_track
    if wish.sid:
        track = participant.tracks.get(wish.sid)
        if track is None:
            return _refuse(participant, request, RequestResponse.NOT_FOUND, "track is not published")
        backup_codec.announced(track, wish, room.numbers)
        return [_published(participant, wish.cid, track)]
    if not _may_begin(room, participant, wish):
        return _refuse_to_publish(participant, request)
    if wish.type not in (TrackType.AUDIO, TrackType.VIDEO):
        return _refuse(participant, request, RequestResponse.UNSUPPORTED_TYPE, "unsupported track type")
    allowed = room.place.settings.limit.tracks_per_participant
    total = len(participant.pending) + len(participant.tracks)
    if len(participant.pending) >= PENDING_TRACKS or (allowed and total >= allowed):
        return _refuse(participant, request, RequestResponse.LIMIT_EXCEEDED, "too many tracks")
    if wish.cid in participant.pending or any(track.cid == wish.cid for track in participant.tracks.values()):
        queue = participant.queued.setdefault(wish.cid, deque())
        if len(queue) >= QUEUED_FOR_A_CID:
            return _refuse(participant, request, RequestResponse.LIMIT_EXCEEDED, "too many requests for this track")
        queue.append(wish)
        return _refuse(participant, request, RequestResponse.QUEUED, "track of this cid is still published")
    return _begin(room, participant, wish, now)


def may_publish(room: Room, participant: Participant, kind: str, source: TrackSource) -> bool:
    """Whether the participant may publish such a track now: "audio" or "video", and what it is said to show."""
    rules = room.rules_for(participant)
    return permissions.may_publish(participant.permission, source) and (rules is None or rules.permits(kind, source))


def _may_begin(room: Room, participant: Participant, wish: AddTrackRequest) -> bool:
    return may_publish(room, participant, "video" if wish.type == TrackType.VIDEO else "audio", wish.source)


def _begin(room: Room, participant: Participant, wish: AddTrackRequest, now: float) -> list[Effect]:
    letters = ("V" if wish.type == TrackType.VIDEO else "A") + _SOURCE_LETTERS.get(wish.source, "")
    info = track_info.of_request(room.codecs_of(participant), wish, room.numbers.sid(f"TR_{letters}"))
    # Some clients publish a muted track and send its sound all the same: nobody hears who is shown as muted.
    track = Track(participant, room.numbers.media(), wish.cid, info, blocked=wish.muted, asked_at=now)
    _mute_on_entry(room, participant, track, now)
    room.place.figures.publishing(track)
    participant.pending[wish.cid] = track
    return [_published(participant, wish.cid, track), *_bind_parked(room, participant, now)]


def _mute_on_entry(room: Room, participant: Participant, track: Track, now: float) -> None:
    """Mutes a microphone that an attendee comes in with, where the rules say so; it unmutes itself if it may."""
    rules = room.rules_for(participant)
    if rules is None or not rules.mute_on_entry or not track.is_microphone or now >= participant.enters_until:
        return
    if not track.info.muted:
        track.info.muted = track.blocked = track.muted_on_entry = True


def tell_muted(room: Room, track_sid: str) -> list[Effect]:
    """Tells the owner of a track that it was muted as it came in, unless it has unmuted it meanwhile."""
    track = room.tracks.get(track_sid)
    if track is None or not track.info.muted:
        return []
    request = MuteTrackRequest(sid=track_sid, muted=True)
    told = Notify((track.publisher.sid,), SignalResponse(mute=request))
    return [told, *tell_changed(room, track.publisher, to_self=True)]


def offer(room: Room, participant: Participant, description: SessionDescription, now: float) -> list[Effect]:
    """Answers the client's offer; tracks whose sections are in it become visible, those whose sections ended go."""
    effects: list[Effect] = []
    transport = participant.publisher
    if transport is None:
        transport, effects = open_transport(room, participant, sending=False)
    try:
        offered = transport.negotiation.read_offer(description.sdp)
    except SdpError:
        return [
            *effects,
            Disconnect(participant.sid, DisconnectReason.STATE_MISMATCH, LeaveRequest.Action.RECONNECT),
        ]
    if offered.ice_restarted:
        local, restart = restart_ice(room, participant, transport)
        effects.append(restart)
    else:
        local = None
    bound, ended = _match(participant, offered)
    backups = {track.backup.cid: track for track in participant.tracks.values() if track.backup is not None}
    wishes = {section.mid: _wishes(bound.get(section.mid), section) for section in offered.sections}
    for section in offered.sections:
        if section.cid in backups and section.mid not in bound:
            wishes[section.mid] = SectionWishes(codec=backups[section.cid].backup_mime)
    answer = transport.negotiation.answer(offered, wishes, local)
    effects.append(Engine(SetExtensions(transport.number, answer.extensions)))
    effects += start_dtls(participant, transport, answer.remote)
    participant.parked = {}  # of the offer before: a request that gets its turn now must not take one of those
    for track in ended:
        effects += unpublish(room, participant, track, now)
    sections = {section.mid: section for section in answer.sections}
    fresh = [track for mid, track in bound.items() if mid in sections and _bind(participant, track, sections[mid], now)]
    participant.parked = {
        mid: section
        for mid, section in sections.items()
        if section.active and section.codecs and mid not in participant.by_mid and section.cid not in backups
    }
    for mid, track in bound.items():
        if track in fresh or _renegotiated(track, sections.get(mid)):
            effects += _add_track(transport, track)
    effects += _settle_codecs(room, participant, now)
    effects += _settle_backups(room, participant, transport, sections, now)
    reply = SessionDescription(type="answer", sdp=answer.sdp, id=description.id, mid_to_track_id=answer.mid_to_track_id)
    effects.append(Notify((participant.sid,), SignalResponse(answer=reply)))
    if participant.single:
        effects += subscribing.settled(room, participant, transport, answer.sending, now)
    return [*effects, *_show(room, participant, fresh, now), *_bind_parked(room, participant, now)]


def _match(participant: Participant, offered: Offered) -> tuple[dict[str, Track], list[Track]]:
    """Which track is in which section (LIVEKIT.md 4.6), and which tracks have lost theirs."""
    sections = {section.mid: section for section in offered.sections if section.active}
    ended = [track for mid, track in participant.by_mid.items() if mid not in sections]
    bound: dict[str, Track] = {}
    for mid, section in sections.items():
        track = participant.by_mid.get(mid)
        if track is not None and section.cid != track.cid and section.cid in participant.pending:
            ended.append(track)
            track = None
        if track is not None:
            bound[mid] = track
    free = dict(participant.pending)
    backups = {track.backup.cid for track in participant.tracks.values() if track.backup is not None}
    unbound = [section for section in sections.values() if section.mid not in bound and section.cid not in backups]
    for exact in (True, False):
        for section in unbound:
            if section.mid in bound:
                continue
            found = _pending_for(free, section, exact=exact)
            if found is not None:
                bound[section.mid] = free.pop(found.cid)
    return bound, ended


def _pending_for(pending: dict[str, Track], section: ReceivingSection, *, exact: bool) -> Track | None:
    same_kind = (track for track in pending.values() if track.kind == section.kind)
    if not exact:
        return next(same_kind, None)
    return next(
        (
            track
            for track in same_kind
            if section.cid and (section.cid == track.cid or any(c.cid == section.cid for c in track.info.codecs))
        ),
        None,
    )


def _as_wished(track: Track, section: ReceivingSection) -> ReceivingSection:
    """A section answered before its request, in whose codec a client sends that puts another first (LIVEKIT.md 4.6)."""
    wished = _wishes(track, section).codec.lower()
    return replace(section, codecs=tuple(sorted(section.codecs, key=lambda codec: codec.mime.lower() != wished)))


def _wishes(track: Track | None, section: ReceivingSection) -> SectionWishes:
    if track is None:
        # What is sent before its request may be encrypted: RED is added with the next offer where it is not.
        return SectionWishes(red=section.kind == "audio" and not section.active)
    info = track.info
    return SectionWishes(
        codec=info.codecs[0].mime_type if info.codecs and track.kind == "video" else "",
        red=not info.disable_red,
        dtx=not info.disable_dtx,
        stereo=info.stereo,
    )


def _bind(participant: Participant, track: Track, section: ReceivingSection, now: float) -> bool:
    """Joins a pending track to its answered section. False if it was joined before or the section was rejected."""
    if track.sid in participant.tracks or not section.codecs:
        return False
    participant.pending.pop(track.cid, None)
    participant.tracks[track.sid] = track
    participant.by_mid[section.mid] = track
    participant.parked.pop(section.mid, None)
    track.section = section
    track.published_at = now
    track_info.describe(track, section, now)
    return True


def _renegotiated(track: Track, section: ReceivingSection | None) -> bool:
    if section is None or not section.codecs or track.section == section:
        return False
    track.section = section
    return True


def _settle_codecs(room: Room, participant: Participant, now: float) -> list[Effect]:
    """A track that comes in another codec than before is told and offered anew."""
    effects: list[Effect] = []
    for track in participant.tracks.values():
        section = track.section
        if section is not None and section.codecs and section.codecs[0].mime != track.info.mime_type:
            track_info.describe(track, section, now)
            track.offered_quality = VideoQuality.HIGH  # what was asked for was asked of the other codec
            effects += tell_changed(room, participant, to_self=False)
            for subscription in list(track.subscriptions.values()):
                effects += subscribing.renew(room, subscription, now)
    return effects


def _settle_backups(
    room: Room, participant: Participant, transport: Transport, sections: Mapping[str, ReceivingSection], now: float
) -> list[Effect]:
    """Backup codecs whose sections were answered begin to flow, those whose sections ended are over."""
    active = {section.cid: section for section in sections.values() if section.active and section.codecs}
    effects: list[Effect] = []
    for track in participant.tracks.values():
        backup = track.backup
        if backup is None or track.section is None:
            continue
        section = active.get(backup.cid)
        if section is None and backup.section is not None:
            track.backup = None
            effects.append(Engine(RemoveTrack(transport.number, backup.number)))
        elif section is not None and section != backup.section and section.mid != track.section.mid:
            backup_codec.bind(track, section)
            effects.append(Engine(_add(transport, backup.number, "video", section)))
            if track.blocked:
                effects.append(Engine(BlockTrack(transport.number, backup.number, True)))
        else:
            continue
        effects += subscribing.connect_anew(room, track, now)
    return effects


def _add(
    transport: Transport, number: int, kind: str, section: ReceivingSection, *, measure_loudness: bool = False
) -> AddTrack:
    return AddTrack(
        transport.number,
        number,
        kind,
        section.mid,
        section.codecs,
        section.layers,
        section.streams,
        measure_loudness=measure_loudness,
    )


def _add_track(transport: Transport, track: Track) -> list[Effect]:
    section = track.section
    assert section is not None, "it was joined to its section"
    added = _add(transport, track.number, track.kind, section, measure_loudness=track.is_microphone)
    # It may have been blocked while it waited for the section.
    blocked = [Engine(BlockTrack(transport.number, track.number, True))] if track.blocked else []
    return [Engine(added), *blocked]


def _show(room: Room, participant: Participant, tracks: list[Track], now: float) -> list[Effect]:
    """Makes tracks visible: the participant is announced with them first, then they are offered (LIVEKIT.md 14, 17)."""
    if not tracks:
        return []
    effects = tell_changed(room, participant, to_self=False)
    for track in tracks:
        room.tracks[track.sid] = track
        room.place.figures.published(track, now)
        effects.append(Announce(TrackPublished(room.info(), participant.info(), track.snapshot())))
        if track.kind == "audio" and len(track.info.codecs) > 1:
            effects.append(_first_codec_alone(participant, track))
        if track.kind == "video":
            room.timers.set((Timer.DYNACAST, track.sid), now + dynacast.FIRST_UPDATE)
        if track.muted_on_entry:
            room.timers.set((Timer.ENTRY, track.sid), now + ENTRY_DELAY)
        if not participant.hidden:
            effects += subscribing.track_appeared(room, track, now)
    counts_changed(room, now)
    return effects


def _first_codec_alone(participant: Participant, track: Track) -> Notify:
    """Of sound in several codecs the first is taken: its publisher need not encode the others."""
    first = track.info.codecs[0].mime_type
    update = SubscribedAudioCodecUpdate(track_sid=track.sid)
    for codec in track.info.codecs:
        name = codec.mime_type.removeprefix("audio/").lower()
        update.subscribed_audio_codecs.add(codec=name, enabled=codec.mime_type == first)
    return Notify((participant.sid,), SignalResponse(subscribed_audio_codec_update=update))


def _bind_parked(room: Room, participant: Participant, now: float) -> list[Effect]:
    """Joins a track just asked for to a section whose media came before it (LIVEKIT.md 4.6)."""
    transport = participant.publisher
    if transport is None or not participant.parked:
        return []
    fresh: list[Track] = []
    for exact in (True, False):
        for section in list(participant.parked.values()):
            track = _pending_for(participant.pending, section, exact=exact)
            if track is not None and _bind(participant, track, _as_wished(track, section), now):
                fresh.append(track)
    added = [effect for track in fresh for effect in _add_track(transport, track)]
    return [*added, *_show(room, participant, fresh, now)]


def unpublish(
    room: Room, participant: Participant, track: Track, now: float, *, tell_owner: bool = False
) -> list[Effect]:
    """Ends a visible or pending track for everybody; `tell_owner` where it was not the owner's wish."""
    effects: list[Effect] = []
    if tell_owner:
        gone = SignalResponse(track_unpublished=TrackUnpublishedResponse(track_sid=track.sid))
        effects.append(Notify((participant.sid,), gone))
    if participant.pending.get(track.cid) is track:
        del participant.pending[track.cid]
    if participant.tracks.pop(track.sid, None) is not None:
        if track.section is not None:
            participant.by_mid.pop(track.section.mid, None)
        if participant.publisher is not None:
            numbers = [track.number, *([track.backup.number] if track.backup and track.backup.section else [])]
            effects += [Engine(RemoveTrack(participant.publisher.number, number)) for number in numbers]
        effects += _hide(room, track, now)
        if participant.present:
            effects += tell_changed(room, participant, to_self=tell_owner)
        effects.append(Announce(TrackUnpublished(room.info(), participant.info(), track.snapshot())))
        counts_changed(room, now)
    return effects + _next_queued(room, participant, track.cid, now)


def _hide(room: Room, track: Track, now: float) -> list[Effect]:
    room.tracks.pop(track.sid, None)
    room.timers.clear((Timer.DYNACAST, track.sid))
    room.timers.clear((Timer.ENTRY, track.sid))
    effects = subscribing.track_vanished(room, track, now)
    speaking.forget(room, track, now)
    return effects


def withdraw_all(room: Room, participant: Participant, now: float) -> list[Effect]:
    """Takes a participant's tracks from those who receive them; to the engine and to their owner nothing happens."""
    effects: list[Effect] = []
    for track in participant.tracks.values():
        effects += _hide(room, track, now)
        effects.append(Announce(TrackUnpublished(room.info(), participant.info(), track.snapshot())))
    return effects


def show_all(room: Room, participant: Participant, now: float) -> list[Effect]:
    """Makes all that a participant sends visible in the room that it was moved to."""
    return _show(room, participant, list(participant.tracks.values()), now)


def unpublish_all(room: Room, participant: Participant, now: float) -> list[Effect]:
    """Ends all tracks of a participant who leaves."""
    participant.queued.clear()
    effects: list[Effect] = []
    for track in [*participant.tracks.values(), *participant.pending.values()]:
        effects += unpublish(room, participant, track, now)
    return effects


def _next_queued(room: Room, participant: Participant, cid: str, now: float) -> list[Effect]:
    """The next request for the cid gets its turn; those that are no longer allowed are refused."""
    effects: list[Effect] = []
    queue = participant.queued.get(cid)
    while queue and participant.present:
        wish = queue.popleft()
        if not queue:
            del participant.queued[cid]
        if _may_begin(room, participant, wish):
            return [*effects, *_begin(room, participant, wish, now)]
        effects += _refuse_to_publish(participant, SignalRequest(add_track=wish))
    return effects


def mute(room: Room, participant: Participant, request: SignalRequest, now: float) -> list[Effect]:
    """The publisher says that it has muted or unmuted a track of its own."""
    track = participant.track(request.mute.sid)
    if track is None:
        return _refuse(participant, request, RequestResponse.NOT_FOUND, "track not found")
    effects: list[Effect] = []
    if not request.mute.muted:
        effects += block(participant, track, blocked=False)
    return effects + set_muted(room, participant, track, request.mute.muted, now)


def set_muted(room: Room, participant: Participant, track: Track, muted: bool, now: float) -> list[Effect]:
    """Marks the track and tells everybody, its owner too; nothing when it was so already."""
    if track.info.muted == muted:
        return []
    track.info.muted = muted
    effects: list[Effect] = []
    if muted:
        speaking.forget(room, track, now)
        if track.kind == "audio" and track.sid in participant.tracks and participant.publisher is not None:
            trailer = room.trailer(track.info.encryption)
            effects.append(Engine(SilenceTrack(participant.publisher.number, track.number, trailer)))
    return [*effects, *tell_changed(room, participant, to_self=True)] if track.sid in participant.tracks else []


def block(participant: Participant, track: Track, *, blocked: bool) -> list[Effect]:
    """Drops the track's packets, or lets them through again; those of a pending track once it has its section."""
    if track.blocked == blocked:
        return []
    track.blocked = blocked
    if participant.publisher is None or track.section is None:
        return []
    numbers = [track.number, *([track.backup.number] if track.backup and track.backup.section else [])]
    return [Engine(BlockTrack(participant.publisher.number, number, blocked)) for number in numbers]


def update_audio_track(room: Room, participant: Participant, request: SignalRequest, now: float) -> list[Effect]:
    """Replaces the features of an audio track."""
    track = participant.track(request.update_audio_track.track_sid)
    if track is None:
        return _refuse(participant, request, RequestResponse.NOT_FOUND, "track not found")
    track_info.set_features(track.info, list(request.update_audio_track.features))
    return tell_changed(room, participant, to_self=False)


def update_video_track(room: Room, participant: Participant, request: SignalRequest, now: float) -> list[Effect]:
    """Replaces the size of a video track."""
    track = participant.track(request.update_video_track.track_sid)
    if track is None:
        return _refuse(participant, request, RequestResponse.NOT_FOUND, "track not found")
    track.info.width, track.info.height = request.update_video_track.width, request.update_video_track.height
    return tell_changed(room, participant, to_self=False)


def _published(participant: Participant, cid: str, track: Track) -> Notify:
    return Notify((participant.sid,), SignalResponse(track_published=TrackPublishedResponse(cid=cid, track=track.info)))


def _refuse_to_publish(participant: Participant, request: SignalRequest) -> list[Effect]:
    return _refuse(participant, request, RequestResponse.NOT_ALLOWED, "does not have permission to publish")


def _refuse(
    participant: Participant, request: SignalRequest, reason: RequestResponse.Reason, message: str
) -> list[Effect]:
    return [Notify((participant.sid,), wire.refusal(reason, message, request))]
