// Clients of LiveKit's Node SDK gather: ten cameras and ten microphones, who comes late, hides, chooses, may not speak
// at first, or is there twice; a file, and calls that fail. What became of it goes to stdout as JSON.
//   node gather.mjs URL HTTP KEY SECRET ROOM single|two

import { DisconnectReason, RoomEvent, RpcError, TrackKind, TrackPublishOptions, TrackSource, dispose } from '@livekit/rtc-node';
import { RoomServiceClient } from 'livekit-server-sdk';
import { despiteHanging, doorOf, listenAll, newCamera, newMicrophone, pause, until, watchAll } from './people.mjs';

const [url, http, key, secret, room, mode] = process.argv.slice(2);
const service = new RoomServiceClient(http, key, secret);
const enter = doorOf(url, key, secret, mode === 'single');
const join = (identity, options) => enter(identity, room, options);
const publish = (client, { track }, source) => client.localParticipant.publishTrack(track, new TrackPublishOptions({ source, simulcast: false }));
const publications = (client) => [...client.remoteParticipants.values()].flatMap((one) => [...one.trackPublications.values()]);
const names = (client) => [...client.remoteParticipants.keys()].sort();
const all = (found, count, enough) => found.size === count && [...found.values()].every(enough);
const found = {};
const EACH = 5; // tracks of a kind that each of two people publishes

const [alice, bob] = [await join('alice'), await join('bob')];
const sources = [];
for (const client of [alice, bob]) {
  for (let number = 0; number < EACH; number += 1) {
    const [camera, microphone] = [newCamera(160, 90), newMicrophone()];
    sources.push(camera, microphone);
    await publish(client, camera, TrackSource.SOURCE_CAMERA);
    await publish(client, microphone, TrackSource.SOURCE_MICROPHONE);
  }
}

// Who comes late gets all of it.
const late = await join('late');
const [pictures, sounds] = [watchAll(late), listenAll(late)];
await until(() => all(pictures, 2 * EACH, ({ frames }) => frames > 5), 'who is late sees ten cameras');
await until(() => all(sounds, 2 * EACH, (loudest) => loudest > 3000), 'who is late hears ten microphones');
found.late = publications(late).length;

// Who hides sees, and is not seen.
const hidden = await join('hidden', { grant: { hidden: true, canPublish: false } });
const seenInHiding = watchAll(hidden);
await until(() => all(seenInHiding, 2 * EACH, ({ frames }) => frames > 5), 'who hides sees');
found.known = [names(alice), names(hidden)];
await hidden.disconnect();

// Who subscribes by hand gets what it asks for.
const choosy = await join('choosy', { autoSubscribe: false });
const chosen = watchAll(choosy);
await until(() => publications(choosy).length === 4 * EACH, 'who chooses knows all tracks');
const wanted = publications(choosy).find((one) => one.kind === TrackKind.KIND_VIDEO);
wanted.setSubscribed(true);
await until(() => (chosen.get(wanted.sid)?.frames ?? 0) > 5, 'who chooses sees what it asked for');
const goneAway = new Promise((done) => choosy.once(RoomEvent.TrackUnsubscribed, (track, { sid }) => done(sid)));
wanted.setSubscribed(false);
found.chosen = [chosen.size, (await goneAway) === wanted.sid];
await choosy.disconnect();
await Promise.all(sources.map((source) => source.stop()));

// The right to publish is given.
let mute;
let microphone;
const heard = listenAll(alice);
found.hung = await despiteHanging(async () => {
  await microphone?.stop();
  [mute, microphone] = [await join('mute', { grant: { canPublish: false } }), newMicrophone()];
  await service.updateParticipant(room, 'mute', undefined, { canPublish: true, canSubscribe: true, canPublishData: true });
  const { sid: spoken } = await publish(mute, microphone, TrackSource.SOURCE_MICROPHONE);
  return () => heard.get(spoken) > 3000;
}, 'who was given the right is heard');
await microphone.stop();
await mute.disconnect();

// A second one of the same name takes the place of the first.
const ended = new Promise((done) => late.once(RoomEvent.Disconnected, done));
const again = await join('late');
found.replaced = DisconnectReason[await ended];
await until(() => names(alice).join() === 'bob,late', 'the others see one');
await again.disconnect();

// A file, and calls that fail.
const file = new Uint8Array(1_000_000).map((_, at) => (at * 7919) & 0xff);
const read = new Promise((done) => {
  bob.registerByteStreamHandler('files', async (reader, { identity }) => done([identity, reader.info.name, Buffer.concat(await reader.readAll())]));
});
const writer = await alice.localParticipant.streamBytes({ name: 'numbers.bin', topic: 'files', totalSize: file.length });
await writer.write(file);
await writer.close();
const [from, name, content] = await read;
found.file = [from, name, content.equals(file)];
bob.localParticipant.registerRpcMethod('refuse', async () => {
  throw new RpcError(42, 'no', 'because');
});
bob.localParticipant.registerRpcMethod('sleep', () => new Promise(() => undefined));
const call = (destinationIdentity, method) =>
  alice.localParticipant.performRpc({ destinationIdentity, method, payload: '', responseTimeout: 2000 }).catch(({ code }) => code);
found.calls = [await call('bob', 'refuse'), await call('bob', 'sleep'), await call('nobody', 'refuse')];

for (const client of [alice, bob]) await client.disconnect();
await Promise.race([dispose(), pause(5000)]); // a client that hangs does not end
console.log(JSON.stringify(found));
process.exit(0);
