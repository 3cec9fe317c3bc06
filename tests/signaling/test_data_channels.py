"""Data channels over DTLS, the end of a transport, and what a client can't break."""

import asyncio
import gc
import random
import tracemalloc
from collections.abc import Callable
from math import ceil
from struct import pack

import pytest
from google_crc32c import value as crc32c

from signaling.transport import CHANNELS, MAX_MESSAGE_SIZE, DtlsTransport
from tests.signaling.linked import Link, Pair, until


@pytest.mark.parametrize("we_are_client", [False, True])
async def test_channels_that_we_open(pairs: Callable[..., Pair], we_are_client: bool) -> None:
    pair = pairs(we_are_client=we_are_client)
    await pair.connect(tuple(CHANNELS))
    await until(lambda: len(pair.listener.open) == 3)
    theirs = pair.channels
    assert {label: (c.ordered, c.maxRetransmits) for label, c in theirs.items()} == {
        "_reliable": (True, None),
        "_lossy": (False, 0),
        "_data_track": (False, 0),
    }
    assert {(c.id or 0) % 2 for c in theirs.values()} == {0 if we_are_client else 1}
    for label in CHANNELS:
        assert pair.ours.send(label, label.encode())
        theirs[label].send(label)
    await until(lambda: len(pair.received) == 3 and len(pair.listener.messages) == 3)
    assert sorted(pair.received) == sorted((label, label.encode()) for label in CHANNELS)
    assert sorted(pair.listener.messages) == sorted((label, label) for label in CHANNELS)


@pytest.mark.parametrize("we_are_client", [False, True])
async def test_channels_that_the_client_opens(pairs: Callable[..., Pair], we_are_client: bool) -> None:
    pair = pairs(we_are_client=we_are_client)
    await pair.connect()
    pair.open("_reliable")
    pair.open("_lossy", ordered=False, maxRetransmits=0)
    pair.open("chat")
    await until(lambda: len(pair.listener.open) == 3)
    assert pair.ours.send("_lossy", "text")
    assert pair.ours.send("_reliable", b"\x00binary")
    assert pair.ours.send("chat", "")
    assert pair.ours.send("chat", b"")
    await until(lambda: len(pair.received) == 4)
    assert pair.received == [("_lossy", "text"), ("_reliable", b"\x00binary"), ("chat", ""), ("chat", b"")]
    for data in ("", b"", "да", b"x" * MAX_MESSAGE_SIZE):
        pair.channels["chat"].send(data)
    await until(lambda: len(pair.listener.messages) == 4)
    assert [data for _, data in pair.listener.messages] == ["", b"", "да", b"x" * MAX_MESSAGE_SIZE]


async def test_largest_message_goes_out_whole_and_no_larger(pairs: Callable[..., Pair]) -> None:
    pair = pairs()
    await pair.connect(tuple(CHANNELS))
    await until(lambda: len(pair.listener.open) == 3)
    content = random.Random(3).randbytes(MAX_MESSAGE_SIZE)
    assert pair.ours.send("_reliable", content)
    assert pair.ours.send("_lossy", content)
    with pytest.raises(ValueError, match="65537 bytes"):
        pair.ours.send("_reliable", content + b"x")
    await until(lambda: len(pair.received) == 2)
    assert pair.received == [("_reliable", content), ("_lossy", content)]
    assert pair.link.largest <= 1232


@pytest.mark.parametrize("loss", [0.0, 0.05, 0.2])
async def test_reliable_messages_arrive_all_and_in_order(pairs: Callable[..., Pair], loss: float) -> None:
    pair = pairs(loss, seed=7)
    await pair.connect(("_reliable",))
    await until(lambda: pair.listener.open)
    await until(lambda: pair.channels)
    # A message in ten is longer than a datagram.
    messages = [b"%d:" % number + b"x" * (3000 if number % 10 == 0 else 100) for number in range(1000)]
    pair.link.loss = min(loss, 0.05)
    for message in messages:
        assert pair.ours.send("_reliable", message)
        pair.channels["_reliable"].send(message)
    await until(lambda: len(pair.received) == len(pair.listener.messages) == 1000)
    assert [data for _, data in pair.received] == messages
    assert [data for _, data in pair.listener.messages] == messages
    assert pair.ours.buffered_amount("_reliable") == 0


