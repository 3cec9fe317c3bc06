"""Access tokens: what is accepted, what is refused and in which words, and that nothing gets lost on the way."""

import base64
import hashlib
import hmac
import json
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import given
from hypothesis import strategies as st
from livekit import api
from livekit.protocol.models import ParticipantInfo, ParticipantPermission, TrackSource
from livekit.protocol.room import RoomConfiguration

from signaling.settings import Limits
from signaling.token import (
    MAX_TOKEN_LENGTH,
    ClaimRefused,
    Grants,
    TokenRefused,
    VideoGrant,
    check_join,
    check_not_revoked,
    mint,
    refresh,
    verify,
)

KEYS = {"APIkey": "0123456789abcdef0123456789abcdef", "APIother": "fedcba9876543210fedcba9876543210"}
SECRET = KEYS["APIkey"]
NOW = 1_800_000_000.5
LIMITS = Limits()

FULL = Grants(
    identity="анна|1 🌳",
    name="‮Анна",
    kind=ParticipantInfo.Kind.AGENT,
    kind_details=(ParticipantInfo.KindDetail.CLOUD_AGENT,),
    metadata='{"a": 1}',
    attributes={"veche.role": "host", "": "empty key"},
    video=VideoGrant(
        room="r" * 256,
        room_join=True,
        room_admin=True,
        can_publish=False,
        can_publish_data=True,
        can_publish_sources=("camera", "screen_share_audio"),
        can_update_own_metadata=True,
        hidden=True,
        destination_room="elsewhere",
    ),
    room_config=RoomConfiguration(name="x", empty_timeout=5, metadata="m"),
    room_preset="lecture",
    role="host",
)


def claims(**changes: Any) -> dict[str, Any]:
    content = {"iss": "APIkey", "sub": "anna", "exp": NOW + 60, "video": {"roomJoin": True, "room": "r"}} | changes
    return {name: value for name, value in content.items() if value is not None}


def signed(content: dict[str, Any], secret: str = SECRET, **header: Any) -> str:
    return jwt.encode(content, secret, algorithm="HS256", headers=header)


def by_hand(header: dict[str, Any], payload: bytes, secret: str = SECRET) -> str:
    """A token that PyJWT would not make, signed with HMAC-SHA256 all the same."""

    def encode(part: bytes) -> str:
        return base64.urlsafe_b64encode(part).decode().rstrip("=")

    head = f"{encode(json.dumps(header).encode())}.{encode(payload)}"
    return f"{head}.{encode(hmac.new(secret.encode(), head.encode(), hashlib.sha256).digest())}"


def test_round_trip_keeps_everything() -> None:
    read = verify(mint(FULL, "APIkey", SECRET, NOW, 60), KEYS, NOW)
    assert (read.issuer, read.issued_at, read.expires_at) == ("APIkey", 1_800_000_000, 1_800_000_061)
    for field in (
        "identity",
        "name",
        "kind",
        "kind_details",
        "metadata",
        "attributes",
        "video",
        "room_config",
        "room_preset",
        "role",
    ):
        assert getattr(read, field) == getattr(FULL, field), field


def test_refresh_keeps_content_and_lives_ten_minutes_or_the_rest() -> None:
    long = verify(mint(FULL, "APIother", KEYS["APIother"], NOW, 6 * 3600), KEYS, NOW)
    later = verify(refresh(long, "APIkey", SECRET, NOW + 3600), KEYS, NOW + 3600)
    assert later.expires_at == pytest.approx(long.expires_at, abs=1)
    assert (later.issuer, later.video, later.role) == ("APIkey", FULL.video, "host")
    last = verify(refresh(long, "APIkey", SECRET, NOW + 7 * 3600), KEYS, NOW + 7 * 3600)
    assert last.expires_at == pytest.approx(NOW + 7 * 3600 + 600, abs=1)


