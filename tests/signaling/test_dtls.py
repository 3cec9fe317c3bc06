"""DTLS: keys, fingerprints, certificates, profiles, and what is refused."""

import asyncio
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import pytest
from aiortc import RTCCertificate, RTCSctpTransport
from aiortc import rtcdtlstransport as aiortc_dtls
from aiortc.rtcdtlstransport import RTCDtlsFingerprint, RTCDtlsParameters
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from OpenSSL import SSL

from signaling.transport import DtlsTransport, local_fingerprint
from tests.signaling.linked import PATIENCE, KeepingDtls, Link, Listener, Pair, until


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


def arrived(link: Link) -> list[bytes]:
    """What the link has brought to the client and nobody has read."""
    return [link.to_client.get_nowait() or b"" for _ in range(link.to_client.qsize())]


def client_of(link: Link) -> tuple[Openssl, dict[str, str]]:
    """A client end with a certificate, and its fingerprints."""
    certificate = RTCCertificate.generateCertificate()
    prints = {print_.algorithm: print_.value for print_ in certificate.getFingerprints()}
    return Openssl(link, lambda context: use(context, certificate._key, certificate._cert)), prints


async def test_a_flight_goes_again_as_it_was_until_it_is_answered() -> None:
    link = Link()
    listener = Listener(link)
    ours = DtlsTransport(listener)
    link.to_server = ours.feed
    client, prints = client_of(link)
    ours.start(prints)
    with pytest.raises(SSL.WantReadError):
        client.connection.do_handshake()
    hello = client.connection.bio_read(65536)
    ours.feed(hello)
    lost = arrived(link)
    assert lost
    # Its own repeats, before OpenSSL makes the flight anew under other numbers.
    for _ in range(2):
        await until(lambda: link.to_client.qsize() >= len(lost))
        assert arrived(link) == lost
    # A client that asks again has not got it either, and need not wait.
    await asyncio.sleep(0.06)  # more often it is not answered
    ours.feed(hello)
    ours.feed(hello)
    assert arrived(link) == lost
    await until(lambda: link.to_client.qsize() >= len(lost))
    assert client.shake_hands()
    assert listener.keys is not None
    arrived(link)
    ours.stop()


async def test_the_last_flight_goes_twice() -> None:
    link = Link()
    listener = Listener(link)
    ours = DtlsTransport(listener)
    link.to_server = ours.feed
    client, prints = client_of(link)
    ours.start(prints)
    flight: list[bytes] = []
    for _ in range(2):
        with pytest.raises(SSL.WantReadError):
            client.connection.do_handshake()
        client.flush()
        flight = arrived(link)
        for datagram in flight if listener.keys is None else []:
            client.connection.bio_write(datagram)
    assert listener.keys is not None
    assert flight, "it is lost"
    await until(link.to_client.qsize)
    assert client.shake_hands(), "by its double"
    ours.stop()
