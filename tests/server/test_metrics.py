"""/metrics: what Prometheus reads, on a listener of its own."""

from __future__ import annotations

import socket
import urllib.error
import urllib.request
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from prometheus_client.core import Metric
from prometheus_client.parser import text_string_to_metric_families

from media._engine import Engine
from server.api import metrics
from signaling import figures
from tests.application import ADDRESS, running_site
from tests.service import free_port, running_service


async def test_every_figure_of_node_and_engine_is_there(tmp_path: Path) -> None:
    engine = Engine([ADDRESS], 0, 1, 30.0)
    try:
        async with running_site(tmp_path) as site, site.joined("room", "anna"):
            runner = web.AppRunner(metrics.application(site.node, engine), access_log=None)
            await runner.setup()
            try:
                await web.TCPSite(runner, ADDRESS, 0).start()
                port = runner.addresses[0][1]
                async with aiohttp.ClientSession() as client, client.get(f"http://{ADDRESS}:{port}/metrics") as answer:
                    assert answer.status == 200
                    assert answer.headers["Content-Type"].startswith("text/plain; version=")
                    families = {family.name: family for family in text_string_to_metric_families(await answer.text())}
            finally:
                await runner.cleanup()
            values = {name: family.samples[0].value for name, family in families.items() if family.samples}
            node = {"node_id": site.node.settings.node_id, "node_type": "SERVER"}
            here = ("livekit_room_total", "livekit_participant_total", "veche_sockets")
            assert [values[name] for name in here] == [1, 1, 1]
            assert families["livekit_room_total"].type == "gauge"
            assert {f"veche_engine_{name}" for name in engine.counters()} <= set(families)
            assert {family.name.removesuffix("_total") for family in figures.FAMILIES} <= set(families)
            assert {"state": "signal_connected", **node} in labels(families["livekit_participant_join"])
            assert {"kind": "AUDIO", **node} in labels(families["livekit_track_published_total"])
            assert labels(families["livekit_packet"]) == [
                {"direction": direction, "transmission": transmission, **node}
                for direction in ("incoming", "outgoing")
                for transmission in ("initial", "retransmit")
            ]
            assert [one["direction"] for one in labels(families["livekit_nack"])] == ["incoming", "outgoing"]
            latency = families["livekit_forward_latency_ns"]
            assert latency.type == "histogram"
            assert (latency.samples[0].labels, latency.samples[0].value) == ({"le": "20000", **node}, 0)
            assert "veche_process_resident_memory_bytes" in families
    finally:
        engine.close()


def labels(family: Metric) -> list[dict[str, str]]:
    return [sample.labels for sample in family.samples if not sample.name.endswith("_created")]


def test_the_public_ports_have_none(network: None, tmp_path: Path) -> None:
    port = free_port()
    with running_service(tmp_path, {"VECHE_METRICS__PORT": str(port)}) as service:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=20) as answer:
            assert b"veche_sockets 0.0" in answer.read()
        for address in (f"{service.http}/metrics", f"http://127.0.0.1:{port}/healthz"):
            with pytest.raises(urllib.error.HTTPError) as refused:
                urllib.request.urlopen(address, timeout=20)
            with refused.value:
                assert refused.value.code == 404
        host = service.http.removeprefix("http://").split(":")[0]
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((host, port), timeout=20)
