"""Dispatching: rooms get the agents that they want, from the worker with the least load (LIVEKIT.md 10).

Which jobs there are follows from what is there: a job for each dispatch, and each kind and namespace of workers of its
name, in the room or for each of its participants or publishers. It is offered to one worker after the other. A worker
that goes away leaves its jobs to others, but not while the agent is still in the room: it may well work without it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from livekit.protocol import agent
from livekit.protocol.agent import Job, JobStatus, JobTermination, JobType, ServerMessage, WorkerMessage, WorkerStatus
from livekit.protocol.agent_dispatch import AgentDispatch, JobRestartPolicy, RoomAgentDispatch
from livekit.protocol.models import ParticipantInfo, ParticipantPermission
from livekit.protocol.models import Room as RoomInfo

from signaling.agents import AgentEffect, AgentRoom, Agents, Assign, Placement, Presence, Stage, Tell, Worker
from signaling.effects import (
    ParticipantJoined,
    ParticipantLeft,
    RoomEvent,
    RoomFinished,
    RoomStarted,
    TrackPublished,
)
from signaling.errors import LimitExceeded, NotFound
from signaling.permission import is_dependent
from signaling.token import Grants, VideoGrant

ANSWER_TIME = 10.0
"""Seconds that a worker has to say whether it takes a job; LiveKit's figure."""
PAUSE = 10.0
"""Seconds before a worker that declined is asked for the same job again, and before a failed job is tried again."""
GRACE = 5.0
"""Seconds in which a worker that lost its connection may come back and say that it still does the job."""
MOST_FAILURES = 3
"""A job that failed so often is not tried again."""
MOST_DISPATCHES = 100
"""Of one room."""

NewId = Callable[[str], str]


def registered(agents: Agents, worker: Worker, new_id: NewId, now: float) -> list[AgentEffect]:
    """A worker is there: jobs that it may do are made and offered."""
    agents.workers[worker.id] = worker
    for room in agents.rooms.values():
        _make_jobs(agents, room, new_id)
    return _offer(agents, now)


def lost(agents: Agents, worker_id: str, now: float) -> list[AgentEffect]:
    """A worker's connection is gone; its jobs go to others unless it comes back soon or its agents work on."""
    worker = agents.workers.pop(worker_id, None)
    for job_id in worker.jobs if worker else ():
        placed = agents.placement(job_id)
        if placed is None:
            continue
        if placed.stage is Stage.ASKED:
            _wait(agents, placed)
        elif placed.stage is Stage.ASSIGNED:
            placed.stage = Stage.LOST
            agents.timers.set(job_id, now + GRACE)
    return _offer(agents, now)


def received(agents: Agents, worker_id: str, message: WorkerMessage, now: float) -> list[AgentEffect]:
    """Takes a registered worker's message; what is unknown is ignored."""
    worker = agents.workers.get(worker_id)
    if worker is None:
        return []
    match message.WhichOneof("message"):
        case "availability":
            return _answered(agents, worker, message.availability, now)
        case "update_worker":
            update = message.update_worker
            worker.load = update.load
            worker.status = WorkerStatus.WS_FULL if update.draining else update.status
            return _offer(agents, now) if worker.available else []
        case "update_job":
            return _job_changed(agents, worker, message.update_job, now)
        case "migrate_job":
            return _reported(agents, worker, message.migrate_job.job_ids, now)
        case "ping":
            pong = agent.WorkerPong(last_timestamp=message.ping.timestamp, timestamp=int(now * 1000))
            return [Tell(worker_id, ServerMessage(pong=pong))]
    return []


