"""From the click on Join to the first frame of somebody else, in real Chromium: p50 and p95 of 50 joins.

Run by `make bench`. One person is inside with a moving picture; another opens the link, joins, looks, and leaves, again
and again in one browser. The stages on the way tell where the time goes: until the picture is attached the browser
waits for nothing but itself and a few round trips on loopback. Then, how long after it is connected the browser sends
the largest layer of its own camera.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from playwright.async_api import async_playwright

from tests.browser.people import chromium, new_context, person, person_in
from tests.load.table import percentile, show
from tests.network import enter
from tests.service import Service, running_service

JOINS = 50
FRAME, LARGEST = "veche:first-remote-frame", "stage:largest-layer"
TOKEN, SIGNALLING, CONNECTED, ATTACHED = "stage:token", "stage:signalling", "stage:connected", "stage:attached"
STAGES = (
    ("let in by the server", TOKEN),
    ("WebSocket open", SIGNALLING),
    ("ICE and DTLS done", CONNECTED),
    ("picture attached to its tile", ATTACHED),
    ("first remote frame", FRAME),
)
LARGEST_RID = "f"

# Marks the stages in the page's timeline, before any script of ours runs.
MARK_STAGES = """
((largestRid) => {
  const mark = (name) => performance.getEntriesByName(name).length || performance.mark(name);
  const ask = window.fetch;
  window.fetch = async (...asked) => {
    const answer = await ask(...asked);
    if (String(asked[0]).endsWith('/join')) mark('stage:token');
    return answer;
  };
  window.WebSocket = new Proxy(window.WebSocket, {
    construct(target, given) {
      const made = new target(...given);
      made.addEventListener('open', () => mark('stage:signalling'));
      return made;
    },
  });
  const watch = async (connection) => {
    for (const [, entry] of await connection.getStats()) {
      const isLargest = entry.type === 'outbound-rtp' && entry.rid === largestRid;
      if (isLargest && entry.framesSent) return mark('stage:largest-layer');
    }
    setTimeout(watch, 50, connection);
  };
  window.RTCPeerConnection = new Proxy(window.RTCPeerConnection, {
    construct(target, given) {
      const made = new target(...given);
      made.addEventListener('connectionstatechange', () => {
        if (made.connectionState !== 'connected') return;
        mark('stage:connected');
        watch(made);
      });
      return made;
    },
  });
  const own = Object.getOwnPropertyDescriptor(HTMLMediaElement.prototype, 'srcObject');
  Object.defineProperty(HTMLVideoElement.prototype, 'srcObject', {
    get() { return own.get.call(this); },
    set(stream) {
      const isRemote = performance.getEntriesByName('stage:connected').length > 0;
      if (stream && isRemote && !this.closest('[data-self=true]')) mark('stage:attached');
      own.set.call(this, stream);
    },
  });
})
"""

# The marks as milliseconds since the click, once all are there.
READ_MARKS = """
(names) => {
  const at = (name) => performance.getEntriesByName(name)[0]?.startTime;
  const since = names.map((name) => at(name) - at('veche:join-click'));
  return since.some(Number.isNaN) ? null : since;
}
"""


async def measure(service: Service) -> None:
    async with AsyncExitStack() as stack:
        playwright = await stack.enter_async_context(async_playwright())
        anna = await stack.enter_async_context(person(playwright, "Anna"))
        link = service.new_meeting()
        await anna.join(link)
        browser = await stack.enter_async_context(chromium(playwright))
        names = [name for _, name in STAGES] + [LARGEST]
        waits: dict[str, list[float]] = {name: [] for name in names}
        for number in range(JOINS):
            context = await new_context(browser)
            await context.add_init_script(f"({MARK_STAGES.strip()})('{LARGEST_RID}')")
            guest = await person_in(context, f"Guest {number}")
            await guest.join(link)
            handle = await guest.page.wait_for_function(READ_MARKS, arg=names)
            for name, wait in zip(names, await handle.json_value(), strict=True):
                waits[name].append(float(wait))
            await guest.page.get_by_test_id("toolbar-leave").click()
            await guest.page.get_by_test_id("left-page").wait_for()
            await context.close()
    largest = [sent - joined for sent, joined in zip(waits[LARGEST], waits[CONNECTED], strict=True)]
    rows = [(f"{what}, after the click", waits[name]) for what, name in STAGES]
    rows.append(("largest layer of the own camera sent, after ICE and DTLS", largest))
    show(
        f"a join into a meeting of one, {JOINS} joins, ms",
        ("figure", "p50", "p95", "worst"),
        [(what, percentile(found, 0.5), percentile(found, 0.95), max(found)) for what, found in rows],
    )


def main() -> None:
    enter()
    with tempfile.TemporaryDirectory() as folder, running_service(Path(folder)) as service:
        asyncio.run(measure(service))


if __name__ == "__main__":
    main()