async def test_lossy_messages_are_not_repeated(pairs: Callable[..., Pair]) -> None:
    pair = pairs(seed=5)
    await pair.connect(tuple(CHANNELS))
    await until(lambda: len(pair.listener.open) == 3)
    pair.link.loss = 0.2
    sent = 0
    for number in range(300):
        sent += pair.ours.send("_lossy", b"%d" % number)
        pair.channels["_lossy"].send(b"%d" % number)
        await asyncio.sleep(0.001)
    pair.link.loss = 0.0
    assert pair.ours.send("_reliable", b"end")
    pair.channels["_reliable"].send(b"end")
    await until(lambda: ("_reliable", b"end") in pair.received and ("_reliable", b"end") in pair.listener.messages)
    for received in (pair.received, pair.listener.messages):
        numbers = [int(data) for label, data in received if label == "_lossy"]
        assert len(numbers) == len(set(numbers)), "nothing twice"
        assert 150 <= len(numbers) < 300, "about a fifth is lost and stays lost"
    assert sent == 300


async def test_slow_client_costs_no_more_than_its_buffers(pairs: Callable[..., Pair]) -> None:
    pair = pairs()
    await pair.connect(tuple(CHANNELS))
    await until(lambda: len(pair.listener.open) == 3)
    pair.link.loss = 1.0
    accepted = sum(pair.ours.send("_reliable", b"x" * 10_000) for _ in range(1000))
    assert accepted * 10_000 <= (1 << 20) + (1 << 18) + 10_000
    assert pair.ours.buffered_amount("_reliable") <= 1 << 20
    assert sum(pair.ours.send("_lossy", b"x" * 1000) for _ in range(1000)) <= 65
    assert pair.ours.buffered_amount("_lossy") <= 1 << 16
    pair.link.loss = 0.0
    await until(lambda: sum(1 for label, _ in pair.received if label == "_reliable") == accepted)


async def test_unknown_and_closed_channels(pairs: Callable[..., Pair]) -> None:
    pair = pairs()
    assert not pair.ours.send("_reliable", b"too early")
    await pair.connect(("_reliable",))
    await until(lambda: pair.listener.open and pair.channels)
    assert pair.ours.is_open("_reliable")
    assert not pair.ours.is_open("_lossy")
    assert not pair.ours.send("_lossy", b"x")
    assert pair.ours.buffered_amount("_lossy") == 0
    pair.channels["_reliable"].close()
    await until(lambda: pair.listener.gone == ["_reliable"])
    assert not pair.ours.send("_reliable", b"x")
    channel = pair.open("_reliable")
    await until(lambda: channel.readyState == "open")
    assert pair.ours.send("_reliable", b"again")
    await until(lambda: pair.received == [("_reliable", b"again")])


async def test_client_leaves(pairs: Callable[..., Pair]) -> None:
    pair = pairs()
    await pair.connect(("_reliable",))
    await until(lambda: pair.listener.open)
    await pair.dtls.stop()
    await until(lambda: pair.listener.end == "closed")
    assert not pair.ours.send("_reliable", b"x")


async def test_client_aborts_the_association(pairs: Callable[..., Pair]) -> None:
    pair = pairs()
    await pair.connect(("_reliable",))
    await until(lambda: pair.listener.open)
    await pair.sctp.stop()
    await until(lambda: pair.listener.end == "closed")


async def test_we_leave(pairs: Callable[..., Pair]) -> None:
    pair = pairs()
    await pair.connect(("_reliable",))
    await until(lambda: pair.listener.open)
    pair.ours.stop()
    pair.ours.stop()
    await until(lambda: pair.dtls.state == "closed" and pair.sctp.state == "closed")
    assert pair.listener.end is None
    assert not pair.ours.send("_reliable", b"x")
    pair.ours.feed(b"\x16 late")
    pair.ours.start(pair.fingerprints())


