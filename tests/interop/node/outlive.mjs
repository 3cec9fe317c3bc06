// Two clients of LiveKit's Node SDK stop sending what nobody takes, resume twice, and outlive the server, which
// somebody else starts again once both publish. What became of it goes to stdout as JSON.
//   node outlive.mjs URL HTTP KEY SECRET ROOM single|two

import { RoomEvent, SimulateScenarioKind, TrackPublishOptions, TrackSource, dispose } from '@livekit/rtc-node';
import { doorOf, newCamera, pause, until, watchAll } from './people.mjs';

const [url, , key, secret, room, mode] = process.argv.slice(2);
const join = doorOf(url, key, secret, mode === 'single');
const publish = (client, { track }) => client.localParticipant.publishTrack(track, new TrackPublishOptions({ source: TrackSource.SOURCE_CAMERA }));
const found = {};

const [alice, bob] = [await join('alice', room, { dynacast: true }), await join('bob', room)];
const told = { alice: [], bob: [] };
for (const [name, client] of Object.entries({ alice, bob })) {
  client.on(RoomEvent.Reconnecting, () => told[name].push('reconnecting'));
  client.on(RoomEvent.Reconnected, () => told[name].push('reconnected'));
}
const pictures = watchAll(bob);
const frames = (sid) => pictures.get(sid)?.frames ?? 0;
const camera = newCamera();
const { sid } = await publish(alice, camera);
await until(() => frames(sid) > 5, 'Bob sees Alice');

/** Pictures that Alice's client has encoded so far, of all layers. */
async function encoded() {
  const { publisherStats } = await alice.getRtcStats();
  return publisherStats.reduce((sum, { stats }) => sum + (stats.case === 'outboundRtp' ? (stats.value.outbound.framesEncoded ?? 0) : 0), 0);
}

/** Waits until she encodes, or until she does not. */
async function encodes(wanted) {
  for (const end = Date.now() + 60_000; ; ) {
    const before = await encoded();
    await pause(1000);
    if (wanted === (await encoded()) > before) return true;
    if (Date.now() > end) throw new Error(`encodes: ${!wanted}`);
  }
}

const publication = bob.remoteParticipants.get('alice').trackPublications.get(sid);
publication.setSubscribed(false);
found.rests = await encodes(false);
publication.setSubscribed(true);
found.goesOn = await encodes(true);

// Two resumes, one right after the other.
const before = alice.localParticipant.sid;
for (const times of [1, 2]) {
  await alice.simulateScenario(SimulateScenarioKind.SIMULATE_SIGNAL_RECONNECT);
  await until(() => told.alice.filter((word) => word === 'reconnected').length === times, `Alice resumes ${times} times`);
}
const seen = frames(sid);
await until(() => frames(sid) > seen + 5, 'Bob goes on to see Alice');
found.resumed = [alice.localParticipant.sid === before, told.alice.length, told.bob.length];

// The server is gone, and comes again.
const republished = new Promise((done) => alice.once(RoomEvent.LocalTrackRepublished, ({ sid: newer }) => done(newer)));
const other = newCamera();
await publish(bob, other);
const newer = await republished;
await until(() => frames(newer) > 5, 'Bob sees Alice again');
found.back = [told.alice.at(-1), told.bob.at(-1)];

await Promise.all([camera.stop(), other.stop()]);
for (const client of [alice, bob]) await client.disconnect();
await dispose();
console.log(JSON.stringify(found));
process.exit(0);
