"""The picture that arrives is as large as the tile it is for: simulcast and SVC, from one Chromium to another."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import pytest
from playwright.async_api import async_playwright

from tests.browser.people import Person, eventually, person
from tests.interop.clients import access_token
from tests.service import ROOT, Service

SDK = ROOT / "static/node_modules/livekit-client/dist/livekit-client.umd.js"
# What the layers of a camera of the largest size are; libwebrtc makes no VP9 layer smaller than the lowest of these.
SIZES = ((240, 135), (480, 270), (960, 540))
# BackupCodecPolicy of the protocol.
REGRESSION, SIMULCAST = 2, 1
# The payload types of the two codecs, in our offers and in Chromium's.
VP8, VP9 = "96", "98"
DEADLINE = 120.0  # seconds; two encoders and two decoders share two cores

CONNECT = """async ([url, token, adaptive, singlePeerConnection]) => {
  const options = adaptive ? { adaptiveStream: { pixelDensity: 1 } } : { dynacast: true };
  window.room = new LivekitClient.Room({ ...options, singlePeerConnection });
  window.shown = document.body.appendChild(document.createElement('video'));
  room.on('trackSubscribed', (track) => track.attach(shown));
  await room.connect(url, token);
}"""

PUBLISH = """async ([codec, scalabilityMode, backupCodec, backupCodecPolicy, width, height]) => {
  const stream = await navigator.mediaDevices.getUserMedia({ video: { width, height, frameRate: 15 } });
  const svc = codec === 'vp9' || codec === 'av1';
  await room.localParticipant.publishTrack(stream.getVideoTracks()[0], {
    source: 'camera',
    videoCodec: codec,
    simulcast: true,
    scalabilityMode: svc ? scalabilityMode : undefined,
    backupCodec: backupCodec ? { codec: backupCodec } : false,
    backupCodecPolicy,
    videoEncoding: { maxBitrate: 1_500_000, maxFramerate: 15 },
    videoSimulcastLayers: [
      new LivekitClient.VideoPreset(240, 135, 150_000, 15),
      new LivekitClient.VideoPreset(480, 270, 400_000, 15),
    ],
  });
}"""

# The browser knows nothing of VP9: it does not offer it, and what our offers say of it is taken out.
LACK_VP9 = """
const take = RTCPeerConnection.prototype.setRemoteDescription;
RTCPeerConnection.prototype.setRemoteDescription = function ({ type, sdp }) {
  const sections = sdp.split(/(?=^m=)/m).map((section) => {
    const found = section.match(/^a=rtpmap:(\\d+) VP9\\//m);
    if (type !== 'offer' || !found) return section;
    const gone = [found[1], String(Number(found[1]) + 1)];
    const kept = section.split('\\r\\n').filter((line) => !gone.some((number) => line.match(`^a=[a-z-]+:${number} `)));
    const [media, ...rest] = kept;
    const words = media.split(' ').filter((word, place) => place < 3 || !gone.includes(word));
    return [words.join(' '), ...rest].join('\\r\\n');
  });
  return take.call(this, { type, sdp: sections.join('') });
};
const add = RTCPeerConnection.prototype.addTransceiver;
RTCPeerConnection.prototype.addTransceiver = function (kind, init) {
  const transceiver = add.call(this, kind, init);
  if (kind === 'video' && init?.direction === 'recvonly') {
    const { codecs } = RTCRtpReceiver.getCapabilities('video');
    transceiver.setCodecPreferences(codecs.filter(({ mimeType }) => mimeType !== 'video/VP9'));
  }
  return transceiver;
};
"""

SHOW = "([width, height]) => { shown.style.width = `${width}px`; shown.style.height = `${height}px`; }"


async def client(
    stack: AsyncExitStack,
    service: Service,
    room: str,
    name: str,
    *,
    adaptive: bool,
    single: bool = True,
    script: str = "",
) -> Person:
    """A browser with nothing but LiveKit's client in it, in the room; `script` runs before."""
    playwright = await stack.enter_async_context(async_playwright())
    one = await stack.enter_async_context(person(playwright, name, bypass_csp=True))
    await one.open(f"{service.https}/healthz")
    await one.page.add_script_tag(path=SDK)
    if script:
        await one.page.add_script_tag(content=script)
    url = service.https.replace("https", "wss", 1)
    await one.page.evaluate(CONNECT, [url, access_token(service, room, name), adaptive, single])
    return one


async def received(one: Person) -> dict[str, object]:
    """The statistics of the one video that arrives; empty before it does."""
    found = await one.statistics("inbound-rtp", "video")
    return found[-1] if found else {}


async def sees(one: Person, size: tuple[int, int]) -> None:
    """Shows the video in a tile of a size, and waits until pictures of that size move in it."""
    await one.page.evaluate(SHOW, list(size))

    async def fits() -> bool:
        entry = await received(one)
        # Encoders make sizes even.
        return entry.get("frameWidth") == size[0] and abs(int(str(entry.get("frameHeight", 0))) - size[1]) <= 2

    try:
        await eventually(fits, f"{one.name} gets {size}", DEADLINE)
    except AssertionError:
        raise AssertionError(f"{one.name} wanted {size}, got {await received(one)}") from None
    before = (await received(one)).get("framesDecoded", 0)

    async def moves() -> bool:
        return int(str((await received(one)).get("framesDecoded", 0))) > int(str(before)) + 10

    await eventually(moves, f"{one.name} sees {size} moving", DEADLINE)


@pytest.mark.parametrize(
    ("codec", "mode"), [("vp8", ""), ("vp9", "L3T3_KEY"), ("vp9", "L3T3"), ("av1", "L3T3_KEY"), ("av1", "L3T3")]
)
async def test_the_picture_follows_the_size_of_its_tile(service: Service, codec: str, mode: str) -> None:
    async with AsyncExitStack() as stack:
        room = f"layers-{codec}-{mode}"
        anna = await client(stack, service, room, "Anna", adaptive=False)
        boris = await client(stack, service, room, "Boris", adaptive=True)
        await anna.page.evaluate(PUBLISH, [codec, mode, "", SIMULCAST, *SIZES[2]])
        for size in (SIZES[2], SIZES[0], SIZES[1], SIZES[2], SIZES[0]):
            await asyncio.wait_for(sees(boris, size), 2 * DEADLINE)
        assert anna.errors == boris.errors == []


@pytest.mark.parametrize(
    ("policy", "everybody_gets", "single"), [(SIMULCAST, VP9, False), (REGRESSION, VP8, False), (REGRESSION, VP8, True)]
)
async def test_who_lacks_the_codec_sees_the_backup(
    service: Service, policy: int, everybody_gets: str, single: bool
) -> None:
    async with AsyncExitStack() as stack:
        room = f"backup-{policy}-{single}"
        anna = await client(stack, service, room, "Anna", adaptive=False, single=single)
        boris = await client(stack, service, room, "Boris", adaptive=True, single=single)
        await anna.page.evaluate(PUBLISH, ["vp9", "L3T3_KEY", "vp8", policy, *SIZES[2]])
        await sees(boris, SIZES[2])
        assert codec_of(await received(boris)) == VP9
        clara = await client(stack, service, room, "Clara", adaptive=True, single=single, script=LACK_VP9)
        await sees(clara, SIZES[1])
        assert codec_of(await received(clara)) == VP8

        async def settled() -> bool:
            return codec_of(await received(boris)) == everybody_gets

        await eventually(settled, f"Boris gets {everybody_gets}", DEADLINE)
        await sees(boris, SIZES[2])


def codec_of(entry: dict[str, object]) -> str:
    """The payload type in a stream's statistics: Chromium has it in the id of the codec."""
    return str(entry["codecId"]).split("_")[1]
