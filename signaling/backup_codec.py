"""Backup codecs (LIVEKIT.md 4.7, 5.1): a second codec of a video, sent once somebody cannot decode the first."""

from __future__ import annotations

from livekit.protocol.models import BackupCodecPolicy
from livekit.protocol.rtc import AddTrackRequest

from media.commands import Codec
from signaling.negotiation import ReceivingSection
from signaling.numbering import Numbers
from signaling.track import Backup, Subscription, Track, takes

# As browsers send H264; the others have no parameters that matter to an offer.
_FMTP = {"video/h264": "packetization-mode=1"}


def announced(track: Track, wish: AddTrackRequest, numbers: Numbers) -> None:
    """The client is about to send the backup codec of a track that it publishes; anything else is ignored."""
    if not wish.simulcast_codecs or not track.backup_mime or track.backup is not None:
        return
    wished = wish.simulcast_codecs[0]
    if not wished.cid or f"video/{wished.codec}".lower() != track.backup_mime.lower():
        return
    track.backup = Backup(numbers.media(), wished.cid, track.backup_mime)
    track.info.codecs[1].cid = wished.cid


def offered(track: Track, section: ReceivingSection) -> tuple[Codec, ...]:
    """What is offered to receivers of a track: its first codec and, whether it comes already or not, the backup."""
    if track.kind == "audio":
        return section.codecs
    codecs = tuple(codec for codec in section.codecs if codec.mime == track.info.mime_type)
    if not track.backup_mime:
        return codecs
    fmtp = _FMTP.get(track.backup_mime.lower(), "")
    return (*codecs, Codec(96, track.backup_mime, 90_000, 0, fmtp, 97, True, True, True, True))


def regress(subscription: Subscription) -> None:
    """Where a receiver takes the backup alone all others are to get it too, unless the publisher sends both."""
    track, section = subscription.track, subscription.section
    if section is None or not track.backup_mime or takes(section, track.info.mime_type):
        return
    track.regressed |= track.info.backup_codec_policy != BackupCodecPolicy.SIMULCAST


def bind(track: Track, section: ReceivingSection) -> None:
    """The backup codec has its media section, at first or anew."""
    backup = track.backup
    assert backup is not None, "the section was found by it"
    backup.section = section
    codec = track.info.codecs[1]
    codec.mid = section.mid
    codec.mime_type = section.codecs[0].mime
    for index, layer in enumerate(codec.layers):
        layer.spatial_layer = index
        layer.rid = section.layers[index] if index < len(section.layers) else ""
