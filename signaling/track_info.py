"""TrackInfo: what is told of a track, made of the client's request for it and then of its media section."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from livekit.protocol.models import (
    AudioTrackFeature,
    BackupCodecPolicy,
    Encryption,
    SimulcastCodecInfo,
    TimedVersion,
    TrackInfo,
    TrackSource,
    TrackType,
    VideoLayer,
)
from livekit.protocol.rtc import AddTrackRequest

from signaling.negotiation import ReceivingSection
from signaling.track import Track

_STREAMS = {
    TrackSource.CAMERA: "camera",
    TrackSource.MICROPHONE: "camera",
    TrackSource.SCREEN_SHARE: "screen",
    TrackSource.SCREEN_SHARE_AUDIO: "screen",
}
_SCALABLE = ("video/vp9", "video/av1")


def of_request(codecs: Sequence[str], wish: AddTrackRequest, sid: str) -> TrackInfo:
    """What a track is, by the request for it (LIVEKIT.md 5.1); `codecs` are MIME types that may be published."""
    features = list(wish.audio_features)
    if wish.stereo:
        features.append(AudioTrackFeature.TF_STEREO)
    if wish.disable_dtx:
        features.append(AudioTrackFeature.TF_NO_DTX)
    info = TrackInfo(
        sid=sid,
        type=wish.type,
        name=wish.name,
        muted=wish.muted,
        width=wish.width,
        height=wish.height,
        source=wish.source,
        # Whoever does not take RED could be given no Opus out of an encrypted packet (LIVEKIT.md 14, 39).
        disable_red=wish.disable_red or wish.encryption != Encryption.NONE,
        encryption=wish.encryption,
        stream=wish.stream or _STREAMS.get(wish.source, "unknown"),
        layers=layers_of(wish.layers),
        backup_codec_policy=wish.backup_codec_policy,
        packet_trailer_features=wish.packet_trailer_features,
    )
    if wish.type == TrackType.AUDIO and wish.backup_codec_policy != BackupCodecPolicy.REGRESSION:
        info.backup_codec_policy = BackupCodecPolicy.SIMULCAST
    if wish.type == TrackType.VIDEO and not info.layers:
        info.layers.add(quality=2, width=wish.width, height=wish.height)
    set_features(info, features)
    for wished in wish.simulcast_codecs:
        # A backup codec gets its cid when it is asked for.
        if wished.codec and (wished.cid or info.codecs):
            mime = _enabled_mime(codecs, wish.type, wished.codec)
            if any(codec.mime_type == mime for codec in info.codecs):
                continue
            layers = layers_of(wished.layers) or info.layers
            codec = SimulcastCodecInfo(mime_type=mime, cid=wished.cid, layers=layers)
            codec.video_layer_mode = wished.video_layer_mode or _layer_mode(mime)
            info.codecs.append(codec)
    if info.codecs:
        info.mime_type = info.codecs[0].mime_type
    return info


def _layer_mode(mime: str) -> VideoLayer.Mode:
    """How encoders of a codec send spatial layers, where the client does not say."""
    if not mime.lower().startswith("video/"):
        return VideoLayer.Mode.MODE_UNUSED
    if mime.lower() in _SCALABLE:
        return VideoLayer.Mode.MULTIPLE_SPATIAL_LAYERS_PER_STREAM
    return VideoLayer.Mode.ONE_SPATIAL_LAYER_PER_STREAM


def layers_of(layers: Iterable[VideoLayer]) -> list[VideoLayer]:
    """Layers from low to high."""
    return sorted(layers, key=lambda layer: layer.quality)


def set_features(info: TrackInfo, features: list[AudioTrackFeature]) -> None:
    """Puts audio features in, each once, and mirrors them into the older flags."""
    unique = list(dict.fromkeys(features))
    info.audio_features[:] = unique
    info.stereo = AudioTrackFeature.TF_STEREO in unique
    info.disable_dtx = AudioTrackFeature.TF_NO_DTX in unique


def _enabled_mime(codecs: Sequence[str], kind: TrackType, codec: str) -> str:
    """The wished codec as a mime type, or the first enabled one of its kind in its place (LIVEKIT.md 4.7)."""
    prefix = "video/" if kind == TrackType.VIDEO else "audio/"
    wished = (codec if "/" in codec else prefix + codec).lower()
    enabled = [mime for mime in codecs if mime.lower().startswith(prefix)]
    return next((mime for mime in enabled if mime.lower() == wished), enabled[0] if enabled else wished)


def describe(track: Track, section: ReceivingSection, now: float) -> None:
    """Writes what the section says into the track's info."""
    info = track.info
    info.mime_type = section.codecs[0].mime
    info.mid = section.mid
    info.simulcast = len(section.layers) > 1
    info.version.CopyFrom(TimedVersion(unix_micro=int(now * 1_000_000)))
    if not info.codecs:
        info.codecs.add(mime_type=info.mime_type, cid=track.cid, layers=info.layers)
    codec = info.codecs[0]
    if codec.mime_type != info.mime_type or not codec.video_layer_mode:
        codec.video_layer_mode = _layer_mode(info.mime_type)
    if section.layers:
        codec.video_layer_mode = VideoLayer.Mode.ONE_SPATIAL_LAYER_PER_STREAM
    codec.mime_type = info.mime_type
    codec.mid = section.mid
    if section.cid and section.cid != codec.cid:
        codec.sdp_cid = section.cid
    for layers in (info.layers, codec.layers):
        for index, layer in enumerate(layers):
            layer.spatial_layer = index
            layer.rid = section.layers[index] if index < len(section.layers) else ""
            layer.ssrc = section.streams[index].ssrc if index < len(section.streams) else 0
