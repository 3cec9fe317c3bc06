"""The self-signed certificate of a service that was given none, renewed when it no longer fits."""

from __future__ import annotations

import datetime
import ipaddress
import os
import ssl
from collections.abc import Iterable
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

VALID_FOR = datetime.timedelta(days=397)
"""Browsers refuse server certificates that are valid for longer than 398 days."""
RENEW_BEFORE = datetime.timedelta(days=30)


def names_of(certificate: x509.Certificate) -> set[str]:
    """Host names and IP literals that the certificate is for."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return set()
    addresses = (str(address) for address in names.get_values_for_type(x509.IPAddress))
    return {*names.get_values_for_type(x509.DNSName), *addresses}


def read(path: Path) -> x509.Certificate:
    """The first certificate of a PEM file. Raises OSError, or ValueError for what is none."""
    return x509.load_pem_x509_certificate(path.read_bytes())


def ensure(folder: Path, names: Iterable[str], now: datetime.datetime) -> tuple[Path, Path]:
    """Paths of `cert.pem` and `key.pem` in `folder`, made anew where they do not serve until a month from now."""
    certificate_path, key_path = folder / "cert.pem", folder / "key.pem"
    wanted = sorted(set(names))
    if _fits(certificate_path, key_path, set(wanted), now):
        return certificate_path, key_path
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = _self_signed(key, wanted, now)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    write_secret(key_path, secret)
    certificate_path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    return certificate_path, key_path


def _fits(certificate_path: Path, key_path: Path, wanted: set[str], now: datetime.datetime) -> bool:
    """Whether both files are there, whole and of one pair: a start that was killed may have left one of each."""
    try:
        present = read(certificate_path)
        load(certificate_path, key_path)
    except (OSError, ValueError):
        return False
    return wanted <= names_of(present) and now + RENEW_BEFORE < present.not_valid_after_utc


def load(certificate: Path, key: Path) -> ssl.SSLContext:
    """A server's TLS context (1.2 and 1.3). Raises OSError (`ssl.SSLError` included) where the files do not serve."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(["http/1.1"])
    context.load_cert_chain(certificate, key)
    return context


def write_secret(path: Path, content: bytes) -> None:
    """Writes a file that only its owner may read, whole or not at all."""
    partial = path.with_name(f"{path.name}.new")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    partial.replace(path)


def _self_signed(key: ec.EllipticCurvePrivateKey, names: list[str], now: datetime.datetime) -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Veche, self-signed")])
    alternative = x509.SubjectAlternativeName([_general_name(name) for name in names])
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + VALID_FOR)
        .add_extension(alternative, critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
