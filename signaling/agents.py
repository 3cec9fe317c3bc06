"""Agents: which programs offer to work in rooms, which rooms want one, and who does which job. Data only.

A **worker** is a connected program of one name, kind and namespace. A **dispatch** says that a room wants agents of a
name. A **job** is one agent's work: in a room, or for one participant or publisher of it (LIVEKIT.md 10).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, auto

from livekit.protocol.agent import Job, JobType, ServerMessage, WorkerStatus
from livekit.protocol.agent_dispatch import AgentDispatch, JobRestartPolicy
from livekit.protocol.models import ParticipantInfo, ParticipantPermission
from livekit.protocol.models import Room as RoomInfo

from signaling.timers import Timers
from signaling.token import Grants


@dataclass(frozen=True, slots=True)
class Tell:
    """Sends a message to a worker."""

    worker: str
    message: ServerMessage


@dataclass(frozen=True, slots=True)
class Assign:
    """Gives a worker a job, with a token that its agent joins by; `grants` are what the token says."""

    worker: str
    job: Job
    grants: Grants


AgentEffect = Tell | Assign


@dataclass(slots=True, eq=False)
class Worker:
    """A connected program that runs agents."""

    id: str
    """AW_..., new for each connection."""
    issuer: str
    """API key of its token; the agents' tokens are signed with it."""
    kind: JobType
    agent_name: str
    """ "" takes part in every room that names no agents."""
    namespace: str
    permission: ParticipantPermission
    status: WorkerStatus = WorkerStatus.WS_AVAILABLE
    load: float = 0.0
    jobs: set[str] = field(default_factory=set)
    """Ids of those that it was asked for or has."""

    @property
    def available(self) -> bool:
        return self.status == WorkerStatus.WS_AVAILABLE


class Stage(Enum):
    """Where a job stands."""

    WAITING = auto()
    """For a worker."""
    ASKED = auto()
    """A worker was asked whether it takes it."""
    ASSIGNED = auto()
    LOST = auto()
    """Its worker is gone; perhaps its agent still works."""
    ENDED = auto()


@dataclass(slots=True, eq=False)
class Placement:
    """A job, and where it stands."""

    job: Job
    restart: JobRestartPolicy
    stage: Stage = Stage.WAITING
    worker: str = ""
    """Id of the one that was asked, or has it."""
    not_before: dict[str, float] = field(default_factory=dict)
    """Workers that declined, and when they may be asked again."""
    assignments: int = 0
    failures: int = 0


@dataclass(slots=True, eq=False)
class Presence:
    """Somebody in a room."""

    info: ParticipantInfo
    publishes: bool = False


@dataclass(slots=True, eq=False)
class AgentRoom:
    """A live room, as far as agents are concerned."""

    info: RoomInfo
    dispatches: dict[str, AgentDispatch] = field(default_factory=dict)
    jobs: dict[str, Placement] = field(default_factory=dict)
    made: set[tuple[str, JobType, str, str]] = field(default_factory=set)
    """What there are jobs for already: dispatch, kind, namespace and the participant's sid."""
    present: dict[str, Presence] = field(default_factory=dict)
    """By identity: all who are connected, agents too."""


@dataclass(slots=True, eq=False)
class Agents:
    """All workers of a node, and all rooms of it. Times are Unix seconds."""

    workers: dict[str, Worker] = field(default_factory=dict)
    rooms: dict[str, AgentRoom] = field(default_factory=dict)
    """By name."""
    homes: dict[str, str] = field(default_factory=dict)
    """Job id to room name."""
    waiting: dict[str, None] = field(default_factory=dict)
    """Ids of the jobs that wait for a worker, in their order."""
    timers: Timers[str] = field(default_factory=Timers)
    """By job id: an answer is due, a worker may be asked again, an agent is looked for."""

    def placement(self, job_id: str) -> Placement | None:
        """The job of that id, unless its room is gone."""
        room = self.rooms.get(self.homes.get(job_id, ""))
        return room.jobs.get(job_id) if room else None
