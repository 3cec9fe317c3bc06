"""DTLS 1.2 with SRTP keys (RFC 6347, 5764), bytes in and bytes out, on OpenSSL.

One context serves the whole process: it saves 16 KB of 115 and a fifth of the handshake's time for each transport. Its
verify callback compares the client's certificate with its SDP inside the handshake, before any key exists.
"""

from __future__ import annotations

import contextlib
import datetime
import functools
import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from struct import unpack_from

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from OpenSSL import SSL, crypto

# Bytes of UDP payload in a handshake flight: what browsers use, and it fits any path that WebRTC works on.
HANDSHAKE_MTU = 1200
# DTLS 1.2 on the wire (RFC 6347 section 4.1); 1.0 is refused, and 1.3 is not what browsers and OpenSSL share yet.
_DTLS_1_2 = 0xFEFD
_RECORD_HEADER = 13
# The type of a record, and that of a message in it (RFC 5246 sections 6.2.1 and 7.4).
_HANDSHAKE = 22
_CLIENT_HELLO = 1
# The most that one record holds (RFC 6347 section 4.1); larger buffers are costly to clear.
_RECORD_SIZE = 1 << 14
# Nothing but AEAD with forward secrecy; every WebRTC client has the first one (RFC 8827 section 6.5).
_CIPHERS = b"ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305"
_CIPHERS += b":ECDHE-RSA-AES128-GCM-SHA256:ECDHE-RSA-AES256-GCM-SHA384:ECDHE-RSA-CHACHA20-POLY1305"
# Older than any client's clock is wrong, and longer than a process lives: clients don't look at the dates.
_CERTIFICATE_AGE = datetime.timedelta(days=365)

_HASHES: dict[str, hashes.HashAlgorithm] = {
    "sha-256": hashes.SHA256(),
    "sha-384": hashes.SHA384(),
    "sha-512": hashes.SHA512(),
}

# What OpenSSL finds wrong with every self-signed certificate of a WebRTC client; the fingerprint is what counts.
_HARMLESS_VERIFY_ERRORS = frozenset(
    {
        0,  # X509_V_OK
        9,  # X509_V_ERR_CERT_NOT_YET_VALID: the client's clock or ours
        10,  # X509_V_ERR_CERT_HAS_EXPIRED
        18,  # X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT
        20,  # X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY
        21,  # X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE
    }
)


@dataclass(frozen=True, slots=True)
class _Profile:
    """An SRTP protection profile: the engine's name, OpenSSL's name, bytes of key and salt (RFC 5764, 7714)."""

    name: str
    openssl: bytes
    key: int
    salt: int


# In our order of preference: AES-128-GCM costs the engine least and is as good as needed.
_PROFILES = (
    _Profile("AEAD_AES_128_GCM", b"SRTP_AEAD_AES_128_GCM", 16, 12),
    _Profile("AEAD_AES_256_GCM", b"SRTP_AEAD_AES_256_GCM", 32, 12),
    _Profile("AES128_CM_HMAC_SHA1_80", b"SRTP_AES128_CM_SHA1_80", 16, 14),
)


class DtlsFailed(Exception):
    """The handshake cannot succeed or the connection broke; the text is for the log."""


@dataclass(frozen=True, slots=True)
class SrtpKeys:
    """What the engine needs for SRTP (RFC 5764 section 4.2); profile names as in `media.commands.SetKeys`."""

    profile: str
    send_key: bytes
    send_salt: bytes
    receive_key: bytes
    receive_salt: bytes

    def __repr__(self) -> str:
        return f"SrtpKeys(profile={self.profile!r})"