def test_tokens_of_the_official_package_are_read() -> None:
    text = (
        api.AccessToken("APIkey", SECRET)
        .with_identity("anna")
        .with_name("Anna")
        .with_kind("egress")
        .with_attributes({"a": "b"})
        .with_room_config(RoomConfiguration(name="x", max_participants=3))
        .with_grants(api.VideoGrants(room_join=True, room="r", can_publish_sources=["microphone"], recorder=True))
        .to_jwt()
    )
    now = jwt.decode(text, options={"verify_signature": False})["nbf"] + 1.0
    read = verify(text, KEYS, now)
    assert (read.identity, read.name, read.kind) == ("anna", "Anna", ParticipantInfo.Kind.EGRESS)
    assert read.attributes == {"a": "b"}
    assert read.room_config is not None
    assert read.room_config.max_participants == 3
    assert read.video.recorder
    assert read.video.permission().can_publish_sources == [TrackSource.MICROPHONE]
    check_join(read, LIMITS)


def test_official_package_reads_ours() -> None:
    import time

    text = mint(FULL, "APIkey", SECRET, time.time(), 60)
    read = api.TokenVerifier("APIkey", SECRET).verify(text)
    assert read.identity == FULL.identity
    assert read.video is not None
    assert (read.video.room, read.video.can_publish, read.video.can_subscribe) == ("r" * 256, False, True)


@pytest.mark.parametrize(
    ("grant", "expected"),
    [
        (VideoGrant(), (True, True, True)),
        (VideoGrant(can_publish=False), (False, True, False)),
        (VideoGrant(can_publish=False, can_publish_data=True), (False, True, True)),
        (VideoGrant(can_publish_data=False, can_subscribe=False), (True, False, False)),
    ],
)
def test_absent_claims_have_a_meaning(grant: VideoGrant, expected: tuple[bool, bool, bool]) -> None:
    permission = grant.permission()
    assert (permission.can_publish, permission.can_subscribe, permission.can_publish_data) == expected
    assert not permission.can_update_metadata
    assert VideoGrant(room="r").with_permission(permission).permission() == permission


