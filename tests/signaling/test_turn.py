"""TURN: servers of the operator's, as clients are told of them, with credentials that end."""

from __future__ import annotations

import pytest
from livekit.protocol.rtc import ICEServer

from signaling.turn import TurnServer, ice_servers
from tests.signaling.meeting import START, Meeting

SHARED = TurnServer("turn.example.org", 3478, "udp", secret="north", ttl=600)


@pytest.mark.parametrize(
    ("server", "url"),
    [
        (TurnServer("turn.example.org", 3478, "udp"), "turn:turn.example.org:3478?transport=udp"),
        (TurnServer("192.0.2.7", 80, "tcp"), "turn:192.0.2.7:80?transport=tcp"),
        (TurnServer("2001:db8::7", 443, "tls"), "turns:[2001:db8::7]:443?transport=tcp"),
    ],
)
def test_the_address_is_that_of_rfc_7065(server: TurnServer, url: str) -> None:
    assert server.url == url


def test_credentials_are_those_that_a_server_with_the_secret_makes_itself() -> None:
    """`printf 1700000600:PA_000000000009 | openssl dgst -sha1 -hmac north -binary | base64`"""
    assert ice_servers([SHARED], "PA_000000000009", START + 0.9) == [
        ICEServer(
            urls=["turn:turn.example.org:3478?transport=udp"],
            username="1700000600:PA_000000000009",
            credential="bMxKjPRD+QBO1VGb38ljoeyPbck=",
        )
    ]


def test_a_server_without_a_secret_has_one_name_for_all() -> None:
    server = TurnServer("turn.example.org", 3478, "udp", username="all", credential="word")
    (told,) = ice_servers([server], "PA_000000000009", START)
    assert (told.username, told.credential) == ("all", "word")


def test_nothing_secret_is_written_where_settings_are() -> None:
    assert "north" not in repr(SHARED)
    assert "word" not in repr(TurnServer("turn.example.org", 3478, "udp", username="all", credential="word"))


def test_a_client_is_told_at_its_join_and_anew_at_a_resume() -> None:
    meeting = Meeting(turn_servers=(SHARED,))
    anna, boris = meeting.join("anna"), meeting.join("boris")
    joined = [list(client.messages("join")[0].join.ice_servers) for client in (anna, boris)]
    assert joined == [ice_servers([SHARED], client.sid, START) for client in (anna, boris)]
    assert joined[0] != joined[1], "each has its own"
    anna.lose_socket()
    meeting.advance(300)
    anna.resume()
    again = list(anna.messages("reconnect")[0].reconnect.ice_servers)
    assert again == ice_servers([SHARED], anna.sid, START + 300)
