"""DTLS and data channels with one client over the engine's datagrams; the only file that touches aiortc.

DTLS is `dtls.py`; SCTP is aiortc's `RTCSctpTransport`, whose private names are used here (a test guards them). None of
its coroutines ever waits, because sending to the engine does not: so they are run to their end at once, without tasks.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Coroutine, Mapping, Sequence
from struct import unpack_from
from typing import Any, Protocol, cast

from aiortc import rtcsctptransport as sctp
from aiortc import utils as serial
from aiortc.rtcdatachannel import RTCDataChannel, RTCDataChannelParameters
from aiortc.rtcdtlstransport import RTCDtlsTransport
from aiortc.rtcsctptransport import RTCSctpCapabilities, RTCSctpTransport

from signaling.dtls import Dtls, DtlsFailed, SrtpKeys, is_client_hello, local_fingerprint
from signaling.sctp_packet import count_chunks

__all__ = ["CHANNELS", "MAX_MESSAGE_SIZE", "DtlsTransport", "SrtpKeys", "TransportListener", "local_fingerprint"]

logger = logging.getLogger(__name__)

# Labels that we open, and whether they are reliable and ordered (LIVEKIT.md 6.1).
CHANNELS = {"_reliable": True, "_lossy": False, "_data_track": False}
# Bytes of a message: what our SDP says (a=max-message-size), RFC 8841 section 6.1.
MAX_MESSAGE_SIZE = 65536
# The port of every WebRTC client's association, and of ours in the SDP (RFC 8841 section 5.1).
SCTP_PORT = 5000

# Seconds from the first datagram to the end of the handshake: LiveKit gives DTLS and SCTP 10 to 20 (LIVEKIT.md 4.8).
_HANDSHAKE_LIMIT = 20.0
# Seconds until a flight that nothing answered is sent again, at first and at most; each wait is twice the last. OpenSSL
# begins with a second (RFC 6347 section 4.2.4.1), clients of WebRTC with 50 ms or two round trips: all media waits.
_REPEAT_FIRST = 0.2
_REPEAT_MOST = 0.8
# Our last flight is answered by nothing that shows here: it goes once more after so long. A client that missed it would
# wait for longer before it asks.
_REPEAT_LAST = 0.1
# A ClientHello that comes again shows that our answer was lost: that then goes at once, so often at most.
_REPEAT_SPACING = 0.05
# A client may send its ClientHello before its SDP reaches us: so many datagrams wait for it.
_EARLY_DATAGRAMS = 16
# Bytes that wait on one channel before messages are refused: seconds of chat for the reliable one, and for the others
# one message of the largest size, since what waits there is late already.
_RELIABLE_BUFFER = 1 << 20
_LOSSY_BUFFER = MAX_MESSAGE_SIZE
# Bytes in flight towards one client. aiortc's window grows without end on a good path.
_FLIGHT_LIMIT = 1 << 18
# Chunks that may wait for missing ones before them, over all streams: twice what 64 KiB messages and 256 KiB in flight
# need. What is above is not acknowledged and comes again.
_HELD_CHUNKS = 512
_CHANNELS_PER_CLIENT = 32
# Streams on which a client may send: those of its channels, and of channels that it closed.
_STREAMS = 256
_LABEL_LENGTH = 256
# SCTP timers in seconds: what browsers use (RFC 9260 section 16 has 1 and 3, for paths of the whole Internet in 1990s).
_RTO_MIN = 0.4
_RTO_INITIAL = 1.0
# Chunks that one client may have handled in a second, and at once: at some 40 us each a fifth of the event loop.
_CHUNKS_PER_SECOND = 5000.0
_CHUNK_BURST = 5000.0


class TransportListener(Protocol):
    """Hears of a transport. Called on the event loop, from `start`, `feed` or a timer; it may call `stop`."""

    def send_datagram(self, data: bytes) -> None:
        """A DTLS datagram for the client, at most 1,232 bytes; called from `send` and `stop` too."""

    def connected(self, keys: SrtpKeys) -> None:
        """The handshake is complete and the client's certificate is the one that its SDP named."""

    def channel_opened(self, label: str) -> None:
        """The channel can be written to. Labels may repeat; the newest is the one written to."""

    def channel_closed(self, label: str) -> None:
        """The client closed the channel."""

    def message(self, label: str, data: bytes | str) -> None:
        """A message from the client, at most MAX_MESSAGE_SIZE bytes; str when it was sent as a string."""

    def failed(self, reason: str) -> None:
        """The handshake failed or the client broke the protocol: the transport is over."""

    def closed(self) -> None:
        """The client ended DTLS or SCTP: the transport is over."""