def test_changed_permission_goes_into_the_grant() -> None:
    permission = ParticipantPermission(can_subscribe=True, can_publish_sources=[TrackSource.CAMERA], hidden=True)
    grant = FULL.video.with_permission(permission)
    assert grant.permission() == permission
    assert (grant.room, grant.room_admin, grant.can_publish_sources) == ("r" * 256, True, ("camera",))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"exp": NOW - 60.01}, "token is expired (exp)"),
        ({"exp": None}, "token has no expiry (exp)"),
        ({"nbf": NOW + 60.01}, "token not valid yet (nbf)"),
        ({"exp": "tomorrow"}, "claim exp must be seconds, not str"),
        ({"exp": True}, "claim exp must be seconds, not bool"),
        ({"exp": float("inf")}, "claim exp is not a finite number"),
        ({"exp": float("nan")}, "claim exp is not a finite number"),
        ({"exp": 10**400}, "claim exp is not a finite number"),
        ({"video": "yes"}, "claim video must be an object, not str"),
        ({"video": {"roomJoin": "true"}}, "claim roomJoin must be true or false, not str"),
        ({"video": {"room": 7}}, "claim room must be a string, not int"),
        ({"video": {"canPublishSources": "camera"}}, "claim canPublishSources must be a list of strings, not str"),
        ({"attributes": {"a": 1}}, "claim a must be a string, not int"),
        ({"name": "\ud800"}, "claim name is not valid Unicode"),
        ({"roomConfig": {"emptyTimeout": "soon"}}, "claim roomConfig: "),
    ],
)
def test_wrong_claims_are_named(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(TokenRefused) as caught:
        verify(signed(claims(**changes)), KEYS, NOW)
    assert str(caught.value).startswith(f"invalid authorization token: {words}")


@pytest.mark.parametrize("changes", [{"exp": NOW - 59}, {"nbf": NOW + 59}, {"exp": NOW + 0.5, "iat": NOW + 500}])
def test_clocks_may_differ_by_a_minute(changes: dict[str, Any]) -> None:
    assert verify(signed(claims(**changes)), KEYS, NOW).identity == "anna"


@pytest.mark.parametrize("issuer", ["APIdeleted", "", None, "../../etc/passwd"])
def test_unknown_key(issuer: str | None) -> None:
    with pytest.raises(TokenRefused, match=r"^invalid API key$"):
        verify(signed(claims(iss=issuer)), KEYS, NOW)
    with pytest.raises(TokenRefused):
        verify(by_hand({"alg": "HS256"}, json.dumps(claims(iss=["APIkey"])).encode()), KEYS, NOW)


def test_key_without_secret_signs_nothing() -> None:
    with pytest.raises(TokenRefused, match=r"^invalid API key$"):
        verify(by_hand({"alg": "HS256"}, json.dumps(claims(iss="empty")).encode(), ""), KEYS | {"empty": ""}, NOW)


def test_signature_of_another_key() -> None:
    with pytest.raises(TokenRefused, match=r"^invalid authorization token: signature is invalid$"):
        verify(signed(claims(), KEYS["APIother"]), KEYS, NOW)


def test_algorithm_is_not_the_headers_to_choose() -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    payload = json.dumps(claims()).encode()
    tokens = [
        jwt.encode(claims(), "", algorithm="none"),
        jwt.encode(claims(), key, algorithm="RS256"),
        jwt.encode(claims(), SECRET * 2, algorithm="HS512"),
        by_hand({"alg": "none"}, payload),
        by_hand({"alg": "nOnE"}, payload),
        by_hand({"alg": "RS256"}, payload, public.decode()),
        by_hand({"alg": ["HS256"]}, payload),
        by_hand({"alg": "HS256", "b64": False, "crit": ["b64"]}, payload),
        by_hand({"alg": "HS256", "crit": ["x"]}, payload),
        by_hand({}, payload),
    ]
    for text in tokens:
        with pytest.raises(TokenRefused, match=r"^invalid authorization token: "):
            verify(text, KEYS, NOW)
    assert verify(signed(claims(), kid="../../../dev/null"), KEYS, NOW).identity == "anna"


def test_garbage_is_refused_in_order() -> None:
    good = signed(claims())
    garbage = [
        "",
        ".",
        "..",
        "a.b.c",
        "Bearer " + good,
        good[:-1],
        good + "A",
        good + ".x",
        "\0" * 100,
        "я" * 50,
        "\ud800",
        by_hand({"alg": "HS256"}, b"[" * 30_000),
        by_hand({"alg": "HS256"}, b'{"exp":' + b"9" * 5000 + b"}"),
        by_hand({"alg": "HS256"}, b"[]"),
        by_hand({"alg": "HS256"}, b'"text"'),
        by_hand({"alg": "HS256"}, b"\xff\xfe"),
        "a" * (MAX_TOKEN_LENGTH + 1),
    ]
    for text in garbage:
        with pytest.raises(TokenRefused, match=r"^invalid authorization token: "):
            verify(text, KEYS, NOW)


@given(st.text())
def test_any_text_is_refused_or_read(text: str) -> None:
    with pytest.raises(TokenRefused):
        verify(text, KEYS, NOW)


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.text(), lambda inner: st.lists(inner)), st.data())
def test_any_claim_is_refused_or_read(value: object, data: st.DataObject) -> None:
    names = [
        "sub",
        "jti",
        "name",
        "kind",
        "kindDetails",
        "metadata",
        "attributes",
        "video",
        "roomConfig",
        "iat",
        "veche",
    ]
    name = data.draw(st.sampled_from(names))
    try:
        grants = verify(by_hand({"alg": "HS256"}, json.dumps(claims(**{name: value})).encode()), KEYS, NOW)
    except TokenRefused:
        return
    for text in (grants.identity, grants.name, grants.metadata, *grants.attributes, *grants.attributes.values()):
        text.encode()


