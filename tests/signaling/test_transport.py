"""Our end of DTLS and SCTP against aiortc's own client end, joined in memory by a link that loses datagrams."""

import asyncio
import gc
import random
import tracemalloc
from collections.abc import AsyncIterator, Callable
from importlib.metadata import version
from struct import pack
from typing import Any

import pytest
from aiortc import RTCCertificate, RTCDataChannel, RTCDataChannelParameters, RTCSctpTransport
from aiortc import rtcdtlstransport as aiortc_dtls
from aiortc.rtcdtlstransport import RTCDtlsFingerprint, RTCDtlsParameters, RTCDtlsTransport
from aiortc.rtcsctptransport import RTCSctpCapabilities
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from google_crc32c import value as crc32c
from OpenSSL import SSL

from signaling.transport import CHANNELS, MAX_MESSAGE_SIZE, DtlsTransport, SrtpKeys, local_fingerprint

# Generous: what is waited for takes milliseconds, or seconds where datagrams are lost.
PATIENCE = 60.0


class Link:
    """Carries datagrams both ways in order; each is lost with probability `loss`. It ends with `ConnectionError`."""

    def __init__(self, loss: float = 0.0, seed: int = 1) -> None:
        self.loss = loss
        self.random = random.Random(seed)
        self.to_client: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.to_server: Callable[[bytes], None] = lambda data: None
        self.largest = 0

    def send_to_client(self, data: bytes) -> None:
        self.largest = max(self.largest, len(data))
        if self.random.random() >= self.loss:
            self.to_client.put_nowait(data)

    # The face that RTCDtlsTransport wants of an ICE transport.
    role = "controlling"

    async def _recv(self) -> bytes:
        data = await self.to_client.get()
        if data is None:
            raise ConnectionError
        return data

    async def _send(self, data: bytes) -> None:
        if self.random.random() >= self.loss:
            asyncio.get_running_loop().call_soon(self.to_server, data)


class KeepingDtls(RTCDtlsTransport):
    """Remembers the SRTP keys, which aiortc puts out of reach."""

    keys: tuple[bytes, bytes] = (b"", b"")

    def _setup_srtp(self) -> None:
        super()._setup_srtp()
        assert self._ssl is not None
        selected = self._ssl.get_selected_srtp_profile()
        for profile in aiortc_dtls.SRTP_PROFILES:
            if profile.openssl_profile == selected:
                length = 2 * (profile.key_length + profile.salt_length)
                material = self._ssl.export_keying_material(b"EXTRACTOR-dtls_srtp", length)
                ours, theirs = (1, 0) if self._role == "server" else (0, 1)
                self.keys = profile.get_key_and_salt(material, ours), profile.get_key_and_salt(material, theirs)


class Listener:
    """Writes down what it hears."""

    def __init__(self, link: Link) -> None:
        self.link = link
        self.keys: SrtpKeys | None = None
        self.open: list[str] = []
        self.messages: list[tuple[str, bytes | str]] = []
        self.gone: list[str] = []
        self.end: str | None = None
        self.on_message: Callable[[str, bytes | str], None] = lambda label, data: None

    def send_datagram(self, data: bytes) -> None:
        self.link.send_to_client(data)

    def connected(self, keys: SrtpKeys) -> None:
        assert self.keys is None
        self.keys = keys

    def channel_opened(self, label: str) -> None:
        self.open.append(label)

    def channel_closed(self, label: str) -> None:
        self.gone.append(label)

    def message(self, label: str, data: bytes | str) -> None:
        self.messages.append((label, data))
        self.on_message(label, data)

    def failed(self, reason: str) -> None:
        assert self.end is None
        self.end = f"failed: {reason}"

    def closed(self) -> None:
        assert self.end is None
        self.end = "closed"


