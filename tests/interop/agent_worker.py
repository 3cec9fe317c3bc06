"""A program on LiveKit's agents framework: its agent joins, subscribes, and prints what it sees as JSON lines.

Runs in the framework's own environment (`build/agents`), which pins another version of the SDK than the other tests.
"""

from __future__ import annotations

import json
import os

from livekit import agents, rtc  # type: ignore[attr-defined]  # agents are in an environment of their own


def say(**what: object) -> None:
    print(json.dumps(what), flush=True)


async def work(context: agents.JobContext) -> None:
    """One job."""

    def subscribed(track: rtc.Track, publication: rtc.RemoteTrackPublication, person: rtc.RemoteParticipant) -> None:
        say(saw=publication.sid, of=person.identity, job=context.job.id, worker=os.environ["WORKER"])

    context.room.on("track_subscribed", subscribed)
    await context.connect()
    say(joined=context.room.name, as_=context.room.local_participant.identity, metadata=context.job.metadata)


if __name__ == "__main__":
    agents.cli.run_app(
        agents.WorkerOptions(
            entrypoint_fnc=work,
            agent_name=os.environ["AGENT_NAME"],
            num_idle_processes=1,
            job_executor_type=agents.JobExecutorType.THREAD,
            port=0,
        )
    )