def heard(agents: Agents, event: RoomEvent, new_id: NewId, now: float) -> list[AgentEffect]:
    """Takes what happened in a room."""
    room = agents.rooms.get(event.room.name)
    if isinstance(event, RoomStarted):
        room = agents.rooms[event.room.name] = AgentRoom(event.room)
        for wish in event.agents or (RoomAgentDispatch(),):  # who names no agents gets those without a name
            _add_dispatch(room, wish, new_id, now)
    elif room is None or room.info.sid != event.room.sid:
        return []
    elif isinstance(event, RoomFinished):
        for job_id in room.jobs:
            _forget(agents, job_id)
        del agents.rooms[event.room.name]
        return []
    elif isinstance(event, ParticipantJoined):
        room.info = event.room
        room.present[event.participant.identity] = Presence(event.participant)
    elif isinstance(event, ParticipantLeft):
        _left(agents, room, event.participant, now)
    elif isinstance(event, TrackPublished):
        known = room.present.get(event.participant.identity)
        if known is None or known.publishes:
            return []
        known.info, known.publishes = event.participant, True
    else:
        return []
    _make_jobs(agents, room, new_id)
    return _offer(agents, now)


def handle_timeout(agents: Agents, now: float) -> list[AgentEffect]:
    """Does what all due timers say."""
    while (job_id := agents.timers.pop(now)) is not None:
        placed = agents.placement(job_id)
        if placed is None:
            continue
        if placed.stage is Stage.ASKED:
            _declined(agents, placed, now)
        elif placed.stage is Stage.LOST and not _agent_is_here(agents, placed):
            _wait(agents, placed)
    return _offer(agents, now)


def create(
    agents: Agents, name: str, wish: RoomAgentDispatch, new_id: NewId, now: float
) -> tuple[AgentDispatch, list[AgentEffect]]:
    """A further dispatch of a room. Raises NotFound, LimitExceeded."""
    room = find(agents, name)
    if len(room.dispatches) >= MOST_DISPATCHES:
        raise LimitExceeded(f"room has its {MOST_DISPATCHES} dispatches")
    dispatch = _add_dispatch(room, wish, new_id, now)
    _make_jobs(agents, room, new_id)
    return describe(room, dispatch.id), _offer(agents, now)


def delete(agents: Agents, name: str, dispatch_id: str, now: float) -> tuple[AgentDispatch, list[AgentEffect]]:
    """Takes a dispatch back and ends its agents. Raises NotFound."""
    room = find(agents, name)
    if dispatch_id not in room.dispatches:
        raise NotFound("dispatch does not exist")
    whole = describe(room, dispatch_id)
    whole.state.deleted_at = _nanoseconds(now)
    del room.dispatches[dispatch_id]
    effects: list[AgentEffect] = []
    for job_id, placed in [
        (job_id, placed) for job_id, placed in room.jobs.items() if placed.job.dispatch_id == whole.id
    ]:
        if placed.stage is Stage.ASSIGNED:
            effects.append(_terminate(placed.worker, job_id))
        _forget(agents, job_id)
        del room.jobs[job_id]
    return whole, effects


def find(agents: Agents, name: str) -> AgentRoom:
    """The room. Raises NotFound."""
    room = agents.rooms.get(name)
    if room is None:
        raise NotFound("requested room does not exist")
    return room


def describe(room: AgentRoom, dispatch_id: str) -> AgentDispatch:
    """A dispatch with its jobs."""
    whole = AgentDispatch()
    whole.CopyFrom(room.dispatches[dispatch_id])
    whole.state.jobs.extend(placed.job for placed in room.jobs.values() if placed.job.dispatch_id == dispatch_id)
    return whole


def _add_dispatch(room: AgentRoom, wish: RoomAgentDispatch, new_id: NewId, now: float) -> AgentDispatch:
    dispatch = AgentDispatch(
        id=new_id("AD_"),
        agent_name=wish.agent_name,
        room=room.info.name,
        metadata=wish.metadata,
        restart_policy=wish.restart_policy,
        deployment=wish.deployment,
        attributes=wish.attributes,
    )
    dispatch.state.created_at = _nanoseconds(now)
    room.dispatches[dispatch.id] = dispatch
    return dispatch


