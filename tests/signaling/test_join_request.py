"""What a client says of itself and wishes when it joins: in its join request, or in its query."""

from __future__ import annotations

import base64
import gzip

import pytest
from livekit.protocol.models import ClientInfo
from livekit.protocol.rtc import AddTrackRequest, ConnectionSettings, JoinRequest, WrappedJoinRequest

from signaling import join_request
from signaling.asking import read_asked
from signaling.client_info import complete_client
from signaling.joining import join
from signaling.settings import NodeSettings
from signaling.token import ClaimRefused, Grants, VideoGrant
from tests.signaling.meeting import Meeting


def packed(request: JoinRequest, *, compress: bool = True, url_safe: bool = True, padded: bool = True) -> str:
    """As it stands in an address; of the same bytes at any time, since tests are named by it in two processes."""
    inner = request.SerializeToString()
    wrapped = WrappedJoinRequest(
        compression=WrappedJoinRequest.GZIP if compress else WrappedJoinRequest.NONE,
        join_request=gzip.compress(inner, mtime=0) if compress else inner,
    ).SerializeToString()
    text = (base64.urlsafe_b64encode if url_safe else base64.b64encode)(wrapped).decode()
    return text if padded else text.rstrip("=")


@pytest.mark.parametrize("compress", [True, False])
@pytest.mark.parametrize("url_safe", [True, False])
@pytest.mark.parametrize("padded", [True, False])
def test_a_join_request_is_read_in_every_form(compress: bool, url_safe: bool, padded: bool) -> None:
    request = JoinRequest(client_info=ClientInfo(sdk=ClientInfo.SDK.JS, protocol=17), metadata="~~~???>>>" * 3)
    assert join_request.read(packed(request, compress=compress, url_safe=url_safe, padded=padded)) == request


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("*", "base64url"),
        ("AAAA", "base64url"),
        ("é", "base64url"),
        (packed(JoinRequest())[:-9], "base64url|ends too early"),
        ("A" * (join_request.MAX_SIZE + 1), "too large"),
        (packed(JoinRequest(metadata="x" * (join_request.MAX_SIZE + 1))), "too large"),
        (packed(JoinRequest(add_track_requests=[AddTrackRequest()] * (join_request.MAX_TRACKS + 1))), "101 tracks"),
    ],
)
def test_a_join_request_that_is_wrong_is_told_so(text: str, says: str) -> None:
    with pytest.raises(ClaimRefused, match=says):
        join_request.read(text)


@pytest.mark.parametrize("usual", [True, False])
@pytest.mark.parametrize("said", [True, False, None])
def test_pictures_may_be_paused_as_the_client_says_or_else_as_is_usual(usual: bool, said: bool | None) -> None:
    """livekit-client says nothing: on a path too narrow for all pictures its sound would go under in them."""
    settings = NodeSettings(keys={}, addresses=(), udp_port=7882, allow_pause=usual)
    wishes = ConnectionSettings(auto_subscribe=True)
    if said is not None:
        wishes.subscriber_allow_pause = said
    ways = ({"join_request": packed(JoinRequest(connection_settings=wishes))},
            {} if said is None else {"subscriber_allow_pause": str(int(said))})  # fmt: skip
    for query in ways:
        joining = read_asked(Grants(), query, settings.limit).joining("", "198.18.0.2", settings)
        assert joining.allow_pause is (usual if said is None else said)


def test_what_a_join_request_leaves_out_is_no_and_what_a_query_leaves_out_is_as_usual() -> None:
    settings = NodeSettings(keys={}, addresses=(), udp_port=7882)
    chosen = []
    for query in ({"join_request": packed(JoinRequest())}, {}, {"auto_subscribe": "0", "adaptive_stream": "true"}):
        joining = read_asked(Grants(), query, settings.limit).joining("", "198.18.0.2", settings)
        chosen.append((joining.auto_subscribe, joining.auto_subscribe_data_track, joining.adaptive_stream))
    assert chosen == [(False, False, False), (True, False, False), (False, False, True)]


def test_others_hear_what_a_client_can_though_we_do_not_know_it() -> None:
    """By that they choose how to speak with it: newer SDKs have capabilities that no older server knows."""
    said = ClientInfo(sdk=ClientInfo.SDK.RUST, protocol=17, client_protocol=7)
    said.capabilities.extend([ClientInfo.Capability.CAP_PACKET_TRAILER, 99])  # type: ignore[list-item]
    query = {"join_request": packed(JoinRequest(client_info=said))}
    settings = NodeSettings(keys={}, addresses=(), udp_port=7882)
    meeting = Meeting()
    boris = meeting.join("boris")
    grants = Grants(identity="anna", video=VideoGrant(room="meeting", room_join=True))
    asked = read_asked(grants, query, settings.limit).joining("", "198.18.0.2", settings)
    meeting.run(join(meeting.room, asked, meeting.now))
    told = boris.last("update").update.participants[0]
    assert (told.identity, told.client_protocol, list(told.capabilities)) == ("anna", 7, [1, 99])
    query = {"capabilities": "CAP_PACKET_TRAILER,CAP_OTHER", "client_protocol": "2"}
    client = read_asked(grants, query, settings.limit).joining("", "198.18.0.2", settings).client
    assert (client.client_protocol, list(client.capabilities)) == (2, [1])


def test_what_others_hear_of_a_client_is_short() -> None:
    """Its capabilities are in every description of it that the others get."""
    said = ClientInfo(sdk=ClientInfo.SDK.RUST, version="1" * 10_000)
    said.capabilities.extend([*range(1, 1000)] * 2)
    client = complete_client(said, "", "198.18.0.9")
    assert list(client.capabilities) == list(range(1, 33))
    assert len(client.version) < 1000
