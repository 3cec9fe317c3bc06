// Two clients of LiveKit's Node SDK meet: what they saw and heard of each other goes to stdout as JSON.
//   node meet.mjs URL TOKEN-OF-ALICE TOKEN-OF-BOB

import {
  AudioFrame,
  AudioSource,
  AudioStream,
  LocalAudioTrack,
  LocalVideoTrack,
  Room,
  RoomEvent,
  TrackKind,
  TrackPublishOptions,
  TrackSource,
  VideoBufferType,
  VideoFrame,
  VideoSource,
  VideoStream,
  dispose,
} from '@livekit/rtc-node';

const [url, aliceToken, bobToken] = process.argv.slice(2);
const DEADLINE = 60_000;
const RATE = 48_000;
const [WIDTH, HEIGHT] = [640, 360];

const pause = (ms) => new Promise((done) => setTimeout(done, ms));

async function until(condition, what) {
  for (const end = Date.now() + DEADLINE; !condition(); await pause(20)) {
    if (Date.now() > end) throw new Error(`not within ${DEADLINE} ms: ${what}`);
  }
}

const seen = { frames: 0, width: 0, loudest: 0, data: [], text: '', answer: '', refused: 0, left: '' };
const alice = new Room();
const bob = new Room();

async function watch(track) {
  for await (const { frame } of new VideoStream(track)) {
    seen.frames += 1;
    if (frame.width > 8) seen.width = frame.width; // the last ones are the black that the server sends of a track that ended
  }
}

async function listen(track) {
  for await (const frame of new AudioStream(track, RATE, 1)) {
    for (const sample of frame.data) seen.loudest = Math.max(seen.loudest, sample);
  }
}

bob.on(RoomEvent.TrackSubscribed, (track) => void (track.kind === TrackKind.KIND_VIDEO ? watch(track) : listen(track)));
bob.on(RoomEvent.DataReceived, (payload, participant) => seen.data.push([participant.identity, payload.length]));
bob.on(RoomEvent.ParticipantDisconnected, (participant) => (seen.left = participant.identity));

await bob.connect(url, bobToken, { autoSubscribe: true, dynacast: true });
await alice.connect(url, aliceToken, { autoSubscribe: true, dynacast: true });
bob.registerTextStreamHandler('chat', async (reader) => (seen.text = await reader.readAll()));
bob.localParticipant.registerRpcMethod('greet', async ({ callerIdentity }) => `hello ${callerIdentity}`);
await until(() => bob.remoteParticipants.has('alice') && alice.remoteParticipants.has('bob'), 'they see each other');

const camera = new VideoSource(WIDTH, HEIGHT);
const microphone = new AudioSource(RATE, 1);
const video = LocalVideoTrack.createVideoTrack('camera', camera);
const audio = LocalAudioTrack.createAudioTrack('microphone', microphone);
await alice.localParticipant.publishTrack(video, new TrackPublishOptions({ source: TrackSource.SOURCE_CAMERA }));
await alice.localParticipant.publishTrack(audio, new TrackPublishOptions({ source: TrackSource.SOURCE_MICROPHONE }));

let publishing = true;
const pictures = (async () => {
  for (let number = 0; publishing; number += 1) {
    const picture = new Uint8Array((WIDTH * HEIGHT * 3) / 2).fill((number * 8) % 256);
    camera.captureFrame(new VideoFrame(picture, WIDTH, HEIGHT, VideoBufferType.I420));
    await pause(50);
  }
})();
const hum = (async () => {
  for (let position = 0; publishing; position += RATE / 100) {
    const wave = Int16Array.from({ length: RATE / 100 }, (_, at) => 9000 * Math.sin(((position + at) / RATE) * 2 * Math.PI * 440));
    await microphone.captureFrame(new AudioFrame(wave, RATE, 1, wave.length));
  }
})();

await until(() => seen.frames > 30, 'pictures arrive');
await until(() => seen.loudest > 3000, 'sound arrives');
await alice.localParticipant.publishData(new Uint8Array(1000), { reliable: true, topic: 'any' });
await until(() => seen.data.length === 1, 'data arrives');
await alice.localParticipant.sendText('Вече '.repeat(10_000), { topic: 'chat' });
await until(() => seen.text.length === 50_000, 'text arrives');
seen.answer = await alice.localParticipant.performRpc({ destinationIdentity: 'bob', method: 'greet', payload: '' });
await alice.localParticipant
  .performRpc({ destinationIdentity: 'bob', method: 'unknown', payload: '' })
  .catch((error) => (seen.refused = error.code));
publishing = false;
await Promise.all([pictures, hum]);
await alice.disconnect();
await until(() => seen.left === 'alice', 'the leave is seen');
await bob.disconnect();
await dispose();
console.log(JSON.stringify({ ...seen, text: seen.text.length }));
process.exit(0);
