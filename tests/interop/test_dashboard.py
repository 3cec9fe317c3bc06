"""What dashboards made for LiveKit ask Prometheus for is there after a small meeting, by their names and labels."""

from __future__ import annotations

import asyncio
import re
import urllib.request
from pathlib import Path

import pytest
from livekit import api, rtc
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from tests.interop.clients import Camera, Microphone, connected_client
from tests.service import free_port, running_service

# The selectors of LiveKit's own "LiveKit Server Overview". Its `livekit_messagebus_messages` and `type="rtc"` count
# messages between its nodes: there are none here.
OVERVIEW = (
    "livekit_room_total",
    "livekit_participant_total",
    'livekit_node_messages{type="signal"}',
    'livekit_node_messages{status="failure"}',
    "livekit_track_published_total",
    "livekit_packet_total",
    "livekit_nack_total",
    "livekit_pli_total",
    "livekit_fir_total",
)
# What others chart: counters and gauges that a meeting moves, each with all labels of its own.
MOVED = (
    'livekit_room_total{node_type="SERVER"}',
    'livekit_participant_total{node_type="SERVER"}',
    'livekit_track_published_total{kind="AUDIO"}',
    'livekit_track_published_total{kind="VIDEO"}',
    'livekit_track_subscribed_total{kind="VIDEO"}',
    'livekit_track_publish_counter{kind="VIDEO",state="attempt"}',
    'livekit_track_publish_counter{kind="AUDIO",state="success"}',
    'livekit_track_subscribe_counter{state="attempt",error=""}',
    'livekit_track_subscribe_counter{state="success",error=""}',
    *(f'livekit_participant_join_total{{state="{state}"}}' for state in ("signal_connected", "rtc_init")),
    *(f'livekit_participant_join_total{{state="rtc_{state}"}}' for state in ("connected", "active", "success")),
    'livekit_packet_total{direction="incoming",transmission="initial"}',
    'livekit_packet_total{direction="outgoing",transmission="initial"}',
    'livekit_packet_bytes{direction="incoming",transmission="initial"}',
    'livekit_packet_bytes{direction="outgoing",transmission="initial"}',
    'livekit_pli_total{direction="outgoing"}',
    'livekit_node_messages{type="signal",status="success",direction="request"}',
    'livekit_node_messages{type="signal",status="success",direction="response"}',
    'livekit_node_service_operation{type="participant_join",status="success",error_type=""}',
    'livekit_node_service_operation{type="peer_connection",status="success",error_type=""}',
    'livekit_peer_connection_state{transport="PUBLISHER",state="ice_connected"}',
    'livekit_peer_connection_state{transport="PUBLISHER",state="connected"}',
    'livekit_node_twirp_request_status{service="RoomService",method="ListRooms",status="200",code=""}',
    'livekit_node_twirp_request_status{service="RoomService",method="GetParticipant",status="4xx",code="not_found"}',
    'livekit_node_twirp_request_latency_ms_count{service="RoomService",method="ListRooms",status="200"}',
    "livekit_session_join_latency_ms_count",
    "livekit_session_start_time_ms_count",
    'livekit_pubsubtime_ms_count{direction="publish",source="CAMERA",type="VIDEO",sdk="PYTHON",kind="STANDARD"}',
    'livekit_pubsubtime_ms_count{direction="subscribe",source="MICROPHONE",type="AUDIO",sdk="PYTHON",kind="STANDARD"}',
    'livekit_datapacket_stream_dest_count_count{type="text",mime_type="text"}',
    'livekit_datapacket_stream_bytes_count{type="text",mime_type="text"}',
    "livekit_forward_latency_ns_count",
    *(
        f'livekit_{name}_count{{direction="{direction}",source="CAMERA",type="VIDEO"}}'
        for name in ("jitter_us", "packet_loss_percent")
        for direction in ("incoming", "outgoing")
    ),
    'livekit_packet_out_of_order_percent_count{direction="incoming",source="CAMERA",type="VIDEO"}',
    'livekit_rtt_ms_count{direction="outgoing",source="MICROPHONE",type="AUDIO"}',
    "livekit_quality_rating_count",
    "livekit_quality_score_count",
)
ENDED = ("livekit_session_duration_ms_count", "livekit_room_duration_seconds_count")
MEASURING = 60.0  # seconds; two measurements of each layer are ten apart


def selected(samples: list[Sample], selector: str) -> list[float]:
    """The values of all series that a selector of PromQL takes."""
    name, _, conditions = selector.partition("{")
    wanted = dict(re.findall(r'(\w+)="([^"]*)"', conditions))
    return [
        sample.value
        for sample in samples
        if sample.name == name and all(sample.labels.get(label, "") == value for label, value in wanted.items())
    ]


async def measured(port: int) -> list[Sample]:
    def get() -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=20) as answer:
            return str(answer.read().decode())

    families = text_string_to_metric_families(await asyncio.to_thread(get))
    return [sample for family in families for sample in family.samples]


async def moved(port: int, selectors: tuple[str, ...]) -> list[Sample]:
    """Waits until each selector takes something above zero; fails with those that do not."""
    end = asyncio.get_running_loop().time() + MEASURING
    while True:
        samples = await measured(port)
        still = [selector for selector in selectors if not sum(selected(samples, selector))]
        if not still:
            return samples
        assert asyncio.get_running_loop().time() < end, still
        await asyncio.sleep(0.5)


async def test_a_meeting_moves_livekits_figures(network: None, tmp_path: Path) -> None:
    port = free_port()
    settings = {"VECHE_METRICS__PORT": str(port), "VECHE_ROOM__DEPARTURE_TIMEOUT": "1"}
    with running_service(tmp_path, settings) as service:
        alice, bob = [await connected_client(service, "hall", identity) for identity in ("alice", "bob")]
        camera, microphone = Camera(), Microphone()
        await camera.publish(alice)
        await microphone.publish(alice)
        await alice.local_participant.send_text("to all")
        async with api.LiveKitAPI(service.http, service.key, service.secret) as livekit:
            await livekit.room.list_rooms(api.ListRoomsRequest())
            with pytest.raises(api.TwirpError):
                await livekit.room.get_participant(api.RoomParticipantIdentity(room="hall", identity="nobody"))
        samples = await moved(port, MOVED)
        absent = [selector for selector in OVERVIEW if not selected(samples, selector)]
        assert not absent
        nodes = {sample.labels["node_id"] for sample in samples if sample.name.startswith("livekit_")}
        assert len(nodes) == 1
        versions = {
            one.labels["protocol_version"] for one in samples if one.name == "livekit_session_start_time_ms_count"
        }
        assert all(int(version) > 0 for version in versions)
        assert bob.connection_state == rtc.ConnectionState.CONN_CONNECTED
        for thing in (camera, microphone):
            await thing.stop()
        for client in (alice, bob):
            await client.disconnect()
        await moved(port, ENDED)