class DtlsTransport:
    """DTLS and data channels with one client, over one ICE transport. It belongs to the running event loop."""

    def __init__(self, listener: TransportListener) -> None:
        self._listener = listener
        self._loop = asyncio.get_running_loop()
        self._early: list[bytes] = []
        self._dtls: Dtls | None = None
        self._association: _Association | None = None
        self._labels: tuple[str, ...] = ()
        # The last datagrams of the handshake, when they left, and how long they wait for an answer.
        self._flight: list[bytes] = []
        self._flight_at = 0.0
        self._patience = _REPEAT_FIRST
        self._repeat: asyncio.TimerHandle | None = None
        self._limit: asyncio.TimerHandle | None = None
        self._over = False

    def start(self, fingerprints: Mapping[str, str], *, client: bool = False, channels: Sequence[str] = ()) -> None:
        """Begins once the client's SDP is known; datagrams that came before are handled now.

        `fingerprints` are the client's, hash name ("sha-256") to hex with colons; `client` is true where we send the
        ClientHello (best when a path is selected: it is repeated after 1 s). `channels` are labels of `CHANNELS` that
        we open as soon as SCTP stands (RFC 8832). Raises ValueError without a fingerprint of sha-256, sha-384 or
        sha-512 and RuntimeError when it was started before: other certificates need another transport.
        """
        if self._over:
            return
        if self._dtls is not None:
            raise RuntimeError("the transport was started before")
        self._labels = tuple(channels)
        self._dtls = Dtls(fingerprints, client=client)
        early, self._early = self._early, []
        if client:
            self._begin_limit()
            self._dtls.begin()
            self._flush()
        for datagram in early:
            self.feed(datagram)

    def feed(self, datagram: bytes) -> None:
        """Takes one datagram of the DTLS range from the engine."""
        if self._over:
            return
        if self._dtls is None:
            if len(self._early) < _EARLY_DATAGRAMS:
                self._early.append(datagram)
            return
        self._begin_limit()
        dtls = self._dtls
        was_connected = dtls.keys is not None
        try:
            messages = dtls.receive(datagram)
        except DtlsFailed as error:
            self._flush()
            self._fail(str(error))
            return
        answered = self._flush()
        if dtls.keys is not None and not was_connected:
            self._connect(dtls, dtls.keys)
        elif not answered and self._is_asked_again(datagram):
            self._send_flight(self._flight)
        for data in messages:
            if self._association is not None:
                self._association.receive(data)
        if dtls.closed:
            self._end()

    def send(self, label: str, data: bytes | str) -> bool:
        """Queues a message; False when the channel is not open or its buffer is full: the message is dropped then.

        Raises ValueError above MAX_MESSAGE_SIZE.
        """
        return self._association is not None and self._association.send(label, data)

    def is_open(self, label: str) -> bool:
        """Whether the channel stands and can be written to."""
        return self._association is not None and self._association.open_channel(label) is not None

    def buffered_amount(self, label: str) -> int:
        """Bytes that wait to be sent on the channel; 0 for an unknown one."""
        channel = self._association.open_channel(label) if self._association is not None else None
        return channel.bufferedAmount if channel is not None else 0

    def stop(self) -> None:
        """Says goodbye to the client and frees everything; safe to call twice. Nothing is heard of it afterwards."""
        if self._over:
            return
        self._over = True
        self._early.clear()
        for timer in (self._repeat, self._limit):
            if timer is not None:
                timer.cancel()
        association, self._association = self._association, None
        if association is not None:
            association.shut()
        if self._dtls is not None:
            self._dtls.close()
            self._flush()
            self._dtls = None

    def seal(self, data: bytes) -> None:
        """Sends an SCTP packet; the way out of the association."""
        if self._dtls is not None and not self._dtls.closed:
            self._dtls.send(data)
            self._flush()

    def _connect(self, dtls: Dtls, keys: SrtpKeys) -> None:
        if self._limit is not None:
            self._limit.cancel()
        if self._repeat is not None:
            self._repeat.cancel()
            self._repeat = None
        if self._flight and not dtls.is_client:
            self._repeat = self._loop.call_later(_REPEAT_LAST, self._send_flight, self._flight)
        self._flight = []
        self._association = _Association(self, self._listener, server=not dtls.is_client)
        self._association.begin(self._labels)
        self._listener.connected(keys)

    def _flush(self) -> bool:
        """Sends what DTLS has made; whether there was something."""
        assert self._dtls is not None
        datagrams = self._dtls.take_datagrams()
        # Until `_connect` all of it belongs to the handshake.
        if datagrams and self._association is None and not self._over:
            self._flight, self._patience = datagrams, _REPEAT_FIRST
            self._send_flight(datagrams)
            self._await_answer()
        else:
            for datagram in datagrams:
                self._listener.send_datagram(datagram)
        return bool(datagrams)

    def _is_asked_again(self, datagram: bytes) -> bool:
        """Whether a client that has not got our flight begins anew."""
        is_spaced = self._loop.time() - self._flight_at >= _REPEAT_SPACING
        return self._association is None and is_spaced and is_client_hello(datagram)

    def _send_flight(self, flight: list[bytes]) -> None:
        """Sends datagrams of the handshake, as they are: to a client that has them the network has doubled them."""
        self._flight_at = self._loop.time()
        for datagram in flight:
            self._listener.send_datagram(datagram)

    def _await_answer(self) -> None:
        if self._repeat is not None:
            self._repeat.cancel()
        self._repeat = self._loop.call_later(self._patience, self._repeat_flight)

    def _repeat_flight(self) -> None:
        assert self._dtls is not None
        try:
            self._dtls.handle_timeout()
        except DtlsFailed as error:
            self._fail(str(error))
            return
        self._flight = self._dtls.take_datagrams() or self._flight
        self._send_flight(self._flight)
        self._patience = min(2 * self._patience, _REPEAT_MOST)
        self._await_answer()

    def _begin_limit(self) -> None:
        if self._limit is None:
            reason = f"the DTLS handshake was not complete after {_HANDSHAKE_LIMIT:.0f} s"
            self._limit = self._loop.call_later(_HANDSHAKE_LIMIT, self._fail, reason)

    def _fail(self, reason: str) -> None:
        if not self._over:
            self.stop()
            self._listener.failed(reason)

    def _end(self) -> None:
        if not self._over:
            self.stop()
            self._listener.closed()


