"""LiveKit's agents framework as it is: an agent is dispatched, joins, sees a track; another takes over when it dies."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from livekit import api

from tests.interop.clients import Microphone, connected_client, until
from tests.interop.complaints import OF_AGENTS, unexplained
from tests.service import ROOT, Service, running_service

PYTHON = ROOT / "build/agents/bin/python"
COLOUR = re.compile(r"\x1b\[\d+m")
FOR_INFORMATION = re.compile(r'[\d-]+ [\d:,]+ - (DEBUG|INFO) |\{"(saw|joined)"')
DEADLINE = 90.0  # seconds: the framework takes ten to start on a busy machine


@dataclass
class Worker:
    """A running worker and what its agents said."""

    process: subprocess.Popen[bytes]
    output: Path

    def kill(self) -> None:
        """Ends it at once, with the processes that it started."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def said(self) -> list[dict[str, Any]]:
        lines = self.output.read_text(errors="replace").splitlines()
        return [json.loads(line) for line in lines if line.startswith(('{"saw"', '{"joined"'))]

    def saw(self, sid: str) -> bool:
        return any(what.get("saw") == sid for what in self.said())

    def registered(self) -> bool:
        return "registered worker" in self.output.read_text(errors="replace")

    def complaints(self) -> list[str]:
        """What it wrote besides records for information and what its agents said: warnings, errors, tracebacks.

        Without its last line where that is cut off.
        """
        plain = COLOUR.sub("", self.output.read_text(errors="replace"))
        return [line for line in plain.split("\n")[:-1] if line.strip() and not FOR_INFORMATION.match(line)]


@contextmanager
def running_worker(service: Service, folder: Path, name: str, agent_name: str) -> Iterator[Worker]:
    """A worker, which has nothing to complain of in the end."""
    if not PYTHON.exists():
        pytest.skip("LiveKit's agents framework is not installed: `make build/agents`")
    folder.mkdir()
    output = folder / "worker.log"
    environment = {
        **{key: value for key, value in os.environ.items() if not key.startswith("VECHE_")},
        "LIVEKIT_URL": service.websocket,
        "LIVEKIT_API_KEY": service.key,
        "LIVEKIT_API_SECRET": service.secret,
        "AGENT_NAME": agent_name,
        "WORKER": name,
        "HOME": str(folder),
    }
    with output.open("wb") as log:
        process = subprocess.Popen(
            [str(PYTHON), str(ROOT / "tests/interop/agent_worker.py"), "dev", "--no-reload"],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        worker = Worker(process, output)
        try:
            yield worker
        finally:
            worker.kill()
    assert unexplained(worker.complaints(), also=OF_AGENTS) == [], output


async def test_an_agent_of_the_framework_joins_and_another_takes_its_place(network: None, tmp_path: Path) -> None:
    settings = {"VECHE_RTC__IDLE_TIMEOUT": "5"}
    with (
        running_service(tmp_path / "service", settings) as service,
        running_worker(service, tmp_path / "one", "one", "guide") as one,
    ):
        await until(one.registered, f"the worker registers: {one.output}", DEADLINE)
        alice = await connected_client(service, "hall", "alice")
        microphone = Microphone()
        try:
            publication = await microphone.publish(alice)
            assert one.said() == [], "nobody asked for the guide"
            async with api.LiveKitAPI(service.http, service.key, service.secret) as livekit:
                asked = api.CreateAgentDispatchRequest(agent_name="guide", room="hall", metadata="of the hall")
                dispatch = await livekit.agent_dispatch.create_dispatch(asked)
                await until(lambda: one.saw(publication.sid), f"the agent sees the track: {one.output}", DEADLINE)
                joined = next(what for what in one.said() if "joined" in what)
                assert (joined["joined"], joined["metadata"]) == ("hall", "of the hall")
                agent = alice.remote_participants[joined["as_"]]
                assert agent.attributes["lk.agent.name"] == "guide"
                with running_worker(service, tmp_path / "two", "two", "guide") as two:
                    await until(two.registered, f"the second worker registers: {two.output}", DEADLINE)
                    one.kill()
                    await until(lambda: two.saw(publication.sid), f"another agent sees it: {two.output}", DEADLINE)
                    jobs = {what["job"] for worker in (one, two) for what in worker.said() if "saw" in what}
                    assert len(jobs) == 1, "the same job"
                    found = await livekit.agent_dispatch.get_dispatch(dispatch.id, "hall")
                    assert found is not None
                    assert {job.id for job in found.state.jobs} == jobs
        finally:
            await microphone.stop()
            await alice.disconnect()
