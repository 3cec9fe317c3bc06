"""Logs: one line an event, and no secret in them however much is logged."""

from __future__ import annotations

import json
import socket
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from server.api.authority import HOST_COOKIE
from tests.service import Service, running_service, unverified_tls


def open_(request: str | urllib.request.Request) -> None:
    """Asks, whatever the answer is."""
    try:
        with urllib.request.urlopen(request, timeout=20, context=unverified_tls()) as answer:
            answer.read()
    except urllib.error.HTTPError as refused:
        refused.close()


def use(service: Service) -> list[str]:
    """Makes a meeting, joins it and asks wrongly; returns what nobody may read in the log."""
    request = urllib.request.Request(
        f"{service.http}/api/v1/meetings", b'{"title": "Confidential"}', {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=20) as answer:
        code = str(json.load(answer)["code"])
        cookie = answer.headers["Set-Cookie"]
    host_secret = cookie.split(f"{HOST_COOKIE}=")[1].split(";")[0]
    tab = "QUFBQUFBQUFBQUFBQUFBQQ"
    body = {"name": "Anna Karenina", "tab": tab}
    entered = service.post(f"/api/v1/meetings/{code}/join", body, {"Cookie": f"{HOST_COOKIE}={host_secret}"})
    token = str(entered["token"])
    for path in (f"/rtc/validate?access_token={token}", f"/rtc/validate?access_token={token}x", f"/m/{code}"):
        open_(service.http + path)
    open_(f"{service.http}/m/{code.replace('-', '')}x")
    open_(f"{service.http}/m?code={code}")
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    open_(urllib.request.Request(f"{service.http}/api/v1/meetings", b"no gzip", headers))
    host, _, port = service.http.removeprefix("http://").rpartition(":")
    for line in (b"GET / HTTP/1.1\r\nX\0: a\r\n\r\n", b"\x16\x03\x01" + bytes(100)):
        with socket.create_connection((host, int(port)), timeout=20) as odd:
            odd.sendall(line)
            assert odd.recv(12).startswith(b"HTTP/1.")
    return [code, code.replace("-", ""), host_secret, tab, token, token.split(".")[2], service.secret, "Anna Karenina"]


@pytest.mark.parametrize("level", ["debug", "info"])
def test_no_secret_is_logged_and_nobody_fills_the_log(network: None, tmp_path: Path, level: str) -> None:
    with running_service(tmp_path, {"VECHE_LOG__LEVEL": level}) as service:
        secrets = use(service)
    log = service.log.read_text()
    assert "/api/v1/meetings" in log
    assert [secret for secret in secrets if secret in log] == []
    assert "Traceback" not in log
