"""A real browser takes our answers and our offers. No media and no network: only the descriptions are exchanged."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from playwright.async_api import Page, async_playwright

from signaling.negotiation import Accepted, Answer, Negotiation, SectionWishes
from tests.browser.people import FLAGS
from tests.signaling.negotiating import AV1, H264, H265, OPUS, RED, RESTARTED, VP8, VP9, negotiation, track

pytestmark = pytest.mark.network

OPEN = """() => {
  window.connection = new RTCPeerConnection({ bundlePolicy: 'max-bundle' });
  window.arrived = [];
  connection.ontrack = (event) => arrived.push([event.transceiver.mid, event.streams[0].id]);
}"""

# sendEncodings for one, two or three layers.
PUBLISH = """([kind, layers]) => {
  const microphone = () => new AudioContext().createMediaStreamDestination().stream.getAudioTracks()[0];
  const camera = () => {
    const canvas = document.createElement('canvas');
    canvas.getContext('2d');
    return canvas.captureStream(5).getVideoTracks()[0];
  };
  const encodings = layers.map((rid, index) => ({ rid, scaleResolutionDownBy: 2 ** (layers.length - 1 - index) }));
  const track = kind === 'audio' ? microphone() : camera();
  const options = { direction: 'sendonly', streams: [new MediaStream()] };
  if (layers.length) options.sendEncodings = encodings;
  connection.addTransceiver(track, options);
  return track.id;
}"""

OFFER = """async (options) => {
  const offer = await connection.createOffer(options);
  await connection.setLocalDescription(offer);
  return offer.sdp;
}"""

TAKE_ANSWER = "(sdp) => connection.setRemoteDescription({ type: 'answer', sdp })"

TAKE_OFFER = """async (sdp) => {
  await connection.setRemoteDescription({ type: 'offer', sdp });
  const answer = await connection.createAnswer();
  await connection.setLocalDescription(answer);
  return answer.sdp;
}"""

STATE = """() => connection.getTransceivers().map((transceiver) => {
  const { encodings, codecs } = transceiver.sender.getParameters();
  return [
    transceiver.mid,
    transceiver.currentDirection,
    encodings.map((encoding) => encoding.rid),
    codecs.map((codec) => codec.mimeType),
  ];
})"""


@pytest.fixture
async def page(network: None) -> AsyncIterator[Page]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS)
        page = await browser.new_page()
        await page.evaluate(OPEN)
        yield page
        await browser.close()


async def publish(
    page: Page, ours: Negotiation, wishes: dict[str, SectionWishes], *, restart: bool = False
) -> tuple[Answer, list[Any]]:
    offered = ours.read_offer(await page.evaluate(OFFER, {"iceRestart": restart}))
    answer = ours.answer(offered, wishes, RESTARTED if offered.ice_restarted else None)
    await page.evaluate(TAKE_ANSWER, answer.sdp)
    return answer, await page.evaluate(STATE)


async def subscribe(page: Page, ours: Negotiation, *, restart: bool = False) -> Accepted:
    offer = ours.make_offer(RESTARTED if restart else None)
    accepted = ours.handle_answer(await page.evaluate(TAKE_OFFER, offer.sdp), offer.id)
    assert accepted is not None
    return accepted


async def test_chromium_takes_our_answers(page: Page) -> None:
    ours = negotiation()
    await page.evaluate("() => connection.createDataChannel('_reliable')")
    answer, _ = await publish(page, ours, {})
    assert answer.application

    microphone = await page.evaluate(PUBLISH, ["audio", []])
    camera = await page.evaluate(PUBLISH, ["video", ["q", "h", "f"]])
    answer, state = await publish(page, ours, {})
    audio, video = answer.sections
    assert (audio.cid, video.cid) == (microphone, camera)
    assert state[0][1:] == ["sendonly", [None], ["audio/red", "audio/opus"]]
    assert state[1][1:3] == ["sendonly", ["q", "h", "f"]]
    assert state[1][3][0] == "video/VP8"

    for mime in ("video/H264", "video/VP9", "video/AV1"):
        answer, state = await publish(page, ours, {video.mid: SectionWishes(codec=mime)})
        assert state[1][3][0] == mime

    await page.evaluate("() => { connection.getTransceivers()[1].direction = 'inactive' }")
    answer, state = await publish(page, ours, {})
    assert answer.ended == (video.mid,)
    assert state[1][1] == "inactive"
    await page.evaluate("() => { connection.getTransceivers()[1].direction = 'sendonly' }")
    answer, state = await publish(page, ours, {})
    assert answer.sections[1].layers == ("q", "h", "f")
    assert state[1][2] == ["q", "h", "f"]

    await page.evaluate("() => connection.getTransceivers()[1].stop()")
    answer, _ = await publish(page, ours, {})
    assert answer.ended == (video.mid,)
    await page.evaluate(PUBLISH, ["video", []])
    answer, state = await publish(page, ours, {}, restart=True)
    assert answer.ice_restarted
    assert [section.active for section in answer.sections] == [True, True]
    assert answer.sections[1].mid != video.mid
    assert state[1][1] == "sendonly"


async def test_chromium_takes_our_offers(page: Page) -> None:
    ours = negotiation()
    assert (await subscribe(page, ours)).application

    for number in range(25):
        ours.attach(track(number, OPUS, RED))
        ours.attach(track(number, (VP8, H264, AV1, VP9)[number % 4]))
    accepted = await subscribe(page, ours)
    assert all(section.accepted for section in accepted.sections)
    assert [codec.mime for codec in accepted.sections[0].codecs] == ["audio/red", "audio/opus"]
    assert len(accepted.sections[1].extensions) == 4
    arrived = await page.evaluate("() => arrived.splice(0)")
    assert len(arrived) == 50
    assert ["2", "PA_0000|TR_V0000"] in arrived

    for number in range(10):
        ours.detach(f"TR_V{number:04}")
    assert len((await subscribe(page, ours)).sections) == 40
    for number in range(30, 40):
        ours.attach(track(number, VP8))
    assert all(section.accepted for section in (await subscribe(page, ours)).sections)
    assert sorted(stream for _, stream in await page.evaluate("() => arrived.splice(0)")) == [
        f"PA_{number:04}|TR_V{number:04}" for number in range(30, 40)
    ]
    assert len(await page.evaluate(STATE)) == 50

    ours.attach(track(50, H265))
    accepted = await subscribe(page, ours, restart=True)
    assert accepted.ice_restarted
    assert [section.track_sid for section in accepted.sections if not section.accepted] == ["TR_V0050"]
    ours.detach("TR_V0050")
    await subscribe(page, ours)
    ours.attach(track(51, VP8))
    accepted = await subscribe(page, ours)
    assert all(section.accepted for section in accepted.sections)
    assert await page.evaluate("() => connection.signalingState") == "stable"