class Pair:
    """A `DtlsTransport` and aiortc's client end."""

    def __init__(self, link: Link, *, we_are_client: bool = False) -> None:
        self.link = link
        self.listener = Listener(link)
        self.ours = DtlsTransport(self.listener)
        link.to_server = self.ours.feed
        self.certificate = RTCCertificate.generateCertificate()
        self.dtls = KeepingDtls(link, [self.certificate])  # type: ignore[arg-type]
        self.dtls._set_role("server" if we_are_client else "client")
        self.sctp = RTCSctpTransport(self.dtls)
        self.sctp._rto = 1.0
        self.we_are_client = we_are_client
        self.channels: dict[str, RTCDataChannel] = {}
        self.received: list[tuple[str, bytes | str]] = []
        self.sctp.on("datachannel", self.adopt)

    def adopt(self, channel: RTCDataChannel) -> None:
        self.channels[channel.label] = channel
        channel.on("message", lambda data: self.received.append((channel.label, data)))

    def open(self, label: str, **options: Any) -> RTCDataChannel:
        channel = RTCDataChannel(self.sctp, RTCDataChannelParameters(label=label, **options))
        self.adopt(channel)
        return channel

    def fingerprints(self) -> dict[str, str]:
        return {print_.algorithm: print_.value for print_ in self.certificate.getFingerprints()}

    async def connect(self, channels: tuple[str, ...] = (), fingerprints: dict[str, str] | None = None) -> None:
        self.ours.start(fingerprints or self.fingerprints(), client=self.we_are_client, channels=channels)
        theirs = RTCDtlsParameters([RTCDtlsFingerprint("sha-256", local_fingerprint())])
        await asyncio.wait_for(self.dtls.start(theirs), PATIENCE)
        if self.dtls.state == "connected":
            await self.sctp.start(RTCSctpCapabilities(maxMessageSize=MAX_MESSAGE_SIZE), 5000)

    async def disconnect(self) -> None:
        self.ours.stop()
        await self.sctp.stop()
        await self.dtls.stop()
        self.link.to_client.put_nowait(None)
        await asyncio.sleep(0)
        await asyncio.sleep(0)


async def until(condition: Callable[[], object]) -> None:
    """Waits for something that the other end's timers or tasks bring about."""
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110 - aiortc's end tells of most changes by no event
            await asyncio.sleep(0.005)


@pytest.fixture
async def pairs() -> AsyncIterator[Callable[..., Pair]]:
    made: list[Pair] = []

    def make(loss: float = 0.0, seed: int = 1, *, we_are_client: bool = False) -> Pair:
        made.append(Pair(Link(loss, seed), we_are_client=we_are_client))
        return made[-1]

    yield make
    for pair in made:
        await pair.disconnect()


def test_private_names_of_aiortc_are_where_we_use_them() -> None:
    assert version("aiortc") == "1.16.0", "read signaling/transport.py against the new aiortc, then change this line"
    for name in (
        "_data_channel_closed _data_channel_flush _data_channel_receive _get_inbound_stream _get_timestamp "
        "_handle_data _init _mark_received _receive_chunk _receive_data_chunk _set_state _transmit _update_rto"
    ).split():
        assert callable(getattr(RTCSctpTransport, name)), name


async def test_private_fields_of_aiortc_are_where_we_use_them() -> None:
    sctp = RTCSctpTransport(KeepingDtls(Link(), [RTCCertificate.generateCertificate()]))  # type: ignore[arg-type]
    for name in (
        "_association_state _cwnd _data_channel_queue _data_channels _inbound_streams _last_received_tsn "
        "_last_sacked_tsn _local_tsn _outbound_queue _rto _rttvar _sack_duplicates _sack_misordered _sent_queue _srtt"
    ).split():
        assert hasattr(sctp, name), name


@pytest.mark.parametrize("we_are_client", [False, True])
async def test_both_ends_have_the_same_keys(pairs: Callable[..., Pair], we_are_client: bool) -> None:
    pair = pairs(we_are_client=we_are_client)
    await pair.connect()
    keys = pair.listener.keys
    assert keys is not None
    sending, receiving = pair.dtls.keys
    assert (keys.send_key + keys.send_salt, keys.receive_key + keys.receive_salt) == (receiving, sending)
    assert keys.send_key.hex() not in repr(keys)


