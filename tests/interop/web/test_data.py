"""Data between guests with LiveKit's JavaScript client in Chromium and in Firefox: messages, streams, calls, tracks."""

from __future__ import annotations

import pytest
import pytest_asyncio

from tests.browser.tabs import Browser, Tab
from tests.interop.web.guests import Guest, Meeting, firefox_later, page_of

pytestmark = pytest.mark.asyncio(loop_scope="package")

# Keeps what arrives on a topic as [from, what], under `arrived` of the guest.
KEEP_MESSAGES = """(room) => {
  window.arrived = [];
  room.on('dataReceived', (bytes, from, kind, topic) => {
    arrived.push([from.identity, new TextDecoder().decode(bytes), topic]);
  });
}"""
SEND_MESSAGES = """async (room, count, options) => {
  for (let number = 0; number < count; number += 1) {
    await room.localParticipant.publishData(new TextEncoder().encode(`message ${number}`), options);
  }
}"""
READ_STREAMS = """(room) => {
  window.texts = [];
  window.files = [];
  room.registerTextStreamHandler('talk', async (reader, from) => {
    texts.push([from.identity, reader.info.attributes, await reader.readAll()]);
  });
  room.registerByteStreamHandler('files', async (reader, from) => {
    const parts = await reader.readAll();
    const bytes = new Uint8Array(await new Blob(parts).arrayBuffer());
    files.push([from.identity, reader.info.name, reader.info.mimeType, bytes.length, digest(bytes)]);
  });
  window.digest = (bytes) => bytes.reduce((sum, byte) => (sum * 31 + byte) >>> 0, 7);
}"""
STREAM_TEXT = """async (room, words) => {
  const writer = await room.localParticipant.streamText({ topic: 'talk', attributes: { language: 'en' } });
  for (const word of words) await writer.write(word);
  await writer.close();
}"""
SEND_FILE = """async (room, size) => {
  const bytes = Uint8Array.from({ length: size }, (_, place) => (place * 7919) & 0xff);
  const file = new File([bytes], 'numbers.bin', { type: 'application/x-numbers' });
  await room.localParticipant.sendFile(file, { topic: 'files', mimeType: file.type });
  return digest(bytes);
}"""
ANSWER = """(room) => {
  room.registerRpcMethod('double', async ({ payload, callerIdentity }) => `${callerIdentity} ${payload}${payload}`);
  room.registerRpcMethod('refuse', async () => {
    throw new LivekitClient.RpcError(42, 'no', 'because');
  });
  room.registerRpcMethod('break', async () => {
    throw new Error('broken');
  });
  room.registerRpcMethod('sleep', () => new Promise(() => undefined));
}"""
CALL = """async (room, destinationIdentity, method, payload, responseTimeout) => {
  try {
    return await room.localParticipant.performRpc({ destinationIdentity, method, payload, responseTimeout });
  } catch (problem) {
    return [problem.code, problem.message, problem.data ?? ''];
  }
}"""
PUBLISH_DATA_TRACK = """async (room) => {
  window.numbers = await room.localParticipant.publishDataTrack({ name: 'numbers' });
}"""
SUBSCRIBE_DATA_TRACKS = """(room) => {
  window.frames = [];
  room.on('dataTrackPublished', async (track) => {
    for await (const frame of track.subscribe()) frames.push([track.info.name, ...frame.payload]);
  });
}"""


@pytest_asyncio.fixture(loop_scope="package")
async def pair(page: Tab, meeting: Meeting) -> tuple[Guest, Guest]:
    """Anna and Boris, who know of each other."""
    return await meet(page, page, meeting)


async def meet(first: Tab, second: Tab, meeting: Meeting) -> tuple[Guest, Guest]:
    anna = await meeting.join(first, "anna")
    boris = await meeting.join(second, "boris")
    await anna.said("participantConnected", "boris")
    return anna, boris


async def kept(guest: Guest, name: str, count: int) -> list[object]:
    """Waits until a list in the page has `count` entries, and returns it."""

    async def complete() -> bool:
        return bool(await guest.run(f"() => {name}.length >= {count}"))

    await guest.until(complete, f"{guest.name} has {count} {name}")
    found: list[object] = await guest.run(f"() => {name}")
    return found


async def test_messages_arrive_complete_and_in_order(pair: tuple[Guest, Guest]) -> None:
    anna, boris = pair
    await boris.run(KEEP_MESSAGES)
    await anna.run(SEND_MESSAGES, 300, {"reliable": True, "topic": "talk"})
    arrived = await kept(boris, "arrived", 300)
    assert arrived == [["anna", f"message {number}", "talk"] for number in range(300)]
    await boris.run("() => { arrived.length = 0; }")
    await anna.run(SEND_MESSAGES, 1, {"reliable": True, "topic": "others", "destinationIdentities": ["nobody"]})
    await anna.run(SEND_MESSAGES, 1, {"reliable": True, "topic": "him", "destinationIdentities": ["boris"]})
    assert await kept(boris, "arrived", 1) == [["anna", "message 0", "him"]]
    await anna.run(SEND_MESSAGES, 100, {"reliable": False, "topic": "loose"})
    assert len(await kept(boris, "arrived", 50)) >= 50


