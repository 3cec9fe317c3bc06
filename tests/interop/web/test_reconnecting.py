"""Guests with LiveKit's JavaScript client lose their connection, by its own scenarios and by real ones, and return."""

from __future__ import annotations

from pathlib import Path

import pytest
import pytest_asyncio

from tests.browser.tabs import Tab
from tests.interop.web.guests import CAMERA, MICROPHONE, Guest, Meeting, firefox_later, see_and_hear_each_other
from tests.network import PacketLoss
from tests.service import running_service

# What the client says of every lost connection, and of PeerConnections that it has given up.
LOST = (
    r"warn: (signal|reconnect|leave-reconnect|peerconnection failed) disconnected",
    "triggering ICE restart",
    "already attempting reconnect",
    "Abort connection attempt due to user initiated disconnect",
    "failed to remove track",
    # It looks at itself every four seconds, and may do so meanwhile.
    "detected connection state mismatch",
    "closed unexpectedly|DataChannel error",
    r"(Websocket got closed|Received leave request|no message received).*(\(re\)connect|first message)",
)

# And where there is no server for a while.
AWAY = ("Couldn't connect to server", "error reading from signal stream", "Failed to fetch|fetch resource")

pytestmark = [pytest.mark.asyncio(loop_scope="package"), pytest.mark.complains(*LOST)]

SIMULATE = "(room, scenario, value) => room.simulateScenario(scenario, value)"
SID = "(room) => room.localParticipant.sid"
# How a scenario ends: with the same session or with a new one.
SAME, NEW, EITHER = "the same session", "a new session", "either"
SCENARIOS = {
    "signal-reconnect": SAME,
    "full-reconnect": NEW,
    "node-failure": NEW,
}
MORE_SCENARIOS = {
    # Firefox is connecting while its offer is unanswered, as it stays on the socket that is closed: the client waits
    # for that only, and gives up. Chromium stays connected.
    "disconnect-signal-on-resume": EITHER,
    "disconnect-signal-on-resume-no-messages": SAME,
    "resume-reconnect": NEW,
    "leave-full-reconnect": NEW,
    "migration": NEW,
    "force-tcp": NEW,
    "force-tls": NEW,
}


async def meet(page: Tab, meeting: Meeting) -> tuple[Guest, Guest]:
    """Anna and Boris, who see and hear each other."""
    anna = await meeting.join(page, "anna")
    boris = await meeting.join(page, "boris")
    for one in (anna, boris):
        await one.run(CAMERA)
        await one.run(MICROPHONE, True)
    await see_and_hear_each_other(anna, boris)
    return anna, boris


@pytest_asyncio.fixture(loop_scope="package")
async def pair(page: Tab, meeting: Meeting) -> tuple[Guest, Guest]:
    return await meet(page, meeting)


@pytest.mark.parametrize(
    ("scenario", "ends"),
    [
        *SCENARIOS.items(),
        *(pytest.param(scenario, ends, marks=pytest.mark.long) for scenario, ends in MORE_SCENARIOS.items()),
    ],
)
async def test_after_a_simulated_fault_both_see_and_hear_each_other(
    pair: tuple[Guest, Guest], scenario: str, ends: str
) -> None:
    anna, boris = pair
    before = await anna.run(SID)
    await anna.run(SIMULATE, scenario)
    await anna.said("reconnected")
    await anna.holds("(room) => room.state === 'connected'", "is connected")
    await see_and_hear_each_other(anna, boris)
    after = await anna.run(SID)
    assert ends in (SAME if after == before else NEW, EITHER)
    assert await anna.events("disconnected") == []
    if ends == SAME:
        assert await boris.events("participantDisconnected") == []
    if scenario.startswith("force"):
        assert await anna.protocol("boris") == "tcp"


@firefox_later
async def test_two_resumes_at_once_are_one(pair: tuple[Guest, Guest]) -> None:
    anna, boris = pair
    before = await anna.run(SID)
    await anna.run("""async (room) => {
      await room.simulateScenario('signal-reconnect');
      await new Promise((done) => setTimeout(done, 600));
      await room.simulateScenario('signal-reconnect');
    }""")
    await anna.holds("(room) => room.state === 'connected'", "is connected")
    await see_and_hear_each_other(anna, boris)
    await anna.run(SIMULATE, "signal-reconnect")
    await anna.holds("(room) => room.state === 'connected'", "is connected again")
    await see_and_hear_each_other(anna, boris)
    assert await anna.run(SID) == before
    assert await boris.events("participantDisconnected") == []


@pytest.mark.long
async def test_a_simulated_speaker_is_told_to_itself(page: Tab, meeting: Meeting) -> None:
    anna = await meeting.join(page, "anna")
    await anna.run(SIMULATE, "speaker")
    await anna.said("activeSpeakersChanged", ["anna"])
    await anna.said("activeSpeakersChanged", [])


@firefox_later
async def test_a_server_that_leaves_ends_the_meeting(page: Tab, meeting: Meeting) -> None:
    anna = await meeting.join(page, "anna")
    boris = await meeting.join(page, "boris")
    await anna.run(SIMULATE, "server-leave")
    await anna.said("disconnected", await anna.run("() => LivekitClient.DisconnectReason.SERVER_SHUTDOWN"))
    await boris.said("participantDisconnected", "anna")
    assert await boris.run("(room) => room.state") == "connected"


@pytest.mark.long
async def test_a_narrow_simulated_line_gets_a_smaller_picture(page: Tab, meeting: Meeting) -> None:
    anna = await meeting.join(page, "anna")
    boris = await meeting.join(page, "boris")
    await anna.run(CAMERA, {"simulcast": True}, 1280, 720)
    await boris.sees_size("anna", lambda height: height == 720, "at 720 lines")
    await boris.run(SIMULATE, "subscriber-bandwidth", 250_000)
    await boris.sees_size("anna", lambda height: 0 < height < 720, "smaller")
    await boris.run(SIMULATE, "subscriber-bandwidth", 100_000_000)
    await boris.sees_size("anna", lambda height: height == 720, "at 720 lines again")


@pytest.mark.long
@pytest.mark.complains(*LOST, "Simulated v1 path failure")
async def test_a_client_that_finds_no_way_for_one_connection_takes_two(page: Tab, meeting: Meeting) -> None:
    anna, boris = await meet(page, meeting)
    await anna.run(SIMULATE, "fail-on-v1-path")
    await anna.run(SIMULATE, "full-reconnect")
    await anna.said("reconnected")
    await see_and_hear_each_other(anna, boris)


async def test_without_udp_they_meet_over_tcp(page: Tab, meeting: Meeting) -> None:
    with PacketLoss(100):
        anna, _ = await meet(page, meeting)
        assert await anna.protocol("boris") == "tcp"


@pytest.mark.complains(*LOST, *AWAY)
@pytest.mark.parametrize(
    ("browser_name", "crash"),
    [
        ("firefox", False),
        *(pytest.param(*case, marks=pytest.mark.long) for case in (("chromium", False), ("chromium", True))),
        pytest.param("firefox", True, marks=pytest.mark.long),
    ],
    indirect=["browser_name"],
)
async def test_a_server_that_starts_again_finds_everybody_back(
    page: Tab, single: bool, tmp_path: Path, crash: bool
) -> None:
    with running_service(tmp_path) as service:
        meeting = Meeting(service, "restarted", single)
        anna, boris = await meet(page, meeting)
        if crash:
            service.kill()
        else:
            service.stop()
        service.start()
        for one in (anna, boris):
            await one.said("reconnected")
        await see_and_hear_each_other(anna, boris)
        await page.run("leave")
