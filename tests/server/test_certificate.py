"""The self-signed certificate: it names every address that is offered, lasts over restarts, and is renewed in time."""

from __future__ import annotations

import datetime
import socket
import ssl
import threading
from pathlib import Path

import pytest
from cryptography import x509

from server import addresses, app, certificate
from server.config import SettingsError, load

NOW = datetime.datetime(2030, 1, 1, tzinfo=datetime.UTC)
NAMES = ["localhost", "meet.example.org", "192.0.2.7", "2001:db8::7", "127.0.0.1"]


def test_it_names_every_host_and_address(tmp_path: Path) -> None:
    cert, key = certificate.ensure(tmp_path / "tls", NAMES, NOW)
    made = certificate.read(cert)
    assert certificate.names_of(made) == set(NAMES)
    names = made.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert sorted(names.get_values_for_type(x509.DNSName)) == ["localhost", "meet.example.org"]
    assert len(names.get_values_for_type(x509.IPAddress)) == 3
    assert key.stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "tls").stat().st_mode & 0o777 == 0o700
    assert made.not_valid_before_utc < NOW
    assert made.not_valid_after_utc - made.not_valid_before_utc < datetime.timedelta(days=398)


def test_the_service_offers_what_clients_may_open(tmp_path: Path) -> None:
    settings = load(None, [f"data_dir={tmp_path}", "rtc.addresses=192.0.2.7 2001:db8::7"])
    cert, _ = app.certificate_files(settings, settings.rtc.addresses)
    wanted = {"localhost", "127.0.0.1", "::1", socket.gethostname(), "192.0.2.7", "2001:db8::7"}
    assert wanted | set(addresses.local_addresses()) <= certificate.names_of(certificate.read(cert))


@pytest.mark.parametrize("later", [0, 1, 300, 366])
def test_it_is_used_again_until_a_month_before_its_end(tmp_path: Path, later: int) -> None:
    cert, key = certificate.ensure(tmp_path, NAMES, NOW)
    before = cert.read_bytes(), key.read_bytes()
    again = certificate.ensure(tmp_path, NAMES[:2], NOW + datetime.timedelta(days=later))
    assert again == (cert, key)
    assert (cert.read_bytes(), key.read_bytes()) == before


@pytest.mark.parametrize("later", [368, 400, 4000])
def test_it_is_renewed_near_and_after_its_end(tmp_path: Path, later: int) -> None:
    cert, key = certificate.ensure(tmp_path, NAMES, NOW)
    before = cert.read_bytes(), key.read_bytes()
    then = NOW + datetime.timedelta(days=later)
    certificate.ensure(tmp_path, NAMES, then)
    assert cert.read_bytes() != before[0]
    assert key.read_bytes() != before[1]
    assert certificate.read(cert).not_valid_after_utc > then + datetime.timedelta(days=390)


def test_a_new_address_renews_it(tmp_path: Path) -> None:
    cert, _ = certificate.ensure(tmp_path, NAMES, NOW)
    certificate.ensure(tmp_path, [*NAMES, "198.51.100.9"], NOW)
    assert "198.51.100.9" in certificate.names_of(certificate.read(cert))


@pytest.mark.parametrize("broken", ["cert.pem", "key.pem"])
@pytest.mark.parametrize("content", [None, b"", b"garbage"])
def test_a_lost_or_broken_file_is_made_anew(tmp_path: Path, broken: str, content: bytes | None) -> None:
    certificate.ensure(tmp_path, NAMES, NOW)
    if content is None:
        (tmp_path / broken).unlink()
    else:
        (tmp_path / broken).write_bytes(content)
    certificate.load(*certificate.ensure(tmp_path, NAMES, NOW))


def test_a_key_of_another_certificate_is_made_anew(tmp_path: Path) -> None:
    """A start that was killed between the two files leaves such a pair."""
    certificate.ensure(tmp_path, NAMES, NOW)
    other, key = certificate.ensure(tmp_path / "other", NAMES, NOW)
    (tmp_path / "key.pem").write_bytes(key.read_bytes())
    assert other.exists()
    certificate.load(*certificate.ensure(tmp_path, NAMES, NOW))


def test_a_handshake_with_it_is_one_of_today(tmp_path: Path) -> None:
    cert, key = certificate.ensure(tmp_path, NAMES, datetime.datetime.now(datetime.UTC))
    server = certificate.load(cert, key)
    client = ssl.create_default_context(cafile=str(cert))
    here, there = socket.socketpair()

    def serve() -> None:
        with server.wrap_socket(there, server_side=True) as accepted:
            accepted.sendall(b"hello")

    answering = threading.Thread(target=serve)
    answering.start()
    with client.wrap_socket(here, server_hostname="192.0.2.7") as socket_:
        assert socket_.recv(5) == b"hello"
        assert socket_.version() == "TLSv1.3"
    answering.join(30)
    assert server.minimum_version == ssl.TLSVersion.TLSv1_2


def test_files_of_the_operator_that_do_not_serve_are_one_line(tmp_path: Path) -> None:
    cert, key = certificate.ensure(tmp_path, NAMES, NOW)
    (tmp_path / "garbage.pem").write_text("garbage")
    _, other = certificate.ensure(tmp_path / "other", NAMES, NOW)
    for pair in ((tmp_path / "none.pem", key), (tmp_path / "garbage.pem", key), (cert, other)):
        with pytest.raises(SettingsError, match=r"^http.cert, http.key: got .*, takes a PEM chain and its key: ") as e:
            app.tls_context(*pair)
        assert "\n" not in str(e.value)


def test_a_secret_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    path.write_text("old")
    path.chmod(0o644)
    certificate.write_secret(path, b"new")
    assert path.read_bytes() == b"new"
    assert path.stat().st_mode & 0o777 == 0o600
    assert [found.name for found in tmp_path.iterdir()] == ["keys"]