async def test_stopping_inside_a_callback(pairs: Callable[..., Pair]) -> None:
    pair = pairs()
    await pair.connect(("_reliable",))
    await until(lambda: pair.listener.open and pair.channels)
    pair.listener.on_message = lambda label, data: pair.ours.stop()
    for number in range(100):
        pair.channels["_reliable"].send(b"%d" % number)
    await until(lambda: pair.sctp.state == "closed")
    assert pair.listener.messages == [("_reliable", b"0")]


async def test_garbage_does_not_disturb_a_connection(pairs: Callable[..., Pair]) -> None:
    pair = pairs()
    await pair.connect(("_reliable",))
    await until(lambda: pair.listener.open and pair.channels)
    noise = random.Random(11)
    for _ in range(2000):
        pair.ours.feed(bytes([noise.randrange(20, 64)]) + noise.randbytes(noise.randrange(0, 1400)))
    # Well-formed plaintext records: application data, an alert, a HelloRequest and a ClientHello of epoch 0.
    client_hello = b"\x01\x00\x00\x30\x00\x00\x00\x00\x00\x00\x00\x30\xfe\xfd" + bytes(46)
    for kind, body in ((23, b"forged"), (21, b"\x02\x28"), (22, bytes(12)), (22, client_hello), (20, b"\x01")):
        for sequence in range(50):
            pair.ours.feed(pack("!BHHHLH", kind, 0xFEFD, 0, 0, 1000 + sequence, len(body)) + body)
    pair.channels["_reliable"].send(b"still here")
    await until(lambda: pair.listener.messages)
    assert pair.listener.messages == [("_reliable", b"still here")]
    assert pair.listener.end is None


def sctp_packet(tag: int, *chunks: bytes) -> bytes:
    header, body = pack("!HHL", 5000, 5000, tag), b"".join(chunks)
    return header + pack("<L", crc32c(header + bytes(4) + body)) + body


def chunk(kind: int, flags: int, body: bytes, length: int | None = None) -> bytes:
    return pack("!BBH", kind, flags, len(body) + 4 if length is None else length) + body + bytes(-len(body) % 4)


async def test_packets_that_would_hang_or_break_aiortc(pairs: Callable[..., Pair]) -> None:
    pair = pairs()
    await pair.connect(("_reliable",))
    await until(lambda: pair.listener.open and pair.channels)
    tag = pair.sctp._remote_verification_tag
    acknowledged = pair.sctp._last_received_tsn
    assert acknowledged is not None
    fields = pack("!LLHHL", 1, 1 << 20, 10, 10, 1)
    hostile = [
        b"",
        bytes(11),
        sctp_packet(tag),
        # parameters of length 0, which aiortc walks over for ever
        sctp_packet(0, chunk(1, 0, fields + pack("!HH", 7, 0))),
        sctp_packet(tag, chunk(4, 0, pack("!HH", 1, 0))),
        sctp_packet(tag, chunk(130, 0, pack("!HH", 13, 0))),
        # an INIT that is not alone, and one when all has begun
        sctp_packet(0, chunk(1, 0, fields), chunk(1, 0, fields)),
        sctp_packet(0, chunk(1, 0, fields)),
        # 290 gap blocks of 65,535 numbers each
        sctp_packet(tag, chunk(3, 0, pack("!LLHH", acknowledged, 1, 290, 0) + pack("!HH", 1, 65535) * 290)),
        # acknowledges what was never sent
        sctp_packet(tag, chunk(3, 0, pack("!LLHH", (acknowledged + 1000) % 2**32, 1, 0, 0))),
        # short chunks
        *(
            sctp_packet(tag, chunk(kind, 3, body))
            for kind in range(256)
            for body in (b"", b"\x01", bytes(5))
            if kind not in (6, 7, 9, 14)
        ),
        sctp_packet(tag, chunk(130, 0, pack("!HHL", 13, 8, 1))),
        sctp_packet(tag, chunk(130, 0, pack("!HHLLLB", 13, 17, 1, 1, 1, 1))),
        sctp_packet(tag, chunk(192, 0, pack("!LH", acknowledged, 1))),
        sctp_packet(tag, chunk(0, 3, bytes(12), length=2000)),
        # DCEP: an open for a channel that is open, an acknowledgement for none, lengths beyond the end
        *(
            sctp_packet(tag, chunk(0, 7, pack("!LHHL", (pair.sctp._local_tsn + 5 + n) % 2**32, n, 0, 50) + body))
            for n, body in enumerate(
                [b"\x03", b"\x02", b"", b"\x03" + b"\xff" * 11, pack("!BBHLHH", 3, 0, 0, 0, 2, 0) + b"\xff\xff"]
            )
        ),
    ]
    association = pair.ours._association
    assert association is not None
    for packet in hostile:
        association.receive(packet)
        assert pair.listener.end is None, packet.hex()
    for _ in range(2000):
        noise = random.Random(_)
        kinds = (0, 1, 2, 3, 4, 5, 8, 10, 11, 130, 192, 200)
        body = noise.randbytes(noise.randrange(0, 60))
        association.receive(sctp_packet(tag ^ 1, chunk(noise.choice(kinds), noise.randrange(8), body)))
    pair.channels["_reliable"].send(b"still here")
    await until(lambda: ("_reliable", b"still here") in pair.listener.messages)