class _Association(RTCSctpTransport):
    """aiortc's SCTP with a client that is not trusted: what would hang, exhaust or surprise it is kept from it."""

    def __init__(self, path: DtlsTransport, listener: TransportListener, *, server: bool) -> None:
        super().__init__(cast("RTCDtlsTransport", _Seam(path, server=server)), SCTP_PORT)
        self._path = path
        self._listener = listener
        self._shut = False
        self._newest: dict[str, RTCDataChannel] = {}
        self._allowance = _CHUNK_BURST
        self._clock = asyncio.get_running_loop().time
        self._allowance_at = self._clock()
        self._rto = _RTO_INITIAL

    def begin(self, labels: Sequence[str]) -> None:
        _finish(self.start(RTCSctpCapabilities(maxMessageSize=MAX_MESSAGE_SIZE), SCTP_PORT))
        for label in labels:
            reliable = CHANNELS[label]
            parameters = RTCDataChannelParameters(label=label, ordered=reliable, maxRetransmits=None if reliable else 0)
            RTCDataChannel(self, parameters)

    def receive(self, data: bytes) -> None:
        """Takes one SCTP packet."""
        if self._shut:
            return
        chunks = count_chunks(data)
        now = self._clock()
        self._allowance = min(_CHUNK_BURST, self._allowance + (now - self._allowance_at) * _CHUNKS_PER_SECOND)
        self._allowance_at = now
        # What is dropped here is a lost packet to the client, which slows down and sends it again.
        if chunks == 0 or chunks > self._allowance:
            return
        self._allowance -= chunks
        try:
            _finish(self._handle_data(data))
        except Exception:
            # aiortc asserts in places what a client may send; the event loop has other clients.
            logger.info("An SCTP packet could not be handled", exc_info=True)
            self._path._fail("an SCTP packet could not be handled")

    def send(self, label: str, data: bytes | str) -> bool:
        content = data.encode() if isinstance(data, str) else data
        if len(content) > MAX_MESSAGE_SIZE:
            raise ValueError(f"a message of {len(content)} bytes, at most {MAX_MESSAGE_SIZE} expected")
        channel = self.open_channel(label)
        if channel is None:
            return False
        limit = _RELIABLE_BUFFER if channel.maxRetransmits is None and channel.ordered else _LOSSY_BUFFER
        if channel.bufferedAmount + len(content) > limit:
            return False
        if isinstance(data, str):
            protocol = sctp.WEBRTC_STRING if content else sctp.WEBRTC_STRING_EMPTY
        else:
            protocol = sctp.WEBRTC_BINARY if content else sctp.WEBRTC_BINARY_EMPTY
        # SCTP has no empty messages: RFC 8831 section 6.6 sends one byte instead.
        content = content or b"\0"
        channel._addBufferedAmount(len(content))
        self._data_channel_queue.append((channel, protocol, content))
        _finish(self._data_channel_flush())
        return True

    def open_channel(self, label: str) -> RTCDataChannel | None:
        channel = self._newest.get(label)
        return channel if channel is not None and channel.readyState == "open" else None

    def shut(self) -> None:
        """Ends the association; nothing more is told to the listener."""
        self._shut = True
        _finish(self.stop())
        for queue in (self._sent_queue, self._outbound_queue, self._data_channel_queue):
            queue.clear()

    # What follows replaces methods of RTCSctpTransport, which calls them.

    async def _init(self) -> None:
        """Leaves the INIT to the client: it always sends one (RFC 8841 section 9.3), but for a client without data."""

    async def _transmit(self) -> None:
        if not self._shut:
            await super()._transmit()

    async def _receive_chunk(self, chunk: Any) -> None:
        if self._shut:
            return
        if isinstance(chunk, sctp.InitChunk) and self._association_state is self.State.ESTABLISHED:
            return  # late: handled, it would begin to count from the start again (RFC 9260 section 5.2.2)
        if isinstance(chunk, sctp.SackChunk) and not self._is_plausible(chunk):
            return
        await super()._receive_chunk(chunk)
        self._cwnd = min(self._cwnd, _FLIGHT_LIMIT)

    async def _receive_data_chunk(self, chunk: Any) -> None:
        if self._last_received_tsn is None or not chunk.user_data:
            return
        expected = sctp.tsn_plus_one(self._last_received_tsn)
        held = sum(len(stream.reassembly) for stream in self._inbound_streams.values())
        if held >= _HELD_CHUNKS and (chunk.tsn != expected or held >= 2 * _HELD_CHUNKS):
            if held >= 2 * _HELD_CHUNKS:
                self._path._fail("messages that never end")
            return
        await super()._receive_data_chunk(chunk)

    def _get_inbound_stream(self, stream_id: int) -> sctp.InboundStream:
        if stream_id not in self._inbound_streams and len(self._inbound_streams) >= _STREAMS:
            raise ValueError(f"more than {_STREAMS} streams")
        return super()._get_inbound_stream(stream_id)

    def _mark_received(self, tsn: int) -> bool:
        # The same as in aiortc, which sorts all that waits for a missing chunk with every chunk that comes.
        assert self._last_received_tsn is not None
        if serial.uint32_gte(self._last_received_tsn, tsn) or tsn in self._sack_misordered:
            self._sack_duplicates.append(tsn)
            return True
        self._sack_misordered.add(tsn)
        while (following := sctp.tsn_plus_one(self._last_received_tsn)) in self._sack_misordered:
            self._sack_misordered.remove(following)
            self._last_received_tsn = following
        return False

    def _is_plausible(self, sack: Any) -> bool:
        """Acknowledges only what was sent, in blocks that rise: aiortc walks through every number of every block."""
        modulo = sctp.SCTP_TSN_MODULO
        outstanding = (self._local_tsn - 1 - self._last_sacked_tsn) % modulo
        acknowledged = (sack.cumulative_tsn - self._last_sacked_tsn) % modulo
        if acknowledged > outstanding:
            return False
        end = 0
        for first, last in sack.gaps:
            if not end < first <= last <= outstanding - acknowledged:
                return False
            end = last
        return True

    def _update_rto(self, R: float) -> None:  # noqa: N803
        super()._update_rto(min(max(R, 0.0), sctp.SCTP_RTO_MAX))
        assert self._srtt is not None
        assert self._rttvar is not None
        self._rto = max(_RTO_MIN, min(self._srtt + 4 * self._rttvar, sctp.SCTP_RTO_MAX))

    def _get_timestamp(self) -> int:
        return int(self._clock())  # the wall clock may be set between a cookie and its echo

    async def _data_channel_receive(self, stream_id: int, pp_id: int, data: bytes) -> None:
        if self._shut:
            return
        channel = self._data_channels.get(stream_id)
        if pp_id == sctp.WEBRTC_DCEP:
            opens = len(data) >= 12 and data[0] == sctp.DATA_CHANNEL_OPEN
            if (opens and self._may_open(stream_id, data)) or (not opens and channel is not None):
                await super()._data_channel_receive(stream_id, pp_id, data)
                channel = self._data_channels[stream_id]
                if channel.readyState == "open" and self._newest.get(channel.label) is not channel:
                    self._newest[channel.label] = channel
                    self._listener.channel_opened(channel.label)
            return
        if channel is None or len(data) > MAX_MESSAGE_SIZE:
            return
        if pp_id == sctp.WEBRTC_BINARY:
            self._listener.message(channel.label, data)
        elif pp_id == sctp.WEBRTC_STRING:
            with contextlib.suppress(UnicodeDecodeError):
                self._listener.message(channel.label, data.decode())
        elif pp_id == sctp.WEBRTC_BINARY_EMPTY:
            self._listener.message(channel.label, b"")
        elif pp_id == sctp.WEBRTC_STRING_EMPTY:
            self._listener.message(channel.label, "")

    def _may_open(self, stream_id: int, data: bytes) -> bool:
        label, protocol = unpack_from("!HH", data, 8)
        if stream_id in self._data_channels or len(self._data_channels) >= _CHANNELS_PER_CLIENT:
            return False
        if label > _LABEL_LENGTH or protocol > _LABEL_LENGTH:
            return False
        try:
            data[12 : 12 + label + protocol].decode()
        except UnicodeDecodeError:
            return False
        return True

    def _data_channel_closed(self, stream_id: int) -> None:
        channel = self._data_channels[stream_id]
        super()._data_channel_closed(stream_id)
        if self._newest.get(channel.label) is channel:
            del self._newest[channel.label]
            if not self._shut:
                self._listener.channel_closed(channel.label)

    def _set_state(self, state: RTCSctpTransport.State) -> None:
        ended = state is self.State.CLOSED and self._association_state is not self.State.CLOSED
        super()._set_state(state)
        if ended and not self._shut:
            self._path._end()


class _Seam:
    """What `RTCSctpTransport` uses of an `RTCDtlsTransport`."""

    state = "connected"

    def __init__(self, path: DtlsTransport, *, server: bool) -> None:
        self._path = path
        self._role = "server" if server else "client"

    def _register_data_receiver(self, receiver: RTCSctpTransport) -> None:
        """The path hands packets to the association itself."""

    def _unregister_data_receiver(self, receiver: RTCSctpTransport) -> None:
        """See `_register_data_receiver`."""

    async def _send_data(self, data: bytes) -> None:
        self._path.seal(data)


def _finish(coroutine: Coroutine[Any, Any, None]) -> None:
    """Runs a coroutine that never waits. Raises RuntimeError if it does."""
    try:
        coroutine.send(None)
    except StopIteration:
        return
    coroutine.close()
    raise RuntimeError(f"{coroutine!r} waited for something")