def _make_jobs(agents: Agents, room: AgentRoom, new_id: NewId) -> None:
    """Makes what jobs are missing."""
    for dispatch in room.dispatches.values():
        kinds = {(w.kind, w.namespace) for w in agents.workers.values() if w.agent_name == dispatch.agent_name}
        for kind, namespace in sorted(kinds):
            for info in _targets(room, kind):
                key = (dispatch.id, kind, namespace, info.sid if info else "")
                if key in room.made:
                    continue
                room.made.add(key)
                job = Job(
                    id=new_id("AJ_"),
                    dispatch_id=dispatch.id,
                    type=kind,
                    room=room.info,
                    participant=info,
                    namespace=namespace,
                    metadata=dispatch.metadata,
                    agent_name=dispatch.agent_name,
                    deployment=dispatch.deployment,
                    attributes=dispatch.attributes,
                )
                room.jobs[job.id] = Placement(job, dispatch.restart_policy)
                agents.homes[job.id] = room.info.name
                agents.waiting[job.id] = None


def _targets(room: AgentRoom, kind: JobType) -> list[ParticipantInfo | None]:
    """Whom there is a job for: None stands for the room itself. Agents and recorders get no agents."""
    if kind == JobType.JT_ROOM:
        return [None]
    people = [p for p in room.present.values() if not is_dependent(p.info.kind, p.info.permission)]
    return [person.info for person in people if kind == JobType.JT_PARTICIPANT or person.publishes]


def _offer(agents: Agents, now: float) -> list[AgentEffect]:
    """Asks, for each job that waits, the worker with the least to do that has not just declined it."""
    effects: list[AgentEffect] = []
    for job_id in list(agents.waiting):
        placed = agents.placement(job_id)
        if placed is None:
            agents.waiting.pop(job_id, None)
            continue
        job = placed.job
        able = [
            worker
            for worker in agents.workers.values()
            if worker.available and (worker.kind, worker.agent_name) == (job.type, job.agent_name)
            if worker.namespace == job.namespace
        ]
        free = [worker for worker in able if placed.not_before.get(worker.id, 0.0) <= now]
        if not free:
            if able:  # all have declined: the first of them is asked again
                agents.timers.set(job_id, min(placed.not_before[worker.id] for worker in able))
            continue
        worker = min(free, key=lambda worker: (worker.load, len(worker.jobs), worker.id))
        del agents.waiting[job_id]
        worker.jobs.add(job_id)
        placed.stage, placed.worker = Stage.ASKED, worker.id
        agents.timers.set(job_id, now + ANSWER_TIME)
        asked = Job()
        asked.CopyFrom(job)
        effects.append(Tell(worker.id, ServerMessage(availability=agent.AvailabilityRequest(job=asked))))
    return effects


def _answered(agents: Agents, worker: Worker, answer: agent.AvailabilityResponse, now: float) -> list[AgentEffect]:
    placed = agents.placement(answer.job_id)
    if placed is None or placed.stage is not Stage.ASKED or placed.worker != worker.id:
        return []  # too late: another one was asked, or the room is gone
    if not answer.available:
        if answer.terminate:
            _end(agents, placed, JobStatus.JS_CANCELLED, "declined for all", now)
        else:
            _declined(agents, placed, now)
        return _offer(agents, now)
    job = placed.job
    placed.stage = Stage.ASSIGNED
    placed.assignments += 1
    agents.timers.clear(job.id)
    job.state.status = JobStatus.JS_RUNNING
    job.state.started_at = job.state.updated_at = _nanoseconds(now)
    job.state.participant_identity = answer.participant_identity or f"agent-{job.id}"
    job.state.worker_id = worker.id
    grants = Grants(
        identity=job.state.participant_identity,
        name=answer.participant_name,
        kind=ParticipantInfo.Kind.AGENT,
        metadata=answer.participant_metadata,
        attributes=dict(answer.participant_attributes),
        video=_grant(job.room, worker.permission),
    )
    assigned = Job()
    assigned.CopyFrom(job)
    return [Assign(worker.id, assigned, grants)]


def _grant(room: RoomInfo, permission: ParticipantPermission) -> VideoGrant:
    return VideoGrant(room=room.name, room_join=True).with_permission(permission)


def _declined(agents: Agents, placed: Placement, now: float) -> None:
    placed.not_before[placed.worker] = now + PAUSE
    _wait(agents, placed)


