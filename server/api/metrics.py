"""/metrics for Prometheus, on a listener of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, GCCollector, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

PRESENT = {"rooms", "participants", "tracks", "sockets"}
"""Figures of a node that go down again; the others only grow."""


class NodeCollector(Collector):
    """Reads the node's and the engine's totals when Prometheus asks."""

    def __init__(self, node: Callable[[], Mapping[str, int]], engine: Callable[[], Mapping[str, int]]) -> None:
        self._node = node
        self._engine = engine

    def collect(self) -> Iterator[Metric]:
        """One metric a figure: `veche_rooms`, `veche_joins_total`, `veche_engine_datagrams_in_total`..."""
        for name, value in self._node().items():
            kind = GaugeMetricFamily if name in PRESENT else CounterMetricFamily
            yield kind(f"veche_{name}", f"{name.replace('_', ' ')} of this node", value=value)
        for name, value in self._engine().items():
            yield CounterMetricFamily(
                f"veche_engine_{name}", f"{name.replace('_', ' ')} of the packet engine", value=value
            )


def application(node: Callable[[], Mapping[str, int]], engine: Callable[[], Mapping[str, int]]) -> web.Application:
    """An application with /metrics alone."""
    registry = CollectorRegistry()
    registry.register(NodeCollector(node, engine))
    ProcessCollector(namespace="veche", registry=registry)
    GCCollector(registry)

    async def metrics(request: web.Request) -> web.Response:
        return web.Response(body=generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    app = web.Application()
    app.router.add_get("/metrics", metrics)
    return app
