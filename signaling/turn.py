"""TURN: by which servers of the operator's a client may be relayed, and with which short-lived credentials. Pure."""

from __future__ import annotations

import base64
import hmac
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from livekit.protocol.rtc import ICEServer


@dataclass(frozen=True, slots=True)
class TurnServer:
    """One TURN server. It has a `secret` that it shares with us, or one `username` and `credential` for everybody."""

    host: str
    """A name or an IP literal."""
    port: int
    protocol: Literal["udp", "tcp", "tls"]
    """How clients reach it; what it relays is UDP."""
    username: str = ""
    credential: str = field(default="", repr=False)
    secret: str = field(default="", repr=False)
    """What it checks credentials with (coturn's `static-auth-secret`)."""
    ttl: int = 14400
    """Seconds for which credentials that are made of the secret hold."""

    @property
    def url(self) -> str:
        """Its address as RFC 7065 has it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        scheme = "turns" if self.protocol == "tls" else "turn"
        transport = "udp" if self.protocol == "udp" else "tcp"
        return f"{scheme}:{host}:{self.port}?transport={transport}"


def ice_servers(servers: Iterable[TurnServer], sid: str, now: float) -> list[ICEServer]:
    """What the participant `sid` is told of the servers; with a secret, the credentials are its own and end (`ttl`)."""
    return [_told(server, sid, now) for server in servers]


def _told(server: TurnServer, sid: str, now: float) -> ICEServer:
    username, credential = server.username, server.credential
    if server.secret:
        # The form that TURN servers agree on: draft-uberti-behave-turn-rest-00, section 2.2.
        username = f"{int(now) + server.ttl}:{sid}"
        digest = hmac.digest(server.secret.encode(), username.encode(), "sha1")
        credential = base64.b64encode(digest).decode()
    return ICEServer(urls=[server.url], username=username, credential=credential)