def test_identity_comes_from_sub_or_jti_never_from_identity() -> None:
    assert verify(signed(claims(identity="boris")), KEYS, NOW).identity == "anna"
    assert verify(signed(claims(sub=None, jti="boris")), KEYS, NOW).identity == "boris"


@pytest.mark.parametrize("claim", [None, {}, {"role": "root"}, {"role": ["host"]}, {"role": None}])
def test_role_is_attendee_unless_signed_otherwise(claim: object) -> None:
    assert verify(signed(claims(veche=claim)), KEYS, NOW).role == "attendee"
    assert verify(signed(claims(veche={"role": "cohost"})), KEYS, NOW).role == "cohost"


def test_who_may_join() -> None:
    with pytest.raises(TokenRefused, match=r"^no permissions to access the room$"):
        check_join(None, LIMITS)
    with pytest.raises(TokenRefused, match=r"^permissions denied$"):
        check_join(Grants(identity="anna", video=VideoGrant(room="r", room_admin=True)), LIMITS)


@pytest.mark.parametrize(
    ("grants", "words"),
    [
        (Grants(identity="anna", video=VideoGrant(room_join=True)), "no room name"),
        (Grants(video=VideoGrant(room="r", room_join=True)), "identity cannot be empty"),
        (
            Grants(identity="a\0b", video=VideoGrant(room="r", room_join=True)),
            "participant identity holds a NUL character",
        ),
        (
            Grants(identity="x" * 10_240, video=VideoGrant(room="r", room_join=True)),
            "participant identity length exceeds limits: 10240 bytes, limit 256",
        ),
        (
            Grants(identity="я" * 129, video=VideoGrant(room="r", room_join=True)),
            "participant identity length exceeds limits: 258 bytes, limit 256",
        ),
        (
            Grants(identity="anna", name="n" * 257, video=VideoGrant(room="r", room_join=True)),
            "participant name length exceeds limits: 257 bytes, limit 256",
        ),
        (
            Grants(identity="anna", video=VideoGrant(room="r" * 257, room_join=True)),
            "room name length exceeds limits: 257 bytes, limit 256",
        ),
        (
            Grants(identity="anna", metadata="m" * 524_289, video=VideoGrant(room="r", room_join=True)),
            "metadata size exceeds limits: 524289 bytes, limit 524288",
        ),
        (
            Grants(identity="anna", attributes={"k": "v" * 65_536}, video=VideoGrant(room="r", room_join=True)),
            "attribute size exceeds limits: 65537 bytes, limit 65536",
        ),
        (
            Grants(
                identity="anna",
                video=VideoGrant(room="r", room_join=True),
                room_config=RoomConfiguration(metadata="m" * 524_289),
            ),
            "room metadata size exceeds limits: 524289 bytes, limit 524288",
        ),
    ],
)
def test_what_cannot_be_in_a_room(grants: Grants, words: str) -> None:
    with pytest.raises(ClaimRefused) as caught:
        check_join(grants, LIMITS)
    assert str(caught.value) == words


def test_zero_is_no_limit_and_odd_names_are_legal() -> None:
    check_join(FULL, LIMITS)
    check_join(Grants(identity="x" * 10_240, video=VideoGrant(room="r", room_join=True)), Limits(max_identity_length=0))


def test_revoked_tokens() -> None:
    token = verify(mint(FULL, "APIkey", SECRET, NOW, 60), KEYS, NOW)
    check_not_revoked(token, 0.0)
    check_not_revoked(token, NOW - 1)
    with pytest.raises(TokenRefused, match="token is revoked"):
        check_not_revoked(token, NOW)
    timeless = verify(signed(claims()), KEYS, NOW)
    check_not_revoked(timeless, 0.0)
    with pytest.raises(TokenRefused, match="token is revoked"):
        check_not_revoked(timeless, 1.0)
