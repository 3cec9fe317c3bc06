// Two clients of LiveKit's Node SDK meet: what they saw and heard of each other goes to stdout as JSON.
//   node meet.mjs URL TOKEN-OF-ALICE TOKEN-OF-BOB

import { AudioStream, Room, RoomEvent, TrackKind, TrackPublishOptions, TrackSource, dispose } from '@livekit/rtc-node';
import { RATE, newCamera, newMicrophone, until, watch } from './people.mjs';

const [url, aliceToken, bobToken] = process.argv.slice(2);
const seen = { frames: 0, width: 0, loudest: 0, data: [], text: '', answer: '', refused: 0, left: '' };
const alice = new Room();
const bob = new Room();

async function listen(track) {
  for await (const frame of new AudioStream(track, RATE, 1)) {
    for (const sample of frame.data) seen.loudest = Math.max(seen.loudest, sample);
  }
}

bob.on(RoomEvent.TrackSubscribed, (track) => void (track.kind === TrackKind.KIND_VIDEO ? watch(track, seen) : listen(track)));
bob.on(RoomEvent.DataReceived, (payload, participant) => seen.data.push([participant.identity, payload.length]));
bob.on(RoomEvent.ParticipantDisconnected, (participant) => (seen.left = participant.identity));

await bob.connect(url, bobToken, { autoSubscribe: true, dynacast: true });
await alice.connect(url, aliceToken, { autoSubscribe: true, dynacast: true });
bob.registerTextStreamHandler('chat', async (reader) => (seen.text = await reader.readAll()));
bob.localParticipant.registerRpcMethod('greet', async ({ callerIdentity }) => `hello ${callerIdentity}`);
await until(() => bob.remoteParticipants.has('alice') && alice.remoteParticipants.has('bob'), 'they see each other');

const camera = newCamera();
const microphone = newMicrophone();
await alice.localParticipant.publishTrack(camera.track, new TrackPublishOptions({ source: TrackSource.SOURCE_CAMERA }));
await alice.localParticipant.publishTrack(microphone.track, new TrackPublishOptions({ source: TrackSource.SOURCE_MICROPHONE }));

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
await Promise.all([camera.stop(), microphone.stop()]);
await alice.disconnect();
await until(() => seen.left === 'alice', 'the leave is seen');
await bob.disconnect();
await dispose();
console.log(JSON.stringify({ ...seen, text: seen.text.length }));
process.exit(0);