@pytest.mark.parametrize(
    ("offered", "chosen", "key", "salt"),
    [
        (["SRTP_AEAD_AES_256_GCM", "SRTP_AEAD_AES_128_GCM", "SRTP_AES128_CM_SHA1_80"], "AEAD_AES_128_GCM", 16, 12),
        (["SRTP_AES128_CM_SHA1_80", "SRTP_AEAD_AES_256_GCM"], "AEAD_AES_256_GCM", 32, 12),
        (["SRTP_AES128_CM_SHA1_80"], "AES128_CM_HMAC_SHA1_80", 16, 14),
    ],
)
async def test_profile_is_chosen_by_our_preference(
    pairs: Callable[..., Pair], offered: list[str], chosen: str, key: int, salt: int
) -> None:
    pair = pairs()
    pair.dtls._srtp_profiles = [getattr(aiortc_dtls, name) for name in offered]
    await pair.connect()
    keys = pair.listener.keys
    assert keys is not None
    assert (keys.profile, len(keys.send_key), len(keys.receive_salt)) == (chosen, key, salt)
    assert pair.dtls.keys == (keys.receive_key + keys.receive_salt, keys.send_key + keys.send_salt)


@pytest.mark.parametrize("algorithm", ["sha-256", "sha-384", "sha-512", "SHA-256"])
async def test_fingerprint_of_any_strong_hash(pairs: Callable[..., Pair], algorithm: str) -> None:
    pair = pairs()
    await pair.connect(fingerprints={"sha-1": "00", algorithm: pair.fingerprints()[algorithm.lower()].lower()})
    assert pair.listener.keys is not None


@pytest.mark.parametrize("algorithm", ["sha-256", "sha-512"])
async def test_other_certificate_than_in_the_sdp(pairs: Callable[..., Pair], algorithm: str) -> None:
    pair = pairs()
    prints = pair.fingerprints()
    prints[algorithm] = prints[algorithm].translate(str.maketrans("0123456789ABCDEF", "123456789ABCDEF0"))
    await pair.connect(("_reliable",), prints)
    assert pair.listener.end == "failed: the client's certificate does not match the fingerprint in its SDP"
    assert pair.listener.keys is None
    assert pair.dtls.state == "failed", "the client is told by an alert"


@pytest.mark.parametrize("prints", [{}, {"sha-1": "AA:BB"}, {"sha-256": "not hex"}])
async def test_no_usable_fingerprint(pairs: Callable[..., Pair], prints: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="fingerprint"):
        pairs().ours.start(prints)


async def test_second_start_is_refused(pairs: Callable[..., Pair]) -> None:
    pair = pairs()
    await pair.connect()
    with pytest.raises(RuntimeError):
        pair.ours.start(pair.fingerprints())


class Openssl:
    """A client end that does what aiortc's would not: `configure` gets its context."""

    def __init__(self, link: Link, configure: Callable[[SSL.Context], object]) -> None:
        context = SSL.Context(SSL.DTLS_METHOD)
        context.set_verify(SSL.VERIFY_NONE, lambda *_: True)
        context.set_tlsext_use_srtp(b"SRTP_AEAD_AES_128_GCM")
        configure(context)
        self.connection = SSL.Connection(context)
        self.connection.set_ciphertext_mtu(1200)
        self.connection.set_connect_state()
        self.link = link

    def shake_hands(self) -> bool:
        """Whether the client believes in a connection. The link loses nothing, so no timer is needed."""
        for _ in range(20):
            try:
                self.connection.do_handshake()
            except SSL.WantReadError:
                pass
            except SSL.Error:
                return False
            else:
                self.flush()
                return True
            self.flush()
            while not self.link.to_client.empty():
                self.connection.bio_write(self.link.to_client.get_nowait() or b"")
        return False

    def flush(self) -> None:
        try:
            self.link.to_server(self.connection.bio_read(65536))
        except SSL.WantReadError:
            return


def self_signed(key: Any) -> x509.Certificate:
    plain = RTCCertificate.generateCertificate()._cert
    builder = (
        x509.CertificateBuilder()
        .subject_name(plain.subject)
        .issuer_name(plain.issuer)
        .public_key(key.public_key())
        .serial_number(plain.serial_number)
        .not_valid_before(plain.not_valid_before_utc)
        .not_valid_after(plain.not_valid_after_utc)
    )
    return builder.sign(key, hashes.SHA256())


