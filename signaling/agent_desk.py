"""The desk for agents: carries out what `dispatching` decides, with the clock, the workers' sockets and tokens."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from livekit.protocol.agent import (
    JobAssignment,
    RegisterWorkerRequest,
    RegisterWorkerResponse,
    ServerMessage,
    WorkerMessage,
)
from livekit.protocol.agent_dispatch import AgentDispatch, RoomAgentDispatch
from livekit.protocol.models import ParticipantPermission, ServerInfo

from signaling import dispatching, token
from signaling.agents import AgentEffect, Agents, Assign, Tell, Worker
from signaling.effects import RoomEvent
from signaling.errors import LimitExceeded, NotFound

logger = logging.getLogger(__name__)

MOST_WORKERS = 1000
"""Connected to one node; each is looked at for each job."""
# Seconds that an agent's token is good: its process may take long to start, and a live session renews it.
_TOKEN_LIFETIME = 3600.0
# What an agent may do whose worker does not say.
_USUAL = ParticipantPermission(
    can_publish=True, can_subscribe=True, can_publish_data=True, can_update_metadata=True, agent=True
)


class WorkerSocket(Protocol):
    """A worker's WebSocket. Neither method waits."""

    def send(self, message: ServerMessage) -> None: ...
    def close(self) -> None: ...


class AgentDesk:
    """A listener of the node (`RoomListener`), on one event loop.

    `keys` gives API keys and secrets of now, `server_info` says who we are, `new_id` makes an id with a prefix.
    """

    def __init__(
        self,
        keys: Callable[[], Mapping[str, str]],
        server_info: Callable[[], ServerInfo],
        new_id: Callable[[str], str],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._keys = keys
        self._server_info = server_info
        self._new_id = new_id
        self._clock = clock
        self._agents = Agents()
        self._sockets: dict[str, WorkerSocket] = {}
        self._alarm: asyncio.TimerHandle | None = None
        self._closed = False

    def close(self) -> None:
        """Closes all workers' sockets, and hears nothing more."""
        self._closed = True
        if self._alarm is not None:
            self._alarm.cancel()
        for socket in self._sockets.values():
            socket.close()

    def __call__(self, event: RoomEvent) -> None:
        """Takes what happened in a room."""
        self._carry_out(dispatching.heard(self._agents, event, self._new_id, self._clock()))

    def register(self, issuer: str, asked: RegisterWorkerRequest, socket: WorkerSocket) -> str:
        """A worker is there; its id. `issuer` is the API key of its token. Raises LimitExceeded."""
        if len(self._sockets) >= MOST_WORKERS:
            raise LimitExceeded(f"node has its {MOST_WORKERS} workers")
        permission = ParticipantPermission()
        permission.CopyFrom(asked.allowed_permissions if asked.HasField("allowed_permissions") else _USUAL)
        permission.agent = True
        worker = Worker(
            id=self._new_id("AW_"),
            issuer=issuer,
            kind=asked.type,
            agent_name=asked.agent_name,
            namespace=asked.namespace,
            permission=permission,
        )
        self._sockets[worker.id] = socket
        answer = RegisterWorkerResponse(worker_id=worker.id, server_info=self._server_info())
        socket.send(ServerMessage(register=answer))
        logger.info("worker %s registered", worker.id)
        self._carry_out(dispatching.registered(self._agents, worker, self._new_id, self._clock()))
        return worker.id

    def received(self, worker_id: str, message: WorkerMessage) -> None:
        """Takes a registered worker's message."""
        self._carry_out(dispatching.received(self._agents, worker_id, message, self._clock()))

    def lost(self, worker_id: str) -> None:
        """A worker's connection is gone."""
        if self._sockets.pop(worker_id, None) is not None:
            logger.info("worker %s is gone", worker_id)
            self._carry_out(dispatching.lost(self._agents, worker_id, self._clock()))

    def knows(self, room: str) -> bool:
        """Whether the room is live here."""
        return room in self._agents.rooms

    def create(self, room: str, wish: RoomAgentDispatch) -> AgentDispatch:
        """A further dispatch of a live room. Raises NotFound, LimitExceeded."""
        dispatch, effects = dispatching.create(self._agents, room, wish, self._new_id, self._clock())
        self._carry_out(effects)
        return dispatch

    def delete(self, room: str, dispatch_id: str) -> AgentDispatch:
        """Takes a dispatch back, and its agents end. Raises NotFound."""
        dispatch, effects = dispatching.delete(self._agents, room, dispatch_id, self._clock())
        self._carry_out(effects)
        return dispatch

    def list(self, room: str, dispatch_id: str = "") -> Sequence[AgentDispatch]:
        """All dispatches of a live room, or the one named. Raises NotFound."""
        found = dispatching.find(self._agents, room)
        if dispatch_id and dispatch_id not in found.dispatches:
            raise NotFound("dispatch does not exist")
        return [dispatching.describe(found, one) for one in found.dispatches if dispatch_id in ("", one)]

    def _carry_out(self, effects: Sequence[AgentEffect]) -> None:
        if self._closed:
            return
        for effect in effects:
            socket = self._sockets.get(effect.worker)
            if socket is None:
                continue
            match effect:
                case Tell(_, message):
                    socket.send(message)
                case Assign(worker_id, job, grants):
                    issuer = self._agents.workers[worker_id].issuer
                    text = self._token(issuer, grants)
                    logger.info("job %s is given to worker %s", job.id, worker_id)
                    socket.send(ServerMessage(assignment=JobAssignment(job=job, token=text)))
        self._set_alarm()

    def _token(self, issuer: str, grants: token.Grants) -> str:
        """Signed by the worker's own key, or by the first where that one was taken away."""
        keys = self._keys()
        key = issuer if issuer in keys else next(iter(keys))
        return token.mint(grants, key, keys[key], self._clock(), _TOKEN_LIFETIME)

    def _set_alarm(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        at = self._agents.timers.next()
        if at is not None:
            delay = max(0.0, at - self._clock())
            self._alarm = asyncio.get_running_loop().call_later(delay, self._ring)

    def _ring(self) -> None:
        self._alarm = None
        self._carry_out(dispatching.handle_timeout(self._agents, self._clock()))
