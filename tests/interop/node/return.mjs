// Clients of LiveKit's Node SDK lose their signalling, their session and their right to publish, in every codec, and
// encrypted. What became of it goes to stdout as JSON.
//   node return.mjs URL HTTP KEY SECRET ROOM single|two

import { RoomEvent, SimulateScenarioKind, TrackPublishOptions, TrackSource, VideoCodec, dispose } from '@livekit/rtc-node';
import { RoomServiceClient } from 'livekit-server-sdk';
import { despiteHanging, doorOf, newCamera, pause, until, watchAll } from './people.mjs';

const [url, http, key, secret, room, mode] = process.argv.slice(2);
const service = new RoomServiceClient(http, key, secret);
const found = { codecs: [], told: [], inOrder: 0, resumed: false, republished: false, hung: 0, ended: 0, blind: -1 };

const join = doorOf(url, key, secret, mode === 'single');

const cameraOptions = (codec = VideoCodec.VP8) =>
  new TrackPublishOptions({ source: TrackSource.SOURCE_CAMERA, simulcast: false, videoCodec: codec });

let alice = await join('alice', room);
const bob = await join('bob', room);
const pictures = watchAll(bob);
const frames = (sid) => pictures.get(sid)?.frames ?? 0;

// Every codec.
for (const codec of ['VP8', 'H264', 'VP9', 'AV1']) {
  const camera = newCamera();
  const { sid } = await alice.localParticipant.publishTrack(camera.track, cameraOptions(VideoCodec[codec]));
  await until(() => frames(sid) > 5, `Bob sees ${codec}`);
  found.codecs.push(bob.remoteParticipants.get('alice').trackPublications.get(sid).mimeType);
  await alice.localParticipant.unpublishTrack(sid);
  await camera.stop();
}

// A resume, while messages are sent.
let camera = newCamera();
let { sid } = await alice.localParticipant.publishTrack(camera.track, cameraOptions());
await until(() => frames(sid) > 5, 'Bob sees Alice');
alice.on(RoomEvent.Reconnecting, () => found.told.push('reconnecting'));
alice.on(RoomEvent.Reconnected, () => found.told.push('reconnected'));
const got = [];
bob.on(RoomEvent.DataReceived, (payload) => got.push(Buffer.from(payload).readUInt32BE()));
let sent = 0;
let talking = true;
const talk = (async () => {
  for (; talking; sent += 1) {
    const message = Buffer.alloc(4);
    message.writeUInt32BE(sent);
    await alice.localParticipant.publishData(message, { reliable: true });
    await pause(20);
  }
})();
const before = alice.localParticipant.sid;
await alice.simulateScenario(SimulateScenarioKind.SIMULATE_SIGNAL_RECONNECT);
await until(() => found.told.at(-1) === 'reconnected', 'Alice resumes');
await pause(500);
talking = false;
await talk;
await until(() => got.length >= sent, 'all messages arrive');
found.inOrder = got.every((number, at) => number === at) && got.length === sent ? sent : -1;
const seen = frames(sid);
await until(() => frames(sid) > seen + 5, 'Bob goes on to see Alice');
found.resumed = alice.localParticipant.sid === before;

// A session that the server ends: she joins and publishes anew.
let republished;
found.hung = await despiteHanging(async () => {
  if (republished !== undefined) {
    await camera.stop();
    [alice, camera] = [await join('alice', room), newCamera()];
    ({ sid } = await alice.localParticipant.publishTrack(camera.track, cameraOptions()));
    await until(() => frames(sid) > 5, 'Bob sees her who takes her place');
  }
  republished = '';
  alice.on(RoomEvent.LocalTrackRepublished, (publication) => (republished = publication.sid));
  await alice.simulateScenario(SimulateScenarioKind.SIMULATE_FULL_RECONNECT);
  return () => republished !== '' && frames(republished) > 5;
}, 'Bob sees Alice again');
found.republished = republished !== sid;

// The right to publish is taken.
bob.on(RoomEvent.TrackUnpublished, () => (found.ended += 1));
found.ended = 0;
await service.updateParticipant(room, 'alice', undefined, { canPublish: false, canSubscribe: true, canPublishData: true });
await until(() => found.ended === 1, 'the track ends');
await camera.stop();
await alice.disconnect();
await bob.disconnect();

// Encrypted: who has another key gets packets and sees nothing.
const encryption = (word) => ({ encryption: { keyProviderOptions: { sharedKey: new TextEncoder().encode(word) } } });
const [carol, dave, eve] = [
  await join('carol', `${room}-secret`, encryption('right')),
  await join('dave', `${room}-secret`, encryption('right')),
  await join('eve', `${room}-secret`, encryption('wrong')),
];
const [open, shut] = [watchAll(dave), watchAll(eve)];
const filmed = newCamera();
const secretTrack = await carol.localParticipant.publishTrack(filmed.track, cameraOptions());
await until(() => (open.get(secretTrack.sid)?.frames ?? 0) > 20 && shut.has(secretTrack.sid), 'Dave sees Carol');
found.blind = shut.get(secretTrack.sid).frames;
await filmed.stop();
for (const client of [carol, dave, eve]) await client.disconnect();
await Promise.race([dispose(), pause(5000)]); // a client that hangs does not end
console.log(JSON.stringify(found));
process.exit(0);