def _job_changed(agents: Agents, worker: Worker, update: agent.UpdateJobStatus, now: float) -> list[AgentEffect]:
    placed = agents.placement(update.job_id)
    if placed is None or placed.worker != worker.id or placed.stage is not Stage.ASSIGNED:
        return []
    if update.status in (JobStatus.JS_PENDING, JobStatus.JS_RUNNING):
        placed.job.state.status = update.status
        placed.job.state.updated_at = _nanoseconds(now)
        return []
    again = placed.restart == JobRestartPolicy.JRP_ON_FAILURE and placed.failures < MOST_FAILURES
    if update.status == JobStatus.JS_FAILED and again:
        placed.failures += 1
        placed.job.state.error = update.error
        _declined(agents, placed, now)
    else:
        _end(agents, placed, update.status, update.error, now)
    return _offer(agents, now)


def _reported(agents: Agents, worker: Worker, job_ids: Iterable[str], now: float) -> list[AgentEffect]:
    """A worker that is back says which jobs it still does; those that are no longer its own end."""
    effects: list[AgentEffect] = []
    for job_id in job_ids:
        placed = agents.placement(job_id)
        known = placed is not None and placed.job.agent_name == worker.agent_name
        if placed is None or not known or placed.stage not in (Stage.ASSIGNED, Stage.LOST) or placed.assignments > 1:
            if placed is None or placed.worker != worker.id:
                effects.append(_terminate(worker.id, job_id))
            continue
        _leave_worker(agents, placed)
        placed.stage, placed.worker = Stage.ASSIGNED, worker.id
        placed.job.state.worker_id = worker.id
        placed.job.state.updated_at = _nanoseconds(now)
        worker.jobs.add(job_id)
        agents.timers.clear(job_id)
    return effects


def _left(agents: Agents, room: AgentRoom, info: ParticipantInfo, now: float) -> None:
    known = room.present.get(info.identity)
    if known is None or known.info.sid != info.sid:
        return
    del room.present[info.identity]
    for job_id, placed in list(room.jobs.items()):
        if placed.stage is Stage.LOST and placed.job.state.participant_identity == info.identity:
            if not agents.timers.is_set(job_id):  # else its worker may still come back
                _wait(agents, placed)
        elif placed.stage in (Stage.WAITING, Stage.ASKED) and placed.job.participant.sid == info.sid:
            _forget(agents, job_id)
            del room.jobs[job_id]


def _agent_is_here(agents: Agents, placed: Placement) -> bool:
    room = agents.rooms.get(placed.job.room.name)
    return room is not None and placed.job.state.participant_identity in room.present


def _wait(agents: Agents, placed: Placement) -> None:
    """Back to those that wait for a worker."""
    _leave_worker(agents, placed)
    placed.stage, placed.worker = Stage.WAITING, ""
    placed.job.state.status = JobStatus.JS_PENDING
    agents.timers.clear(placed.job.id)
    agents.waiting[placed.job.id] = None


def _end(agents: Agents, placed: Placement, status: JobStatus, error: str, now: float) -> None:
    _leave_worker(agents, placed)
    placed.stage = Stage.ENDED
    agents.timers.clear(placed.job.id)
    state = placed.job.state
    state.status, state.error = status, error
    state.ended_at = state.updated_at = _nanoseconds(now)


def _leave_worker(agents: Agents, placed: Placement) -> None:
    worker = agents.workers.get(placed.worker)
    if worker is not None:
        worker.jobs.discard(placed.job.id)


def _forget(agents: Agents, job_id: str) -> None:
    placed = agents.placement(job_id)
    if placed is not None:
        _leave_worker(agents, placed)
    agents.homes.pop(job_id, None)
    agents.waiting.pop(job_id, None)
    agents.timers.clear(job_id)


def _terminate(worker: str, job_id: str) -> Tell:
    return Tell(worker, ServerMessage(termination=JobTermination(job_id=job_id)))


def _nanoseconds(now: float) -> int:
    return int(now * 1_000_000_000)
