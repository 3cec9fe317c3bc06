"""Firefox ESR without a window, driven by WebDriver BiDi (W3C): what Playwright cannot start unchanged."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from tests.service import free_port

FIREFOX = Path("/usr/bin/firefox-esr")
START_DEADLINE = 60.0  # seconds; three are usual
STOP_DEADLINE = 20.0
COMMAND_DEADLINE = 90.0  # seconds; above every deadline that a script of ours waits for

# A fake camera and microphone without a question, sound without a click, and nothing that calls home.
PREFERENCES = {
    "media.navigator.streams.fake": True,
    "media.navigator.permission.disabled": True,
    "media.autoplay.default": 0,
    "media.peerconnection.ice.obfuscate_host_addresses": False,
    "dom.ipc.processPrelaunch.enabled": False,
    "app.update.enabled": False,
    "app.normandy.enabled": False,
    "browser.shell.checkDefaultBrowser": False,
    "browser.safebrowsing.update.enabled": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "extensions.update.enabled": False,
    "media.gmp-manager.updateEnabled": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "services.settings.server": "",
    "toolkit.telemetry.enabled": False,
}


class ScriptFailed(RuntimeError):
    """A script in a page threw; the text is its error."""


class Firefox:
    """A running Firefox, over its BiDi socket."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._answers: dict[int, asyncio.Future[Any]] = {}
        self._reading = asyncio.create_task(self._read())

    async def open(self, address: str) -> FirefoxTab:
        """A new tab in front, with the page loaded."""
        made = await self.command("browsingContext.create", type="tab", background=False)
        tab = FirefoxTab(self, str(made["context"]))
        await self.command("browsingContext.navigate", context=tab.context, url=address, wait="complete")
        return tab

    async def command(self, method: str, **parameters: object) -> Any:
        """Sends one command and returns its result. Raises RuntimeError with Firefox's words where it refuses."""
        number = len(self._answers) + 1
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        await self._socket.send_json({"id": number, "method": method, "params": parameters})
        async with asyncio.timeout(COMMAND_DEADLINE):
            return await answer

    async def close(self) -> None:
        self._reading.cancel()
        await asyncio.gather(self._reading, return_exceptions=True)
        await self._socket.close()

    async def _read(self) -> None:
        async for message in self._socket:
            said = json.loads(message.data)
            answer = self._answers.get(said.get("id"))
            if answer is None or answer.done():
                continue
            if said["type"] == "error":
                answer.set_exception(RuntimeError(f"Firefox refuses: {said['error']}: {said['message']}"))
            else:
                answer.set_result(said["result"])


class FirefoxTab:
    """One tab. Its methods are those of `tests.browser.tabs.Tab`."""

    def __init__(self, firefox: Firefox, context: str) -> None:
        self.context = context
        self._firefox = firefox

    async def run(self, function: str, *arguments: object) -> object:
        found = await self._firefox.command(
            "script.callFunction",
            functionDeclaration=f"async (given) => JSON.stringify((await ({function})(...JSON.parse(given))) ?? null)",
            arguments=[{"type": "string", "value": json.dumps(arguments)}],
            target={"context": self.context},
            awaitPromise=True,
            userActivation=True,
        )
        if found["type"] != "success":
            raise ScriptFailed(found["exceptionDetails"]["text"])
        answer: object = json.loads(found["result"]["value"])
        return answer

    async def frames(self) -> list[FirefoxTab]:
        """Those that the page holds now."""
        (found,) = (await self._firefox.command("browsingContext.getTree", root=self.context))["contexts"]
        return [FirefoxTab(self._firefox, str(child["context"])) for child in found["children"]]

    async def close(self) -> None:
        await self._firefox.command("browsingContext.close", context=self.context)


@asynccontextmanager
async def firefox(folder: Path) -> AsyncIterator[Firefox]:
    """A Firefox with a profile of its own in `folder`. Raises RuntimeError where none is installed or none starts."""
    log, port = folder / "firefox.log", free_port()
    process = _start(folder / "profile", log, port)
    try:
        async with aiohttp.ClientSession() as web:
            running = Firefox(await _connected(web, port, process, log))
            try:
                await running.command("session.new", capabilities={"alwaysMatch": {"acceptInsecureCerts": True}})
                yield running
            finally:
                await running.close()
    finally:
        await asyncio.to_thread(_stop, process)


def _start(profile: Path, log: Path, port: int) -> subprocess.Popen[bytes]:
    if not FIREFOX.exists():
        raise RuntimeError(f"{FIREFOX} is missing: install the package firefox-esr")
    profile.mkdir(parents=True)
    lines = [f"user_pref({json.dumps(name)}, {json.dumps(value)});" for name, value in PREFERENCES.items()]
    (profile / "user.js").write_text("\n".join(lines))
    # Its sandbox needs more than a container gives.
    settings = {"HOME": str(profile), "MOZ_DISABLE_CONTENT_SANDBOX": "1", "MOZ_CRASHREPORTER_DISABLE": "1"}
    with log.open("wb") as output:
        return subprocess.Popen(
            [FIREFOX, "--headless", "--no-remote", "--profile", profile, f"--remote-debugging-port={port}"],
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **settings},
        )


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_DEADLINE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


async def _connected(
    web: aiohttp.ClientSession, port: int, process: subprocess.Popen[bytes], log: Path
) -> aiohttp.ClientWebSocketResponse:
    end = asyncio.get_running_loop().time() + START_DEADLINE
    while True:
        try:
            return await web.ws_connect(f"ws://127.0.0.1:{port}/session", max_msg_size=0)
        except aiohttp.ClientError as problem:
            if process.poll() is not None or asyncio.get_running_loop().time() > end:
                said = await asyncio.to_thread(log.read_text)
                raise RuntimeError(f"Firefox did not start ({problem}):\n{said[-2000:]}") from None
            await asyncio.sleep(0.1)
