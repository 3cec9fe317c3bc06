"""How well a page receives, from its own statistics (W3C webrtc-stats), and people behind a bad network."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from playwright.async_api import Playwright

from tests.browser.people import CHROMIUM, FLAGS, Person, chromium, new_context, person_in
from tests.link import Link

# Somebody without camera and microphone: costs nothing but what is received.
WATCHER = [flag for flag in FLAGS if flag != "--use-fake-device-for-media-stream"]

# Sums over all that the page receives; the round trip is that of the path in use, in seconds.
READ_RECEPTION = """
async () => {
  const sums = {
    framesDecoded: 0, freezeCount: 0, totalFreezesDuration: 0, videoBytes: 0, nackCount: 0, pliCount: 0,
    concealedSamples: 0, totalSamplesReceived: 0, audioBytes: 0, videoPackets: 0, videoLost: 0,
  };
  let roundTrip = 0;
  const heights = [];
  for (const connection of window.connections) {
    if (connection.connectionState === 'closed') continue;
    (await connection.getStats()).forEach((entry) => {
      if (entry.type === 'candidate-pair' && entry.nominated) roundTrip = entry.currentRoundTripTime ?? roundTrip;
      if (entry.type !== 'inbound-rtp') return;
      for (const name of Object.keys(sums)) sums[name] += entry[name] ?? 0;
      if (entry.kind === 'audio') {
        sums.audioBytes += entry.bytesReceived;
      } else {
        sums.videoBytes += entry.bytesReceived;
        sums.videoPackets += entry.packetsReceived;
        sums.videoLost += entry.packetsLost;
        heights.push(entry.frameHeight ?? 0);
      }
    });
  }
  return { ...sums, roundTrip, height: Math.max(0, ...heights), videos: heights.length };
}
"""


@dataclass(frozen=True)
class Reception:
    """Totals since the join, over all tracks; `at` is on the monotonic clock. Times in seconds."""

    at: float
    frames: int
    freezes: int
    frozen: float
    video_bytes: int
    video_packets: int
    video_lost: int
    audio_bytes: int
    samples: int
    concealed: int
    nacks: int
    plis: int
    round_trip: float
    height: int

    def concealed_since(self, earlier: Reception) -> float:
        """Share of the sound since then that had to be made up, 0 to 1."""
        return (self.concealed - earlier.concealed) / max(1, self.samples - earlier.samples)

    def frozen_since(self, earlier: Reception) -> float:
        """Share of the time since then in which a picture stood still, 0 to 1 for one picture."""
        return (self.frozen - earlier.frozen) / (self.at - earlier.at)

    def frame_rate_since(self, earlier: Reception) -> float:
        """Frames a second since then, of all pictures together."""
        return (self.frames - earlier.frames) / (self.at - earlier.at)

    def bitrate_since(self, earlier: Reception) -> float:
        """Bits a second of video since then, without headers."""
        return (self.video_bytes - earlier.video_bytes) * 8 / (self.at - earlier.at)


async def reception(one: Person) -> Reception:
    """What a page has received so far."""
    found = await one.page.evaluate(READ_RECEPTION)
    return Reception(
        at=time.monotonic(),
        frames=found["framesDecoded"],
        freezes=found["freezeCount"],
        frozen=found["totalFreezesDuration"],
        video_bytes=found["videoBytes"],
        video_packets=found["videoPackets"],
        video_lost=found["videoLost"],
        audio_bytes=found["audioBytes"],
        samples=found["totalSamplesReceived"],
        concealed=found["concealedSamples"],
        nacks=found["nackCount"],
        plis=found["pliCount"],
        round_trip=found["roundTrip"],
        height=found["height"],
    )


@asynccontextmanager
async def far_person(
    playwright: Playwright, link: Link, folder: Path, name: str = "Boris", flags: Sequence[str] = WATCHER
) -> AsyncIterator[Person]:
    """Somebody behind the link, with a whole browser of their own; without other flags they only watch."""
    async with chromium(playwright, flags, link.far_program(folder, str(CHROMIUM))) as browser:
        yield await person_in(await new_context(browser), name)
