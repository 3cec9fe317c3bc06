"""Every command crosses into the engine, and every wrong field is named before anything is taken."""

from __future__ import annotations

import dataclasses
import inspect
import time
from collections.abc import Iterator
from typing import Any, get_args

import pytest

from media import commands
from media._engine import Engine
from media.commands import (
    AddSubscription,
    AddTrack,
    AllowPauses,
    BlockTrack,
    CloseTransport,
    Codec,
    Command,
    Extension,
    LimitBandwidth,
    OpenTransport,
    RemoveSubscription,
    RemoveTrack,
    RestartIce,
    SendDatagram,
    SetExtensions,
    SetKeys,
    SetSubscription,
    SilenceTrack,
    StartCapture,
    StopCapture,
    Stream,
)
from tests.media.ice import BINDING_SUCCESS, Client

PASSWORD = "0123456789abcdefghijklmn"
VP8 = Codec(96, "video/VP8", 90_000, 0, "", 97, True, True, True, True)
LEVEL = Extension(1, "urn:ietf:params:rtp-hdrext:ssrc-audio-level")
OPEN = OpenTransport(26, "1a+abcdefgh", PASSWORD)
SEND = SendDatagram(26, b"\x16dtls")
KEYS = SetKeys(26, "AEAD_AES_128_GCM", b"k" * 16, b"s" * 12, b"K" * 16, b"S" * 12)
TRACK = AddTrack(26, 1, "video", "0", (VP8,), ("q", "h", "f"), (Stream(1, 2, "q"), Stream(3, 0, "")), False)
EXAMPLES: list[Command] = [
    OPEN,
    RestartIce(26, "1a+ijklmnop", PASSWORD),
    SEND,
    KEYS,
    SetKeys(26, "AEAD_AES_256_GCM", b"k" * 32, b"s" * 12, b"K" * 32, b"S" * 12),
    SetKeys(26, "AES128_CM_HMAC_SHA1_80", b"k" * 16, b"s" * 14, b"K" * 16, b"S" * 14),
    SetExtensions(26, (LEVEL,)),
    TRACK,
    BlockTrack(26, 1, True),
    SilenceTrack(26, 1, b"trailer"),
    AddSubscription(26, 5, 26, 1, "video", "1", 11, 12, "cname", (VP8,), (LEVEL,), True),
    SetSubscription(26, 5, True, 2, 3),
    AllowPauses(26, True),
    LimitBandwidth(26, 300_000),
    RemoveSubscription(26, 5, b"trailer"),
    StartCapture(26, 7, 1.5, 60.0, 4096),
    StopCapture(26),
    RemoveTrack(26, 1),
    CloseTransport(26),
]


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    running = Engine(["127.0.0.1"], 0, 2, 30.0)
    yield running
    running.close()


def changed(example: Any, field: str, value: object) -> Any:
    """A copy with another value in one field."""
    return dataclasses.replace(example, **{field: value})


def wrong_values(value: object) -> list[Any]:
    """Values of another type, or out of any range, than `value`."""
    match value:
        case bool():
            return ["yes", None, 1]
        case int():
            return ["many", None, 2**64, -2, 1.5]
        case float():
            return ["long", None, -1.0, float("nan"), float("inf"), [value]]
        case str():
            return [5, None, b"bytes", "\udc80"]
        case bytes():
            return ["text", None, [1, 2]]
        case _:
            return ["text", None, 5, [value]]


def wrong_fields(example: object, prefix: str) -> Iterator[tuple[str, Any]]:
    """Copies of a dataclass with one wrong field, here or in an object that it holds, and the place of that field."""
    assert dataclasses.is_dataclass(example)
    for field in dataclasses.fields(example):
        value = getattr(example, field.name)
        for wrong in wrong_values(value):
            yield f"{prefix}.{field.name}", changed(example, field.name, wrong)
        for index, item in enumerate(value if isinstance(value, tuple) else ()):
            place = f"{prefix}.{field.name}[{index}]"
            inner = wrong_fields(item, place) if dataclasses.is_dataclass(item) else [(place, 5)]
            for inner_place, wrong in inner:
                items = (*value[:index], wrong, *value[index + 1 :])
                yield inner_place, changed(example, field.name, items)