async def test_fragments_without_end_are_bounded(pairs: Callable[..., Pair]) -> None:
    pair = pairs()
    await pair.connect(("_reliable",))
    await until(lambda: pair.listener.open)
    association = pair.ours._association
    assert association is not None
    tag, first = pair.sctp._remote_verification_tag, pair.sctp._local_tsn
    # Every second number is missing: nothing of it can be handed on.
    for number in range(1, 4000, 2):
        body = pack("!LHHL", (first + number) % 2**32, 0, 0, 53) + b"x"
        association.receive(sctp_packet(tag, chunk(0, 0, body)))
    assert len(association._sack_misordered) <= 512
    assert pair.listener.end is None
    # A message of one byte after the other that never ends.
    for number in range(2500):
        body = pack("!LHHL", (first + number) % 2**32, 0, 0, 53) + b"x"
        association.receive(sctp_packet(tag, chunk(0, 2 if number == 0 else 0, body)))
    assert pair.listener.end == "failed: messages that never end"


async def test_one_client_gets_its_share_of_the_loop_only(pairs: Callable[..., Pair]) -> None:
    pair = pairs()
    await pair.connect(("_reliable",))
    await until(lambda: pair.listener.open)
    association = pair.ours._association
    assert association is not None
    tag, first = pair.sctp._remote_verification_tag, pair.sctp._local_tsn
    stream = association.open_channel("_reliable")
    assert stream is not None
    now = float(ceil(association._clock()) + 60)
    association._clock = lambda: now
    # A burst, nothing more at the same time, as many as half a second allows, and after a minute a burst again.
    for seconds, handled in ((0.0, 5000), (0.0, 5000), (0.5, 7500), (60.0, 12_500)):
        now += seconds
        came = len(pair.listener.messages)
        for number in range(came, came + 6000):
            body = pack("!LHHL", (first + number) % 2**32, stream.id, 0, 53) + b"x"
            association.receive(sctp_packet(tag, chunk(0, 7, body)))
        assert len(pair.listener.messages) == handled


async def test_too_many_channels_and_long_labels_are_ignored(pairs: Callable[..., Pair]) -> None:
    pair = pairs()
    await pair.connect()
    pair.open("x" * 257)
    for number in range(40):
        pair.open(f"channel {number}")
    await until(lambda: len(pair.listener.open) == 32)
    pair.channels["channel 0"].send(b"x")
    await until(lambda: pair.listener.messages == [("channel 0", b"x")])
    assert len(pair.listener.open) == 32
    assert pair.listener.end is None


async def test_a_hundred_transports_leave_nothing_behind() -> None:
    async def meet() -> None:
        pair = Pair(Link())
        await pair.connect(tuple(CHANNELS))
        await until(lambda: len(pair.listener.open) == 3)
        assert pair.ours.send("_reliable", b"x" * 50_000)
        await pair.disconnect()

    for _ in range(3):
        await meet()
    gc.collect()
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    for _ in range(100):
        await meet()
    gc.collect()
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert after - before < 200_000
    assert len([task for task in asyncio.all_tasks() if not task.done()]) == 1
    assert not [thing for thing in gc.get_objects() if isinstance(thing, DtlsTransport)]
