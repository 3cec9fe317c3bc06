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

# A shared screen in scalable VP9. LiveKit's client gives every screen one spatial layer with three temporal ones; who
# wants more tells its sender so.
SHARE = """async ([scalabilityMode, width, height]) => {
  const stream = await navigator.mediaDevices.getDisplayMedia({ video: { width, height, frameRate: 30 } });
  const { track } = await room.localParticipant.publishTrack(stream.getVideoTracks()[0], {
    source: 'screen_share',
    videoCodec: 'vp9',
    backupCodec: false,
    simulcast: false,
    scalabilityMode: 'L1T3',
    screenShareEncoding: { maxBitrate: 1_500_000, maxFramerate: 30 },
  });
  const parameters = track.sender.getParameters();
  parameters.encodings[0].scalabilityMode = scalabilityMode;
  await track.sender.setParameters(parameters);
}"""

# What a receiver without adaptive stream wishes of the one track that it gets.
WISH = """([quality, framesPerSecond]) => {
  const [from] = room.remoteParticipants.values();
  const [publication] = from.trackPublications.values();
  publication.setVideoQuality(LivekitClient.VideoQuality[quality]);
  publication.setVideoFPS(framesPerSecond);
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


# At every landing each codec and each way to layer once.
@pytest.mark.parametrize(
    ("codec", "mode"),
    [
        ("vp8", ""),
        ("vp9", "L3T3"),
        ("av1", "L3T3_KEY"),
        pytest.param("vp9", "L3T3_KEY", marks=pytest.mark.long),
        pytest.param("av1", "L3T3", marks=pytest.mark.long),
    ],
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


async def gets_share(publisher: Person, receiver: Person, spatial: int, low: float, high: float) -> None:
    """Waits until the share of the pictures that are encoded which the receiver gets is within bounds.

    Chromium counts a frame for each of the `spatial` layers of a picture that it sends, and one that it receives.
    """
    found: list[float] = []

    async def counts() -> tuple[int, int]:
        (sent,) = await publisher.statistics("outbound-rtp", "video")
        entry = await received(receiver)
        return int(str(sent.get("framesSent", 0))), int(str(entry.get("framesReceived", 0)))

    async def within() -> bool:
        sent, got = await counts()
        await asyncio.sleep(2.0)  # the window of the measurement
        more_sent, more_got = await counts()
        found.append(spatial * (more_got - got) / max(1, more_sent - sent))
        return low <= found[-1] <= high

    try:
        await eventually(within, f"{receiver.name} gets the wished share of frames", DEADLINE)
    except AssertionError as problem:
        raise AssertionError(f"{problem}: {low} to {high}, got {found}") from None


async def has_height(one: Person, fits: tuple[int, int]) -> None:
    """Waits until pictures arrive whose height is within bounds."""
    low, high = fits

    async def right() -> bool:
        return low <= int(str((await received(one)).get("frameHeight", 0))) <= high

    await eventually(right, f"{one.name} gets {low} to {high} lines", DEADLINE)


@pytest.mark.parametrize(("mode", "spatial"), [pytest.param("L1T3", 1, marks=pytest.mark.long), ("L3T3_KEY", 3)])
async def test_a_screen_in_scalable_vp9_comes_in_the_layers_that_are_wished(
    service: Service, mode: str, spatial: int
) -> None:
    """Three temporal layers hold a quarter, a half and all of the frames; three spatial ones halve each other."""
    async with AsyncExitStack() as stack:
        anna = await client(stack, service, f"screen-{mode}", "Anna", adaptive=False)
        boris = await client(stack, service, f"screen-{mode}", "Boris", adaptive=False)
        width, height = SIZES[2]
        await anna.page.evaluate(SHARE, [mode, width, height])
        whole = (height - 2, height)
        await has_height(boris, whole)
        await gets_share(anna, boris, spatial, 0.85, 1.15)
        await boris.page.evaluate(WISH, ["HIGH", 5])
        await gets_share(anna, boris, spatial, 0.15, 0.35)
        await has_height(boris, whole)
        await boris.page.evaluate(WISH, ["HIGH", 15])
        await gets_share(anna, boris, spatial, 0.4, 0.65)
        await boris.page.evaluate(WISH, ["HIGH", 30])
        await gets_share(anna, boris, spatial, 0.85, 1.15)
        if spatial > 1:
            await boris.page.evaluate(WISH, ["LOW", 30])
            await has_height(boris, (1, height // 4 + 2))
            await gets_share(anna, boris, spatial, 0.85, 1.15)
            await boris.page.evaluate(WISH, ["HIGH", 5])
            await has_height(boris, whole)
            await gets_share(anna, boris, spatial, 0.15, 0.35)
        assert anna.errors == boris.errors == []
