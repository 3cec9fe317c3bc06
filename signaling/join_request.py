"""The `join_request` of a URL: what a client with a single PeerConnection says when it joins (LIVEKIT.md 1.5). Pure."""

from __future__ import annotations

import base64
import zlib

from google.protobuf.message import DecodeError
from livekit.protocol.rtc import JoinRequest, WrappedJoinRequest

from signaling.token import ClaimRefused

MAX_SIZE = 1 << 20
"""Bytes of a request, packed and unpacked: LiveKit's limit of a header."""
MAX_TRACKS = 100
"""Tracks that it may ask to publish. Twenty may wait at once, with three more of each cid (publishing.py); and a
megabyte holds half a million requests, each of which is answered before anybody else's turn."""
_GZIP = 16 + zlib.MAX_WBITS


def read(text: str) -> JoinRequest:
    """Reads base64 of either alphabet, padded or not, of a WrappedJoinRequest. Raises ClaimRefused, which is a 400."""
    if len(text) > MAX_SIZE:
        raise ClaimRefused(f"join request too large: {len(text)} characters, {MAX_SIZE} may be")
    plain = text.rstrip("=").replace("+", "-").replace("/", "_")
    try:
        wrapped = WrappedJoinRequest.FromString(
            base64.b64decode(plain + "=" * (-len(plain) % 4), altchars=b"-_", validate=True)
        )
        request = JoinRequest.FromString(_unpacked(wrapped))
    except (ValueError, DecodeError, zlib.error) as error:
        raise ClaimRefused(f"join_request: base64url of a WrappedJoinRequest expected: {error}") from None
    if len(request.add_track_requests) > MAX_TRACKS:
        asked = len(request.add_track_requests)
        raise ClaimRefused(f"join request too large: {asked} tracks, {MAX_TRACKS} may be")
    return request


def _unpacked(wrapped: WrappedJoinRequest) -> bytes:
    if wrapped.compression == WrappedJoinRequest.NONE:
        return wrapped.join_request
    if wrapped.compression != WrappedJoinRequest.GZIP:
        raise ClaimRefused(f"join_request: compression NONE or GZIP expected, {wrapped.compression} received")
    unpacking = zlib.decompressobj(_GZIP)
    unpacked = unpacking.decompress(wrapped.join_request, MAX_SIZE)
    if unpacking.unconsumed_tail:
        raise ClaimRefused(f"join request too large: more than {MAX_SIZE} bytes unpacked")
    if not unpacking.eof:
        raise ClaimRefused("join_request: the gzip data ends too early")
    return unpacked