def use(context: SSL.Context, key: Any, certificate: x509.Certificate) -> None:
    context.use_privatekey(key)
    context.use_certificate(certificate)


def sha256(certificate: x509.Certificate) -> dict[str, str]:
    return {"sha-256": certificate.fingerprint(hashes.SHA256()).hex(":")}


async def start_against(configure: Callable[[SSL.Context], object], prints: dict[str, str]) -> tuple[Listener, bool]:
    link = Link()
    listener = Listener(link)
    ours = DtlsTransport(listener)
    link.to_server = ours.feed
    ours.start(prints)
    believes = Openssl(link, configure).shake_hands()
    ours.stop()
    return listener, believes


async def test_rsa_certificate() -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    certificate = self_signed(key)
    listener, believes = await start_against(lambda context: use(context, key, certificate), sha256(certificate))
    assert believes
    assert listener.keys is not None
    assert listener.end is None


async def test_weak_rsa_certificate() -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=1024)
    certificate = self_signed(key)

    def weak(context: SSL.Context) -> None:
        context.set_cipher_list(b"DEFAULT:@SECLEVEL=0")
        use(context, key, certificate)

    listener, _ = await start_against(weak, sha256(certificate))
    assert listener.keys is None
    assert listener.end is not None
    assert listener.end.startswith("failed: the client's certificate is not acceptable")


async def test_no_certificate() -> None:
    listener, _ = await start_against(lambda context: None, {"sha-256": "AA"})
    assert listener.keys is None
    assert listener.end == "failed: DTLS: peer did not return a certificate"


@pytest.mark.parametrize(
    ("weaken", "words"),
    [
        (lambda context: context.set_cipher_list(b"ECDHE-ECDSA-AES128-SHA"), "no shared cipher"),
        (lambda context: context.set_max_proto_version(0xFEFF), "unsupported protocol"),
        (lambda context: context.set_tlsext_use_srtp(b"SRTP_AES128_CM_SHA1_32"), "no SRTP profile"),
    ],
)
async def test_nothing_in_common(weaken: Callable[[SSL.Context], object], words: str) -> None:
    certificate = RTCCertificate.generateCertificate()

    def configure(context: SSL.Context) -> None:
        use(context, certificate._key, certificate._cert)
        context.set_cipher_list(b"ALL:@SECLEVEL=0")
        weaken(context)

    listener, _ = await start_against(configure, sha256(certificate._cert))
    assert listener.keys is None
    assert listener.end is not None
    assert words in listener.end


@pytest.mark.parametrize("loss", [0.05, 0.2])
async def test_handshakes_complete_when_datagrams_are_lost(pairs: Callable[..., Pair], loss: float) -> None:
    several = [pairs(loss, seed) for seed in range(10)]
    await asyncio.gather(*(pair.connect(("_reliable",)) for pair in several))
    await until(lambda: all(pair.listener.open == ["_reliable"] for pair in several))
    assert all(pair.listener.keys is not None for pair in several)


async def test_datagrams_that_come_before_the_sdp(pairs: Callable[..., Pair]) -> None:
    pair = pairs()
    theirs = RTCDtlsParameters([RTCDtlsFingerprint("sha-256", local_fingerprint())])
    handshake = asyncio.create_task(pair.dtls.start(theirs))
    await asyncio.sleep(0.05)
    pair.ours.start(pair.fingerprints())
    await asyncio.wait_for(handshake, PATIENCE)
    assert pair.listener.keys is not None


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


async def test_renegotiation_is_refused() -> None:
    certificate = RTCCertificate.generateCertificate()
    link = Link()
    listener = Listener(link)
    ours = DtlsTransport(listener)
    link.to_server = ours.feed
    ours.start(sha256(certificate._cert))
    client = Openssl(link, lambda context: use(context, certificate._key, certificate._cert))
    assert client.shake_hands()
    first = listener.keys
    client.connection.renegotiate()
    assert not client.shake_hands()
    assert listener.keys is first
    ours.stop()


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
    for number in range(20_000):
        body = pack("!LHHL", (first + number) % 2**32, stream.id, 0, 53) + b"x"
        association.receive(sctp_packet(tag, chunk(0, 7, body)))
    assert 4000 < len(pair.listener.messages) < 20_000


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
