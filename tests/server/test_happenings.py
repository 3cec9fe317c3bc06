"""Happenings: the message and its signature, as Standard Webhooks has them."""

from __future__ import annotations

import base64
import datetime
import hashlib
import hmac
import json

import pytest

from server.happenings import Happening, body, headers, moment, new_secret

AT = datetime.datetime(2030, 1, 1, 12, 0, 0, 123456, tzinfo=datetime.timezone(datetime.timedelta(hours=3)))
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
"""That of the specification's example."""


def test_the_signature_is_that_of_the_specification() -> None:
    """Its example, in the section about the signature scheme."""
    made = headers("msg_p5jXN8AQM9LWM0D4loKWxJek", b'{"test": 2432232314}', [SECRET], 1614265330.9)
    assert made == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


def test_while_a_secret_is_changed_both_sign() -> None:
    other = new_secret(bytes(range(32)))
    assert other.startswith("whsec_")
    made = headers("EV_1", b"{}", [other, SECRET], 1.0)
    expected = [
        "v1," + base64.b64encode(hmac.digest(base64.b64decode(key[6:]), b"EV_1.1.{}", hashlib.sha256)).decode()
        for key in (other, SECRET)
    ]
    assert made["webhook-signature"].split(" ") == expected


def test_a_secret_that_is_none_is_told() -> None:
    with pytest.raises(ValueError, match="base64"):
        headers("EV_1", b"", ["whsec_?"], 1.0)


def test_what_a_message_says() -> None:
    happening = Happening(
        "participant.joined", AT, {"name": "Аня"}, {"id": "MT_1", "title": ""}, {"id": "OC_1", "ended_at": None}, 7
    )
    assert json.loads(body(happening, "EV_1")) == {
        "id": "EV_1",
        "type": "participant.joined",
        "version": 1,
        "occurred_at": "2030-01-01T09:00:00.123Z",
        "sequence": 7,
        "meeting": {"id": "MT_1", "title": ""},
        "occurrence": {"id": "OC_1", "ended_at": None},
        "data": {"name": "Аня"},
    }
    assert json.loads(body(Happening("webhook.test", AT), "EV_2")) == {
        "id": "EV_2",
        "type": "webhook.test",
        "version": 1,
        "occurred_at": "2030-01-01T09:00:00.123Z",
        "data": {},
    }


def test_moments() -> None:
    assert moment(None) is None
    assert moment(AT.replace(microsecond=0)) == "2030-01-01T09:00:00.000Z"
