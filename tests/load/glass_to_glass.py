"""How late a picture is: from its drawing in one Chromium to its showing in another, through us and without us.

Run by `make bench`. Anna's camera shows the time in black and white fields, and Boris's page reads them from what it
shows; both browsers have this machine's clock. What is measured holds their encoding, sending, waiting and decoding as
well, so that the same is done over a connection of the two browsers alone, with sound, for which pictures wait.
TARGETS: 120 ms, of which 5 are ours.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from playwright.async_api import Locator, async_playwright

from tests.browser.people import Person, chromium, new_context, person, person_in
from tests.browser.reception import WATCHER
from tests.load.table import percentile, show
from tests.network import enter
from tests.service import Service, running_service

ROUNDS = 2
SETTLE = 8.0  # seconds until the highest quality is sent
SECONDS = 20.0  # of each measurement

# 24 fields in three rows: 22 bits of the milliseconds, their parity, and its opposite.
CLOCK_CAMERA = """
(() => {
  const real = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
  const clock = () => {
    const canvas = document.createElement('canvas');
    [canvas.width, canvas.height] = [1280, 720];
    const pen = canvas.getContext('2d', { alpha: false });
    setInterval(() => {
      const now = Math.round(performance.timeOrigin + performance.now()) % 2 ** 22;
      let parity = 0;
      for (let field = 0; field < 24; field += 1) {
        const bit = field < 22 ? (now >> field) & 1 : field === 22 ? parity : 1 - parity;
        if (field < 22) parity ^= bit;
        pen.fillStyle = bit ? 'white' : 'black';
        pen.fillRect((field % 8) * 160, Math.floor(field / 8) * 240, 160, 240);
      }
    }, 1000 / 30);
    return canvas.captureStream(30).getVideoTracks()[0];
  };
  navigator.mediaDevices.getUserMedia = async ({ audio, video }) => {
    const stream = audio ? await real({ audio }) : new MediaStream();
    if (video) stream.addTrack(clock());
    return stream;
  };
})();
"""

# How old each frame is as it is shown, ms; what can't be read is left out.
READ_AGES = """
(video, seconds) => new Promise((resolve) => {
  const canvas = document.createElement('canvas');
  [canvas.width, canvas.height] = [320, 180];
  const pen = canvas.getContext('2d', { willReadFrequently: true });
  const ages = [];
  const end = performance.now() + seconds * 1000;
  const read = () => {
    const shown = Math.round(performance.timeOrigin + performance.now()) % 2 ** 22;
    pen.drawImage(video, 0, 0, canvas.width, canvas.height);
    const { data } = pen.getImageData(0, 0, canvas.width, canvas.height);
    const bit = (field) => Number(data[4 * ((30 + 60 * Math.floor(field / 8)) * 320 + 20 + 40 * (field % 8))] > 127);
    let [drawn, parity] = [0, 0];
    for (let field = 0; field < 22; field += 1) {
      drawn += bit(field) * 2 ** field;
      parity ^= bit(field);
    }
    if (bit(22) === parity && bit(23) === 1 - parity) ages.push((shown - drawn + 2 ** 22) % 2 ** 22);
    if (performance.now() < end) video.requestVideoFrameCallback(read);
    else resolve({ ages, width: video.videoWidth });
  };
  video.requestVideoFrameCallback(read);
})
"""

GATHERED = """
const gathered = (connection) => new Promise((resolve) => {
  const look = () => { if (connection.iceGatheringState === 'complete') resolve(connection.localDescription.sdp); };
  connection.addEventListener('icegatheringstatechange', look);
  look();
});
"""

OFFER = f"""
async () => {{
  {GATHERED}
  const stream = await navigator.mediaDevices.getUserMedia({{ audio: true, video: true }});
  window.direct = new RTCPeerConnection();
  for (const track of stream.getTracks()) window.direct.addTrack(track, stream);
  await window.direct.setLocalDescription();
  return gathered(window.direct);
}}
"""

ANSWER = f"""
async (sdp) => {{
  {GATHERED}
  window.direct = new RTCPeerConnection();
  const video = Object.assign(document.createElement('video'), {{ id: 'direct', muted: true, autoplay: true }});
  const audio = Object.assign(document.createElement('audio'), {{ autoplay: true }});
  document.body.append(video, audio);
  window.direct.ontrack = ({{ track }}) => {{
    (track.kind === 'video' ? video : audio).srcObject = new MediaStream([track]);
  }};
  await window.direct.setRemoteDescription({{ type: 'offer', sdp }});
  await window.direct.setLocalDescription();
  return gathered(window.direct);
}}
"""

TAKE_ANSWER = "(sdp) => window.direct.setRemoteDescription({ type: 'answer', sdp })"


async def ages(video: Locator) -> tuple[list[float], int]:
    """How old the frames are that a video shows, ms, and how wide they are."""
    await asyncio.sleep(SETTLE)
    found = await video.evaluate(READ_AGES, SECONDS)
    return [float(age) for age in found["ages"]], int(found["width"])


async def through_us(anna: Person, boris: Person, link: str) -> tuple[list[float], int]:
    await anna.join(link)
    await boris.join(link)
    await boris.moving("Anna")
    return await ages(boris.tile("Anna").locator("video"))


async def without_us(anna: Person, boris: Person, link: str) -> tuple[list[float], int]:
    await anna.open(link)
    await boris.open(link)
    answer = await boris.page.evaluate(ANSWER, await anna.page.evaluate(OFFER))
    await anna.page.evaluate(TAKE_ANSWER, answer)
    return await ages(boris.page.locator("#direct"))


async def measure(service: Service) -> None:
    async with AsyncExitStack() as stack:
        playwright = await stack.enter_async_context(async_playwright())
        anna = await stack.enter_async_context(person(playwright, "Anna"))
        watching = await stack.enter_async_context(chromium(playwright, WATCHER))
        boris = await person_in(await new_context(watching), "Boris")
        await anna.page.add_init_script(CLOCK_CAMERA)
        link = service.new_meeting()
        ways = {"through us": through_us, "without us": without_us}
        found: dict[str, list[float]] = {way: [] for way in ways}
        widths: dict[str, set[int]] = {way: set() for way in ways}
        for _ in range(ROUNDS):
            for way, go in ways.items():
                read, width = await go(anna, boris, link)
                found[way] += read
                widths[way].add(width)
    rows = [
        (way, percentile(read, 0.5), percentile(read, 0.95), len(read), " ".join(map(str, sorted(widths[way]))))
        for way, read in found.items()
    ]
    ours = percentile(found["through us"], 0.5) - percentile(found["without us"], 0.5)
    show(
        f"from drawing to showing, ms (120); ours of it {ours:.1f} (5)",
        ("way", "p50", "p95", "frames", "pixels wide"),
        rows,
    )


def main() -> None:
    enter()
    with tempfile.TemporaryDirectory() as folder, running_service(Path(folder)) as service:
        asyncio.run(measure(service))


if __name__ == "__main__":
    main()