def test_there_is_an_example_of_every_command() -> None:
    assert {type(example) for example in EXAMPLES} == set(get_args(Command))
    held = {commands.Codec, commands.Extension, commands.Stream}
    classes = {c for _, c in inspect.getmembers(commands, inspect.isclass) if c.__module__ == commands.__name__}
    assert classes - held == set(get_args(Command))


def test_every_command_is_taken(engine: Engine) -> None:
    engine.submit(EXAMPLES)
    engine.submit([])
    engine.submit(tuple(EXAMPLES))


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: type(example).__name__)
def test_every_wrong_field_is_named(engine: Engine, example: Command) -> None:
    for place, wrong in wrong_fields(example, type(example).__name__):
        with pytest.raises(ValueError, match="expected") as raised:
            engine.submit([wrong])
        assert str(raised.value).startswith(f"{place}: got "), wrong


@pytest.mark.parametrize(
    ("command", "text"),
    [
        (OpenTransport(26, "1b+abcdefgh", PASSWORD), "OpenTransport.local_ufrag: got "),
        (OpenTransport(26, "1a+abcdefgh", "short"), "OpenTransport.local_pwd: got 5 characters, expected 22 to 256"),
        (changed(KEYS, "profile", "NULL"), "SetKeys.profile: got 'NULL', expected AEAD_AES_128_GCM"),
        (changed(KEYS, "send_salt", b"s" * 14), "SetKeys.send_salt: got 14 bytes"),
        (changed(TRACK, "kind", "text"), "AddTrack.kind: got 'text', expected \"audio\" or \"video\""),
        (SendDatagram(26, b""), "SendDatagram.data: got 0 bytes"),
        (SetExtensions(26, (Extension(0, "uri"),)), "SetExtensions.extensions: got id 0"),
    ],
)  # fmt: skip
def test_a_value_that_no_shard_could_carry_out_is_named(engine: Engine, command: Command, text: str) -> None:
    with pytest.raises(ValueError, match="expected") as raised:
        engine.submit([command])
    assert str(raised.value).startswith(text)


def test_errors_never_show_secrets(engine: Engine) -> None:
    secret = "my secret"
    wrong: list[Any] = [changed(OPEN, "local_pwd", secret)]
    wrong += [changed(OPEN, "local_pwd", [secret])]
    wrong += [changed(SEND, "data", secret)]
    for name in ("send_key", "send_salt", "receive_key", "receive_salt"):
        wrong += [changed(KEYS, name, value) for value in (secret, secret.encode(), [secret])]
    for command in wrong:
        with pytest.raises(ValueError, match="expected") as raised:
            engine.submit([command])
        assert secret not in str(raised.value)


@pytest.mark.parametrize("stranger", [5, "OpenTransport", VP8, None])
def test_what_is_no_command_is_refused(engine: Engine, stranger: Any) -> None:
    with pytest.raises(TypeError, match=f"got {type(stranger).__name__}, expected a command of media.commands"):
        engine.submit([stranger])


def test_nothing_of_a_refused_batch_is_taken(engine: Engine) -> None:
    client = Client(31, ("127.0.0.1", engine.udp_port), seed="batch")
    with pytest.raises(ValueError, match="SendDatagram"):
        engine.submit([client.open(), SendDatagram(31, b"")])
    before = engine.counters()["stun_unknown_transport"]
    client.send(client.request())
    deadline = time.monotonic() + 60
    while engine.counters()["stun_unknown_transport"] == before:  # without a pause: totals come through all the same
        assert time.monotonic() < deadline
    engine.submit([client.open()])
    assert int.from_bytes(client.check()[:2]) == BINDING_SUCCESS
    client.close()