async def test_streams_of_text_and_bytes_arrive_whole(pair: tuple[Guest, Guest]) -> None:
    anna, boris = pair
    await boris.run(READ_STREAMS)
    words = [f"слово {number}; " for number in range(200)]
    await anna.run(STREAM_TEXT, words)
    long = "long " * 20_000
    await anna.run("(room, text) => room.localParticipant.sendText(text, { topic: 'talk' })", long)
    texts = await kept(boris, "texts", 2)
    assert texts == [["anna", {"language": "en"}, "".join(words)], ["anna", {}, long]]
    digest = await anna.run(SEND_FILE, 1_000_000)
    files = await kept(boris, "files", 1)
    assert files == [["anna", "numbers.bin", "application/x-numbers", 1_000_000, digest]]


# The client names what a called method throws.
@pytest.mark.complains("Uncaught error returned by RPC handler for break")
async def test_calls_answer_refuse_and_time_out(pair: tuple[Guest, Guest]) -> None:
    anna, boris = pair
    await boris.run(ANSWER)
    assert await anna.run(CALL, "boris", "double", "ab") == "anna abab"
    assert await anna.run(CALL, "boris", "double", "x" * 30_000) == f"anna {'x' * 60_000}"
    assert await anna.run(CALL, "boris", "refuse", "") == [42, "no", "because"]
    assert (await anna.run(CALL, "boris", "break", ""))[0] == 1500
    assert (await anna.run(CALL, "boris", "unheard-of", ""))[0] == 1400
    assert (await anna.run(CALL, "boris", "sleep", "", 1000))[0] == 1502


@pytest.mark.long
async def test_a_call_to_nobody_ends(pair: tuple[Guest, Guest]) -> None:
    """The client waits seven seconds for an acknowledgement."""
    anna, _ = pair
    assert (await anna.run(CALL, "nobody", "double", ""))[0] == 1501


# That somebody has left and what they said last come on two ways: either may be first.
@pytest.mark.complains("Ack received for unexpected RPC request")
@firefox_later
async def test_who_leaves_answers_no_call(pair: tuple[Guest, Guest]) -> None:
    anna, boris = pair
    await boris.run(ANSWER)
    await anna.run(f"(room) => {{ window.call = ({CALL})(room, 'boris', 'sleep', '', 30000); }}")
    await boris.run("(room) => room.disconnect()")
    await anna.said("participantDisconnected", "boris")
    assert (await anna.run("() => call"))[0] == 1503


# Frames and the message that says whose they are come on two ways: either may be first.
@pytest.mark.complains("Unknown subscriber handle")
async def test_frames_of_a_data_track_arrive(pair: tuple[Guest, Guest]) -> None:
    anna, boris = pair
    await boris.run(SUBSCRIBE_DATA_TRACKS)
    await anna.run(PUBLISH_DATA_TRACK)

    async def pushed() -> bool:
        """Pushes until the subscription stands: earlier frames are for nobody."""
        await anna.run("() => numbers.tryPush({ payload: Uint8Array.of(1, 2, 3) })")
        return bool(await boris.run("() => frames.length > 20"))

    await boris.until(pushed, "frames arrive")
    assert await boris.run("() => frames[0]") == ["numbers", 1, 2, 3]
    large = "() => numbers.tryPush({ payload: Uint8Array.from({ length: 50000 }, (_, place) => place & 0xff) })"
    await anna.run(large)
    await boris.holds("() => frames.some((frame) => frame.length === 50001)", "gets a frame of many packets")
    await anna.run("async () => { await numbers.unpublish(); }")
    await boris.said("dataTrackUnpublished")


@pytest.mark.parametrize("caller", ["chromium", "firefox"])
async def test_chromium_and_firefox_call_and_write_each_other(
    chromium: Browser, firefox: Browser, address: str, meeting: Meeting, caller: str
) -> None:
    """One compresses its streams, the other does not."""
    async with page_of(chromium, address) as first, page_of(firefox, address) as second:
        tabs = (first, second) if caller == "chromium" else (second, first)
        anna, boris = await meet(*tabs, meeting)
        await boris.run(READ_STREAMS)
        await boris.run(ANSWER)
        assert await anna.run(CALL, "boris", "double", "x" * 30_000) == f"anna {'x' * 60_000}"
        long = "long " * 20_000
        await anna.run("(room, text) => room.localParticipant.sendText(text, { topic: 'talk' })", long)
        assert await kept(boris, "texts", 1) == [["anna", {}, long]]
