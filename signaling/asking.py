"""What a request for a session asks: by its query, or by the join request of a single PeerConnection. Pure."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from livekit.protocol.rtc import JoinRequest, SignalRequest

from signaling import join_request, token
from signaling.client_info import complete_client, flag, read_client
from signaling.participant import Joining
from signaling.permission import RESERVED_PREFIX
from signaling.settings import Limits, NodeSettings
from signaling.token import ClaimRefused, Grants, TokenRefused


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that a token lets in. `single` is there for a client with a single PeerConnection."""

    grants: Grants
    query: Mapping[str, str]
    single: JoinRequest | None

    @property
    def resumes(self) -> bool:
        """It continues a session."""
        return self.single.reconnect if self.single else flag(self.query, "reconnect", absent=False)

    @property
    def sid(self) -> str:
        """The participant's sid of the session that it continues."""
        return self.single.participant_sid if self.single else self.query.get("sid", "")

    def joining(self, user_agent: str, address: str, settings: NodeSettings) -> Joining:
        """The same for who joins. What a join request leaves out is no, what a query leaves out is as usual; whether
        pictures without room may be paused is up to the node where either says nothing."""
        query = self.query
        if self.single is None:
            return Joining(
                self.grants,
                read_client(query, user_agent, address),
                auto_subscribe=flag(query, "auto_subscribe", absent=True),
                adaptive_stream=flag(query, "adaptive_stream", absent=False),
                auto_subscribe_data_track=flag(query, "auto_subscribe_data_track", absent=False),
                allow_pause=flag(query, "subscriber_allow_pause", absent=settings.allow_pause),
            )
        wishes = self.single.connection_settings
        says_pause = wishes.HasField("subscriber_allow_pause")
        return Joining(
            self.grants,
            complete_client(self.single.client_info, user_agent, address),
            auto_subscribe=wishes.auto_subscribe,
            adaptive_stream=wishes.adaptive_stream,
            allow_pause=wishes.subscriber_allow_pause if says_pause else settings.allow_pause,
            auto_subscribe_data_track=wishes.auto_subscribe_data_track,
            single=True,
        )

    def messages(self) -> Iterator[SignalRequest]:
        """What the client would have sent first, in order."""
        if self.single is None:
            return
        if self.single.HasField("sync_state"):
            yield SignalRequest(sync_state=self.single.sync_state)
        for request in self.single.add_track_requests:
            yield SignalRequest(add_track=request)
        if self.single.HasField("publisher_offer"):
            yield SignalRequest(offer=self.single.publisher_offer)


def read_asked(grants: Grants, query: Mapping[str, str], limits: Limits) -> Asked:
    """Reads the query. Raises ClaimRefused for what can't be read, TokenRefused for what the token does not allow."""
    if "join_request" not in query:
        if query.get("attributes"):
            _check_may_describe(grants)
            grants = _described(grants, "", _read_attributes(query["attributes"]), limits)
        return Asked(grants, query, None)
    asked = join_request.read(query["join_request"])
    if asked.participant_attributes or asked.metadata:
        _check_may_describe(grants)
        grants = _described(grants, asked.metadata, asked.participant_attributes, limits)
    return Asked(grants, query, asked)


def _check_may_describe(grants: Grants) -> None:
    if not grants.video.can_update_own_metadata:
        raise TokenRefused("permissions denied")


def _described(grants: Grants, metadata: str, attributes: Mapping[str, str], limits: Limits) -> Grants:
    """What a client says of itself goes over what its token says; empty values are left out."""
    added = {key: value for key, value in attributes.items() if value and not key.startswith(RESERVED_PREFIX)}
    merged = dict(grants.attributes) | added
    token.check_attributes(merged, limits)
    token.check_metadata(metadata, limits)
    return replace(grants, attributes=merged, metadata=metadata or grants.metadata)


def _read_attributes(text: str) -> Mapping[str, str]:
    """base64url of a JSON object of strings."""
    try:
        attributes = json.loads(base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True))
    except (binascii.Error, ValueError, RecursionError):
        raise ClaimRefused("attributes: base64url of a JSON object expected") from None
    if not isinstance(attributes, dict) or not all(isinstance(value, str) for value in attributes.values()):
        raise ClaimRefused("attributes: an object of strings expected")
    return attributes