class Dtls:
    """One DTLS connection. `keys` is None until the handshake is complete and the certificate is the right one."""

    def __init__(self, fingerprints: Mapping[str, str], *, client: bool) -> None:
        """`fingerprints`: hash name to hex with colons. Raises ValueError when none of them is of a hash we know."""
        self._expected = _parse_fingerprints(fingerprints)
        self.is_client = client
        self._refusal = ""
        self._verified = False
        self.keys: SrtpKeys | None = None
        self.closed = False
        self._connection = SSL.Connection(_context())
        self._connection.set_app_data(self)
        self._connection.set_ciphertext_mtu(HANDSHAKE_MTU)
        if client:
            self._connection.set_connect_state()
        else:
            self._connection.set_accept_state()

    def begin(self) -> None:
        """Makes the ClientHello, on the client's side."""
        if self.is_client:
            self._handshake()

    def receive(self, datagram: bytes) -> list[bytes]:
        """Takes a datagram, returns the application data in it. Raises DtlsFailed; sets `closed` at a close_notify."""
        self._connection.bio_write(datagram)
        if self.keys is None:
            self._handshake()
        if self.keys is None:
            return []
        messages = []
        while not self.closed:
            try:
                messages.append(self._connection.recv(_RECORD_SIZE))
            except SSL.WantReadError:
                break
            except SSL.ZeroReturnError:
                self.closed = True
            except SSL.Error as error:
                raise DtlsFailed(_text(error)) from None
        return messages

    def send(self, data: bytes) -> None:
        """Seals application data into one record."""
        self._connection.send(data)

    def take_datagrams(self) -> list[bytes]:
        """What is to be sent now: whole records, as many to a datagram as fit."""
        waiting = b""
        with contextlib.suppress(SSL.WantReadError):
            while len(waiting) % _RECORD_SIZE == 0:
                waiting += self._connection.bio_read(_RECORD_SIZE)
        return _datagrams(waiting)

    def handle_timeout(self) -> None:
        """Makes the last flight anew where OpenSSL's time for that has come. Raises DtlsFailed after too many."""
        try:
            self._connection.DTLSv1_handle_timeout()
        except SSL.Error as error:
            raise DtlsFailed(_text(error)) from None

    def close(self) -> None:
        """Makes a close_notify where a handshake was completed, and lets go of the connection's memory."""
        if self.keys is not None and not self.closed:
            with contextlib.suppress(SSL.Error):  # the client may have ended it in the same moment
                self._connection.shutdown()
        self.closed = True
        self._connection.set_app_data(None)

    def _handshake(self) -> None:
        try:
            self._connection.do_handshake()
        except SSL.WantReadError:
            return
        except SSL.Error as error:
            raise DtlsFailed(self._refusal or _text(error)) from None
        if not self._verified:
            raise DtlsFailed("the client showed no certificate")
        self.keys = self._export_keys()

    def _verify(self, certificate: x509.Certificate, error: int) -> bool:
        if error not in _HARMLESS_VERIFY_ERRORS:
            self._refusal = f"the client's certificate is not acceptable: OpenSSL verify error {error}"
        elif not all(
            hmac.compare_digest(certificate.fingerprint(_HASHES[name]), digest)
            for name, digest in self._expected.items()
        ):
            self._refusal = "the client's certificate does not match the fingerprint in its SDP"
        else:
            self._verified = True
            return True
        self._verified = False
        return False

    def _export_keys(self) -> SrtpKeys:
        selected = self._connection.get_selected_srtp_profile()
        profile = next((profile for profile in _PROFILES if profile.openssl == selected), None)
        if profile is None:
            raise DtlsFailed("the client offers no SRTP profile that we know")
        material = self._connection.export_keying_material(
            b"EXTRACTOR-dtls_srtp", 2 * (profile.key + profile.salt), None
        )
        keys = material[: profile.key], material[profile.key : 2 * profile.key]
        salts = material[2 * profile.key : -profile.salt], material[-profile.salt :]
        # The client's half comes first (RFC 5764 section 4.2).
        ours, theirs = (0, 1) if self.is_client else (1, 0)
        return SrtpKeys(profile.name, keys[ours], salts[ours], keys[theirs], salts[theirs])


def is_client_hello(datagram: bytes) -> bool:
    """Whether a datagram begins with a ClientHello in the clear (RFC 6347 sections 4.1 and 4.2.2)."""
    return (
        len(datagram) > _RECORD_HEADER
        and datagram[0] == _HANDSHAKE
        and datagram[3:5] == b"\0\0"
        and datagram[_RECORD_HEADER] == _CLIENT_HELLO
    )


def local_fingerprint() -> str:
    """The sha-256 fingerprint of this process's certificate for our SDP: upper-case hex with colons (RFC 8122)."""
    return _certificate()[1].fingerprint(hashes.SHA256()).hex(":").upper()


@functools.cache
def _certificate() -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    key = ec.generate_private_key(ec.SECP256R1())
    # A random name: clients tell certificates of several servers apart by issuer and serial number.
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, secrets.token_hex(16))])
    now = datetime.datetime.now(tz=datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CERTIFICATE_AGE)
        .not_valid_after(now + _CERTIFICATE_AGE)
    )
    return key, builder.sign(key, hashes.SHA256())


@functools.cache
def _context() -> SSL.Context:
    key, certificate = _certificate()
    context = SSL.Context(SSL.DTLS_METHOD)
    context.set_min_proto_version(_DTLS_1_2)
    context.set_max_proto_version(_DTLS_1_2)
    # No resumption: it would skip the certificates. No renegotiation: a new handshake needs a new SDP.
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    context.set_options(SSL.OP_NO_TICKET | SSL.OP_NO_RENEGOTIATION | SSL.OP_NO_QUERY_MTU)
    context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, _verify)
    context.use_privatekey(key)
    context.use_certificate(certificate)
    context.set_cipher_list(_CIPHERS)
    context.set_tlsext_use_srtp(b":".join(profile.openssl for profile in _PROFILES))
    return context


def _verify(connection: SSL.Connection, certificate: crypto.X509, error: int, depth: int, _accepted: int) -> bool:
    dtls = connection.get_app_data()
    # Certificates above the client's own (depth 0) prove nothing here: only the leaf is in the SDP.
    return depth > 0 or (isinstance(dtls, Dtls) and dtls._verify(certificate.to_cryptography(), error))


def _parse_fingerprints(fingerprints: Mapping[str, str]) -> dict[str, bytes]:
    known = {name.lower(): value for name, value in fingerprints.items() if name.lower() in _HASHES}
    if not known:
        raise ValueError(f"fingerprints of {', '.join(_HASHES)} expected, got {', '.join(fingerprints) or 'none'}")
    try:
        return {name: bytes.fromhex(value.replace(":", "")) for name, value in known.items()}
    except ValueError:
        raise ValueError("a fingerprint is not hexadecimal bytes joined by colons") from None


def _datagrams(records: bytes) -> list[bytes]:
    datagrams: list[bytes] = []
    start = position = 0
    while position < len(records):
        # type (1), version (2), epoch and sequence number (8), length (2)
        end = position + _RECORD_HEADER + int(unpack_from("!H", records, position + 11)[0])
        if end - start > HANDSHAKE_MTU and position > start:
            datagrams.append(records[start:position])
            start = position
        position = end
    if records:
        datagrams.append(records[start:])
    return datagrams


def _text(error: SSL.Error) -> str:
    reasons = error.args[0] if error.args and isinstance(error.args[0], list) else []
    return "DTLS: " + ("; ".join(str(reason[-1]) for reason in reasons) or type(error).__name__)
