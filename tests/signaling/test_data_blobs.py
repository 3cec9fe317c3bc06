"""Data blobs: what one leaves under a key, the others get, within limits, while it is in the room."""

from __future__ import annotations

import pytest
from livekit.protocol.models import DataBlob, DataBlobKey, DataTrackSchemaId
from livekit.protocol.rtc import GetDataBlobRequest, RequestResponse, StoreDataBlobRequest

from signaling.data_blobs import KEY_LENGTH
from signaling.settings import Limits
from signaling.token import VideoGrant
from tests.signaling.meeting import Client, Meeting

KEY = DataBlobKey(generic="notes")


def open_meeting(limit: int = 0) -> Meeting:
    return Meeting(limit=Limits(max_data_blobs_size=limit), enable_participant_data_blob=True)


def store(client: Client, contents: bytes, key: DataBlobKey = KEY, request_id: int = 7) -> None:
    blob = DataBlob(key=key, contents=contents)
    client.send(store_data_blob_request=StoreDataBlobRequest(request_id=request_id, blob=blob))


def get(client: Client, identity: str, key: DataBlobKey = KEY, request_id: int = 8) -> None:
    asked = GetDataBlobRequest(request_id=request_id, participant_identity=identity, key=key)
    client.send(get_data_blob_request=asked)


def refused(client: Client) -> tuple[int, RequestResponse.Reason, str]:
    answer = client.last("request_response").request_response
    return answer.request_id, answer.reason, answer.message


def test_what_one_leaves_another_gets() -> None:
    meeting = open_meeting()
    anna, boris = meeting.join("anna"), meeting.join("boris")
    store(anna, b"first")
    stored = anna.last("store_data_blob_response").store_data_blob_response
    assert (stored.request_id, stored.key) == (7, KEY)
    store(anna, b"second")
    get(boris, "anna")
    got = boris.last("get_data_blob_response").get_data_blob_response
    assert (got.request_id, got.blob.key, got.blob.contents) == (8, KEY, b"second")
    get(anna, "anna")
    assert anna.last("get_data_blob_response").get_data_blob_response.blob.contents == b"second"


def test_a_schema_is_another_key_than_a_text() -> None:
    meeting = open_meeting()
    anna = meeting.join("anna")
    schema = DataBlobKey(schema_id=DataTrackSchemaId(name="notes"))
    store(anna, b"text")
    store(anna, b"schema", schema)
    get(anna, "anna", schema)
    assert anna.last("get_data_blob_response").get_data_blob_response.blob.contents == b"schema"
    get(anna, "anna")
    assert anna.last("get_data_blob_response").get_data_blob_response.blob.contents == b"text"


def test_they_are_off_by_default() -> None:
    anna = Meeting().join("anna")
    store(anna, b"x")
    assert refused(anna) == (7, RequestResponse.NOT_ALLOWED, "data blob not enabled")
    get(anna, "anna")
    assert refused(anna) == (8, RequestResponse.NOT_ALLOWED, "data blob not enabled")


@pytest.mark.parametrize(
    ("key", "contents", "reason"),
    [
        (KEY, b"", RequestResponse.INVALID_REQUEST),
        (DataBlobKey(), b"x", RequestResponse.INVALID_REQUEST),
        (DataBlobKey(generic="k" * (KEY_LENGTH + 1)), b"x", RequestResponse.INVALID_REQUEST),
        (KEY, b"x" * 96, RequestResponse.LIMIT_EXCEEDED),
    ],
)
def test_what_can_not_be_kept_is_refused(key: DataBlobKey, contents: bytes, reason: RequestResponse.Reason) -> None:
    anna = open_meeting(limit=100).join("anna")
    store(anna, contents, key)
    assert refused(anna)[:2] == (7, reason)
    assert anna.participant.blobs == {}


def test_the_limit_is_of_all_blobs_and_their_keys_together() -> None:
    anna = open_meeting(limit=100).join("anna")
    store(anna, b"x" * 95)  # and five bytes of its key
    store(anna, b"x", DataBlobKey(generic="more"))
    assert refused(anna)[1] == RequestResponse.LIMIT_EXCEEDED
    store(anna, b"y" * 90)
    store(anna, b"x", DataBlobKey(generic="more"))
    assert sorted(blob.contents for blob in anna.participant.blobs.values()) == [b"x", b"y" * 90]


def test_unknown_participants_and_keys_are_not_found() -> None:
    meeting = open_meeting()
    anna = meeting.join("anna")
    get(anna, "nobody")
    assert refused(anna) == (8, RequestResponse.NOT_FOUND, "participant does not exist")
    get(anna, "anna")
    assert refused(anna) == (8, RequestResponse.NOT_FOUND, "data blob does not exist")
    get(anna, "anna", DataBlobKey())
    assert refused(anna)[1] == RequestResponse.NOT_FOUND


def test_blobs_of_who_is_hidden_or_gone_are_not_found() -> None:
    meeting = open_meeting()
    hidden = meeting.join("hidden", grant=VideoGrant(room="meeting", room_join=True, hidden=True))
    anna, boris = meeting.join("anna"), meeting.join("boris")
    store(hidden, b"x")
    get(anna, "hidden")
    assert refused(anna)[1] == RequestResponse.NOT_FOUND
    get(hidden, "hidden")
    assert hidden.last("get_data_blob_response").get_data_blob_response.blob.contents == b"x"
    store(boris, b"x")
    boris.send(leave={})
    get(anna, "boris")
    assert refused(anna)[1] == RequestResponse.NOT_FOUND
