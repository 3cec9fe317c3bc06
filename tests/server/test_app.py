"""The running service: what it takes again on SIGHUP, how it ends, and what is there after it was killed."""

from __future__ import annotations

import signal
import socket
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from server import certificate
from signaling import token
from signaling.token import Grants, VideoGrant
from tests.service import STOP_DEADLINE, Service, running_service, unverified_tls

DEADLINE = 30.0
OLD, NEW = "a-secret-for-tests-only-0123456789abcdef", "another-secret-for-tests-0123456789abcdef"


def until(condition: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < end, f"not within {DEADLINE:.0f} s: {what}"
        time.sleep(0.05)


def status_of(service: Service, key: str, secret: str) -> int:
    grants = Grants(identity="anna", video=VideoGrant(room="room", room_join=True))
    text = token.mint(grants, key, secret, time.time(), 60)
    try:
        with urllib.request.urlopen(f"{service.http}/rtc/validate?access_token={text}", timeout=20) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code


def certificate_of(service: Service) -> str:
    host, port = service.https.removeprefix("https://").split(":")
    with (
        socket.create_connection((host, int(port)), timeout=20) as plain,
        unverified_tls().wrap_socket(plain) as secured,
    ):
        found = secured.getpeercert(binary_form=True)
        assert found is not None
        return ssl.DER_cert_to_PEM_cert(found)


def test_keys_certificate_and_log_level_are_taken_again(network: None, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    keys, toml = folder / "keys", folder / "veche.toml"
    keys.write_text(f"old: {OLD}\n")
    toml.write_text("[log]\nlevel = 'error'\n")
    with running_service(folder, {"VECHE_KEYS": ""}) as service:
        before = certificate_of(service)
        assert (status_of(service, "old", OLD), status_of(service, "new", NEW)) == (200, 401)
        keys.write_text(f"new: {NEW}\n")
        toml.write_text("[log]\nlevel = 'info'\n")
        (folder / "tls" / "cert.pem").unlink()
        service.process.send_signal(signal.SIGHUP)
        until(lambda: status_of(service, "new", NEW) == 200, "the new key is taken")
        assert status_of(service, "old", OLD) == 401
        assert certificate_of(service) != before
        assert "SIGHUP: keys, certificate and log level are read again" in service.log.read_text()

        keys.write_text("broken\n")
        service.process.send_signal(signal.SIGHUP)
        until(lambda: "SIGHUP: nothing was changed" in service.log.read_text(), "the wrong file is told of")
        assert status_of(service, "new", NEW) == 200
        log = service.log.read_text()
    assert OLD not in log
    assert NEW not in log
    assert "Traceback" not in log


def test_a_meeting_a_certificate_and_a_key_outlive_a_killed_process(network: None, tmp_path: Path) -> None:
    code = ""
    kept = b"", ""

    def live_and_be_killed() -> None:
        nonlocal code, kept
        with running_service(tmp_path, {"VECHE_KEYS": ""}) as service:
            code = str(service.post("/api/v1/meetings", {"title": "Weekly"})["code"])
            kept = (tmp_path / "keys").read_bytes(), certificate_of(service)
            service.process.kill()
            service.process.wait(STOP_DEADLINE)

    with pytest.raises(RuntimeError, match="ended by itself with -9"):
        live_and_be_killed()
    with running_service(tmp_path, {"VECHE_KEYS": ""}) as again:
        assert ((tmp_path / "keys").read_bytes(), certificate_of(again)) == kept
        with urllib.request.urlopen(f"{again.http}/api/v1/meetings/{code}/preview", timeout=20) as answer:
            assert b"Weekly" in answer.read()
        log = again.log.read_text()
    assert kept[0].decode().split(": ")[1].strip() not in log
    assert code not in log


def test_pages_over_https_and_plain_http_lead_there(network: None, service: Service) -> None:
    tls = unverified_tls()
    request = urllib.request.Request(service.https, headers={"Accept": "text/html"})
    with urllib.request.urlopen(request, context=tls, timeout=20) as answer:
        assert answer.status == 200
    made = urllib.request.Request(
        f"{service.https}/api/v1/meetings", data=b"{}", headers={"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(made, context=tls, timeout=20) as answer:
        assert "Secure" in answer.headers["Set-Cookie"]


def test_it_ends_well_by_a_signal_whoever_is_connected(network: None, tmp_path: Path) -> None:
    def live_and_be_stopped() -> None:
        with running_service(tmp_path) as service:
            host, port = service.http.removeprefix("http://").split(":")
            with socket.create_connection((host, int(port))) as idle:
                idle.sendall(b"GET /healthz HTTP/1.1\r\n")  # and no more: nobody waits for the rest
                service.process.send_signal(signal.SIGTERM)
                service.process.wait(STOP_DEADLINE)

    with pytest.raises(RuntimeError, match="ended by itself with 0"):
        live_and_be_stopped()
    log = (tmp_path / "veche.log").read_text()
    assert "stopping: a second signal stops at once" in log
    assert "Traceback" not in log


def test_files_are_the_owners_alone(network: None, service: Service) -> None:
    for path in service.data_dir.rglob("*"):
        if path != service.log:
            assert path.stat().st_mode & 0o077 == 0, path
    assert certificate.names_of(certificate.read(service.data_dir / "tls" / "cert.pem"))
