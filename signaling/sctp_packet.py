"""Whether an SCTP packet is sound enough to be handed on (RFC 9260 section 3). Pure.

aiortc believes the lengths inside chunks: a parameter of length 0 sends it round for ever, a short chunk makes it
raise.
"""

from __future__ import annotations

from struct import Struct, unpack_from

_COMMON_HEADER = 12
_CHUNK_HEADER = Struct("!BBH")

_DATA, _INIT, _INIT_ACK, _SACK, _HEARTBEAT, _HEARTBEAT_ACK, _ABORT, _SHUTDOWN = range(8)
_ERROR, _RECONFIG, _FORWARD_TSN = 9, 130, 192

# The shortest legal body of the chunks that have fields (RFC 9260 section 3.3, RFC 3758 section 3.2).
_SHORTEST_BODY = {_DATA: 13, _INIT: 16, _INIT_ACK: 16, _SACK: 12, _SHUTDOWN: 4, _FORWARD_TSN: 4}
# Where the list of parameters begins in the body of the chunks that have one.
_PARAMETERS_AT = {_INIT: 16, _INIT_ACK: 16, _HEARTBEAT: 0, _HEARTBEAT_ACK: 0, _ABORT: 0, _ERROR: 0, _RECONFIG: 0}
# The shortest legal parameters of a RE-CONFIG chunk: a request to reset streams, one to add some, and the answer
# (RFC 6525 section 4).
_SHORTEST_RECONFIG = {13: 16, 17: 12, 16: 12}


def count_chunks(packet: bytes) -> int:
    """The number of chunks; 0 when a length in the packet is wrong or an INIT is not alone."""
    count, position, has_init = 0, _COMMON_HEADER, False
    while position + _CHUNK_HEADER.size <= len(packet):
        kind, _, length = _CHUNK_HEADER.unpack_from(packet, position)
        body, end = position + _CHUNK_HEADER.size, position + length
        if end > len(packet) or not _is_sound(packet, kind, body, end):
            return 0
        has_init = has_init or kind == _INIT
        position = end + -length % 4
        count += 1
    return 0 if has_init and count > 1 else count


def _is_sound(packet: bytes, kind: int, body: int, end: int) -> bool:
    length = end - body
    if length < _SHORTEST_BODY.get(kind, 0):
        return False
    if kind == _SACK:
        return bool(length == 12 + 4 * sum(unpack_from("!HH", packet, body + 8)))
    if kind == _FORWARD_TSN:
        return length % 4 == 0
    return kind not in _PARAMETERS_AT or _has_sound_parameters(packet, kind, body + _PARAMETERS_AT[kind], end)


def _has_sound_parameters(packet: bytes, chunk: int, position: int, end: int) -> bool:
    while position + 4 <= end:
        kind, length = unpack_from("!HH", packet, position)
        if length < 4 or position + length > end:
            return False
        if chunk == _RECONFIG and (length < _SHORTEST_RECONFIG.get(kind, 4) or length % 2):
            return False
        position += length + -length % 4
    return True
