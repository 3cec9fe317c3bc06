"""Dispatching in virtual time: who is asked for which job, and what becomes of jobs whose worker goes away."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count

import pytest
from livekit.protocol.agent import (
    AvailabilityResponse,
    Job,
    JobStatus,
    JobType,
    MigrateJobRequest,
    UpdateJobStatus,
    UpdateWorkerStatus,
    WorkerMessage,
    WorkerPing,
    WorkerStatus,
)
from livekit.protocol.agent_dispatch import JobRestartPolicy, RoomAgentDispatch
from livekit.protocol.models import ParticipantInfo, ParticipantPermission, TrackInfo
from livekit.protocol.models import Room as RoomInfo

from signaling import dispatching
from signaling.agents import AgentEffect, Agents, Assign, Tell, Worker
from signaling.dispatching import ANSWER_TIME, GRACE, MOST_DISPATCHES, MOST_FAILURES, PAUSE
from signaling.effects import ParticipantJoined, ParticipantLeft, RoomFinished, RoomStarted, TrackPublished
from signaling.errors import LimitExceeded, NotFound

ROOM = RoomInfo(sid="RM_1", name="hall")
ROOM_JOB, PUBLISHER, PARTICIPANT = JobType.JT_ROOM, JobType.JT_PUBLISHER, JobType.JT_PARTICIPANT


def person(identity: str, sid: str = "", kind: ParticipantInfo.Kind = ParticipantInfo.Kind.STANDARD) -> ParticipantInfo:
    return ParticipantInfo(sid=sid or f"PA_{identity}", identity=identity, kind=kind)


class Desk:
    """The verbs with a clock of their own; `told` is what each worker got, by kind."""

    def __init__(self) -> None:
        self.agents = Agents()
        self.now = 1_700_000_000.0
        self._numbers = count(1)
        self.asked: dict[str, list[Job]] = {}
        self.assigned: dict[str, list[Assign]] = {}
        self.terminated: dict[str, list[str]] = {}
        self.pongs: list[str] = []

    def new_id(self, prefix: str) -> str:
        return f"{prefix}{next(self._numbers)}"

    def run(self, effects: Sequence[AgentEffect]) -> None:
        for effect in effects:
            match effect:
                case Assign():
                    self.assigned.setdefault(effect.worker, []).append(effect)
                case Tell(worker, message) if message.HasField("availability"):
                    self.asked.setdefault(worker, []).append(message.availability.job)
                case Tell(worker, message) if message.HasField("termination"):
                    self.terminated.setdefault(worker, []).append(message.termination.job_id)
                case Tell(worker, message):
                    assert message.HasField("pong")
                    self.pongs.append(worker)

    def worker(self, name: str, kind: JobType = ROOM_JOB, agent_name: str = "", namespace: str = "") -> str:
        worker = Worker(name, "key", kind, agent_name, namespace, ParticipantPermission(can_publish=True, agent=True))
        self.run(dispatching.registered(self.agents, worker, self.new_id, self.now))
        return name

    def lose(self, worker: str) -> None:
        self.run(dispatching.lost(self.agents, worker, self.now))

    def say(self, worker: str, **message: object) -> None:
        self.run(dispatching.received(self.agents, worker, WorkerMessage(**message), self.now))  # type: ignore[arg-type]

    def answer(self, worker: str, *, available: bool = True, terminate: bool = False, **fields: str) -> Job:
        """Answers what the worker was asked last."""
        job = self.asked[worker][-1]
        response = AvailabilityResponse(job_id=job.id, available=available, terminate=terminate, **fields)  # type: ignore[arg-type]
        self.say(worker, availability=response)
        return job

    def status(self, worker: str, load: float, *, full: bool = False, draining: bool = False) -> None:
        status = WorkerStatus.WS_FULL if full else WorkerStatus.WS_AVAILABLE
        self.say(worker, update_worker=UpdateWorkerStatus(status=status, load=load, draining=draining))

    def hear(
        self, *happened: RoomStarted | RoomFinished | ParticipantJoined | ParticipantLeft | TrackPublished
    ) -> None:
        for event in happened:
            self.run(dispatching.heard(self.agents, event, self.new_id, self.now))

    def open(self, *names: str) -> None:
        self.hear(RoomStarted(ROOM, tuple(RoomAgentDispatch(agent_name=name) for name in names)))

    def join(self, info: ParticipantInfo) -> None:
        self.hear(ParticipantJoined(ROOM, info))

    def advance(self, seconds: float) -> None:
        until = self.now + seconds
        while (at := self.agents.timers.next()) is not None and at <= until:
            self.now = max(self.now, at)
            self.run(dispatching.handle_timeout(self.agents, self.now))
        self.now = until

    def assign(self, worker: str) -> Job:
        """The worker takes what it is asked, and its agent joins."""
        job = self.answer(worker)
        self.join(person(f"agent-{job.id}", sid=f"PA_{job.id}-{worker}", kind=ParticipantInfo.Kind.AGENT))
        return job

    def jobs(self) -> list[Job]:
        return [
            job for one in self.agents.rooms["hall"].dispatches
            for job in dispatching.describe(self.agents.rooms["hall"], one).state.jobs
        ]  # fmt: skip


def test_a_room_without_names_gets_the_worker_without_a_name() -> None:
    desk = Desk()
    desk.worker("one")
    desk.worker("named", agent_name="guide")
    desk.open()
    assert desk.asked.keys() == {"one"}
    job = desk.answer("one", participant_name="Helper")
    assign = desk.assigned["one"][0]
    assert (job.type, job.room.name, assign.grants.identity) == (ROOM_JOB, "hall", f"agent-{job.id}")
    assert (assign.grants.name, assign.grants.kind) == ("Helper", ParticipantInfo.Kind.AGENT)
    grant = assign.grants.video
    assert (grant.room, grant.room_join, grant.agent, grant.can_publish) == ("hall", True, True, True)
    assert not grant.can_subscribe, "the worker's own permission"
    assert desk.jobs()[0].state.status == JobStatus.JS_RUNNING


def test_a_room_that_names_agents_gets_those_alone() -> None:
    desk = Desk()
    for name in ("", "guide", "scribe"):
        desk.worker(f"worker-{name}", agent_name=name)
    desk.open("guide")
    assert desk.asked.keys() == {"worker-guide"}


def test_a_worker_that_comes_later_gets_the_job() -> None:
    desk = Desk()
    desk.open("guide")
    assert desk.asked == {}
    desk.worker("late", agent_name="guide")
    assert len(desk.asked["late"]) == 1


def test_publishers_and_participants_get_agents_of_their_own() -> None:
    desk = Desk()
    desk.worker("publishers", PUBLISHER)
    desk.worker("participants", PARTICIPANT)
    desk.open()
    assert desk.asked == {}
    desk.join(person("anna"))
    desk.join(person("agent", kind=ParticipantInfo.Kind.AGENT))
    assert [job.participant.identity for job in desk.asked["participants"]] == ["anna"]
    assert "publishers" not in desk.asked
    for track in ("TR_1", "TR_2"):
        desk.hear(TrackPublished(ROOM, person("anna"), TrackInfo(sid=track)))
        desk.hear(TrackPublished(ROOM, person("agent", kind=ParticipantInfo.Kind.AGENT), TrackInfo(sid=track)))
    assert [job.participant.identity for job in desk.asked["publishers"]] == ["anna"]


def test_a_participant_that_comes_again_gets_an_agent_again() -> None:
    desk = Desk()
    desk.worker("one", PARTICIPANT)
    desk.open()
    desk.join(person("anna"))
    desk.answer("one")
    desk.hear(ParticipantLeft(ROOM, person("anna")))
    desk.join(person("anna", sid="PA_again"))
    assert [job.participant.sid for job in desk.asked["one"]] == ["PA_anna", "PA_again"]


def test_who_left_before_a_worker_took_the_job_needs_none() -> None:
    desk = Desk()
    desk.worker("one", PARTICIPANT)
    desk.open()
    desk.join(person("anna"))
    desk.hear(ParticipantLeft(ROOM, person("anna")))
    desk.answer("one")
    assert desk.assigned == {}
    assert desk.jobs() == []


def test_each_namespace_gets_a_job() -> None:
    desk = Desk()
    desk.worker("one", namespace="a")
    desk.worker("two", namespace="a")
    desk.worker("three", namespace="b")
    desk.open()
    assert sorted(job.namespace for jobs in desk.asked.values() for job in jobs) == ["a", "b"]
    assert "three" in desk.asked


def test_the_worker_with_the_least_load_is_asked() -> None:
    desk = Desk()
    desk.worker("one")
    desk.worker("two")
    desk.status("one", 0.5)
    desk.status("two", 0.2)
    desk.open()
    assert desk.asked.keys() == {"two"}


def test_equal_workers_take_turns_before_they_tell_their_load() -> None:
    desk = Desk()
    desk.worker("one", PARTICIPANT)
    desk.worker("two", PARTICIPANT)
    desk.open()
    for number in range(6):
        desk.join(person(f"p{number}"))
    assert {worker: len(jobs) for worker, jobs in desk.asked.items()} == {"one": 3, "two": 3}


@pytest.mark.parametrize("how", ["full", "draining"])
def test_a_full_or_draining_worker_is_asked_for_nothing_and_keeps_what_it_has(how: str) -> None:
    desk = Desk()
    desk.worker("one", PARTICIPANT)
    desk.open()
    desk.join(person("anna"))
    desk.answer("one")
    desk.status("one", 0.0, full=how == "full", draining=how == "draining")
    desk.join(person("boris"))
    assert len(desk.asked["one"]) == 1
    assert desk.jobs()[0].state.status == JobStatus.JS_RUNNING
    desk.status("one", 0.0)
    assert [job.participant.identity for job in desk.asked["one"]] == ["anna", "boris"]


def test_who_declines_is_passed_over_and_asked_again_later() -> None:
    desk = Desk()
    desk.worker("one")
    desk.open()
    desk.answer("one", available=False)
    desk.status("one", 0.0)
    assert len(desk.asked["one"]) == 1
    desk.worker("two")
    desk.answer("two", available=False)
    desk.advance(PAUSE)
    assert len(desk.asked["one"]) == 2


def test_a_job_that_is_declined_for_all_is_over() -> None:
    desk = Desk()
    desk.worker("one")
    desk.worker("two")
    desk.open()
    desk.answer("one", available=False, terminate=True)
    desk.advance(10 * PAUSE)
    assert desk.asked.keys() == {"one"}
    assert desk.jobs()[0].state.status == JobStatus.JS_CANCELLED


def test_who_does_not_answer_is_passed_over_and_heard_no_more() -> None:
    desk = Desk()
    desk.worker("one")
    desk.open()
    desk.worker("two")
    desk.advance(ANSWER_TIME)
    assert [job.id for job in desk.asked["two"]] == [job.id for job in desk.asked["one"]]
    desk.answer("one")
    assert desk.assigned == {}
    desk.answer("two")
    assert desk.assigned.keys() == {"two"}


def test_a_worker_that_dies_before_its_answer_leaves_the_job_to_another_at_once() -> None:
    desk = Desk()
    desk.worker("one")
    desk.open()
    desk.worker("two")
    desk.lose("one")
    assert len(desk.asked["two"]) == 1


def test_a_worker_that_dies_with_its_agent_leaves_the_job_to_another() -> None:
    desk = Desk()
    desk.worker("one")
    desk.open()
    desk.worker("two")
    job = desk.assign("one")
    desk.lose("one")
    agent = person(f"agent-{job.id}", sid=f"PA_{job.id}-one", kind=ParticipantInfo.Kind.AGENT)
    desk.hear(ParticipantLeft(ROOM, agent))
    assert "two" not in desk.asked, "it may come back within the grace"
    desk.advance(GRACE)
    assert [again.id for again in desk.asked["two"]] == [job.id]
    desk.answer("two")
    assert desk.jobs()[0].state.worker_id == "two"


def test_an_agent_that_works_without_its_worker_is_left_alone_until_it_goes() -> None:
    desk = Desk()
    desk.worker("one")
    desk.open()
    desk.worker("two")
    job = desk.assign("one")
    desk.lose("one")
    desk.advance(100 * GRACE)
    assert "two" not in desk.asked
    agent = person(f"agent-{job.id}", sid=f"PA_{job.id}-one", kind=ParticipantInfo.Kind.AGENT)
    desk.hear(ParticipantLeft(ROOM, agent))
    assert [again.id for again in desk.asked["two"]] == [job.id]


def test_a_worker_that_comes_back_keeps_its_jobs() -> None:
    desk = Desk()
    desk.worker("one")
    desk.open()
    job = desk.assign("one")
    desk.lose("one")
    desk.worker("again")
    desk.say("again", migrate_job=MigrateJobRequest(job_ids=[job.id]))
    desk.advance(10 * GRACE)
    assert "again" not in desk.asked
    assert desk.terminated == {}
    assert desk.jobs()[0].state.worker_id == "again"


def test_a_worker_that_comes_back_too_late_ends_its_agent() -> None:
    desk = Desk()
    desk.worker("one")
    desk.open()
    job = desk.answer("one")
    desk.lose("one")
    desk.worker("two")
    desk.advance(GRACE)
    desk.answer("two")
    desk.worker("again")
    desk.say("again", migrate_job=MigrateJobRequest(job_ids=[job.id, "AJ_unknown"]))
    assert desk.terminated == {"again": [job.id, "AJ_unknown"]}
    assert desk.jobs()[0].state.worker_id == "two"


def test_a_job_that_ends_well_is_not_given_again() -> None:
    desk = Desk()
    desk.worker("one")
    desk.open()
    job = desk.answer("one")
    desk.say("one", update_job=UpdateJobStatus(job_id=job.id, status=JobStatus.JS_SUCCESS))
    desk.worker("two")
    desk.advance(100 * PAUSE)
    assert "two" not in desk.asked
    assert desk.jobs()[0].state.status == JobStatus.JS_SUCCESS
    assert desk.agents.workers["one"].jobs == set()


@pytest.mark.parametrize(
    ("policy", "attempts"), [(JobRestartPolicy.JRP_NEVER, 1), (JobRestartPolicy.JRP_ON_FAILURE, MOST_FAILURES + 1)]
)
def test_a_job_that_fails_is_tried_again_as_its_dispatch_says(policy: JobRestartPolicy, attempts: int) -> None:
    desk = Desk()
    desk.worker("one")
    desk.hear(RoomStarted(ROOM, (RoomAgentDispatch(restart_policy=policy),)))
    for _ in range(10):
        job = desk.asked["one"][-1]
        desk.answer("one")
        desk.say("one", update_job=UpdateJobStatus(job_id=job.id, status=JobStatus.JS_FAILED, error="broken"))
        desk.advance(PAUSE)
    assert len(desk.asked["one"]) == attempts
    assert (desk.jobs()[0].state.status, desk.jobs()[0].state.error) == (JobStatus.JS_FAILED, "broken")


def test_another_workers_job_can_not_be_changed() -> None:
    desk = Desk()
    desk.worker("one")
    desk.open()
    desk.worker("two")
    job = desk.answer("one")
    desk.say("two", update_job=UpdateJobStatus(job_id=job.id, status=JobStatus.JS_FAILED))
    desk.say("two", availability=AvailabilityResponse(job_id=job.id, available=True))
    assert desk.jobs()[0].state.worker_id == "one"
    assert desk.assigned.keys() == {"one"}


def test_a_dispatch_of_a_live_room_is_made_listed_and_taken_back() -> None:
    desk = Desk()
    desk.worker("one", agent_name="guide")
    desk.open("other")
    wish = RoomAgentDispatch(agent_name="guide", metadata="about")
    made, effects = dispatching.create(desk.agents, "hall", wish, desk.new_id, desk.now)
    desk.run(effects)
    job = desk.answer("one")
    assert (made.id, job.dispatch_id, job.metadata) == (job.dispatch_id, made.id, "about")
    assert made.state.created_at == int(desk.now) * 1_000_000_000
    gone, effects = dispatching.delete(desk.agents, "hall", made.id, desk.now)
    desk.run(effects)
    assert gone.state.deleted_at > 0
    assert [one.id for one in gone.state.jobs] == [job.id]
    assert desk.terminated == {"one": [job.id]}
    with pytest.raises(NotFound, match="dispatch does not exist"):
        dispatching.delete(desk.agents, "hall", made.id, desk.now)
    desk.worker("two", agent_name="guide")
    assert "two" not in desk.asked


def test_dispatches_of_a_room_are_bounded_and_need_a_room() -> None:
    desk = Desk()
    with pytest.raises(NotFound, match="requested room does not exist"):
        dispatching.create(desk.agents, "hall", RoomAgentDispatch(), desk.new_id, desk.now)
    desk.open()
    for _ in range(MOST_DISPATCHES - 1):
        dispatching.create(desk.agents, "hall", RoomAgentDispatch(), desk.new_id, desk.now)
    with pytest.raises(LimitExceeded):
        dispatching.create(desk.agents, "hall", RoomAgentDispatch(), desk.new_id, desk.now)


def test_nothing_is_left_of_a_room_that_is_over() -> None:
    desk = Desk()
    desk.worker("one")
    desk.worker("people", PARTICIPANT)
    desk.open()
    desk.join(person("anna"))
    desk.answer("one")
    desk.hear(RoomFinished(ROOM))
    agents = desk.agents
    assert (agents.rooms, agents.homes, agents.waiting, agents.timers.next()) == ({}, {}, {}, None)
    assert all(worker.jobs == set() for worker in agents.workers.values())
    desk.answer("people")
    assert "people" not in desk.assigned


def test_a_ping_is_answered_and_strangers_are_not_heard() -> None:
    desk = Desk()
    desk.worker("one")
    desk.say("one", ping=WorkerPing(timestamp=7))
    desk.say("stranger", ping=WorkerPing(timestamp=7))
    assert desk.pongs == ["one"]
