// Guests of a page by name: each is one Room of LiveKit's client, unchanged. Tests reach it as `guests[name].room`.
const { Room, RoomEvent, Track } = LivekitClient;
window.guests = {};

// What an event says, short enough to compare: identities, sources, words and numbers.
function said(value) {
  if (Array.isArray(value)) return value.map(said);
  if (value === null || ['string', 'number', 'boolean'].includes(typeof value)) return value;
  return value?.identity ?? value?.source ?? '';
}

const QUIET = new Set([
  RoomEvent.ConnectionQualityChanged,
  RoomEvent.DCBufferStatusChanged,
  RoomEvent.MediaDevicesChanged,
  RoomEvent.TrackSubscriptionStatusChanged,
]);

function guest(name, options, key) {
  const made = { events: [], elements: {}, received: [], room: undefined };
  if (key !== undefined) {
    made.keys = new LivekitClient.ExternalE2EEKeyProvider();
    made.worker = new Worker('/sdk/livekit-client.e2ee.worker.js');
    options = { ...options, encryption: { keyProvider: made.keys, worker: made.worker } };
  }
  const room = (made.room = new Room(options));
  for (const event of Object.values(RoomEvent)) {
    if (!QUIET.has(event)) room.on(event, (...values) => made.events.push([event, ...values.map(said)]));
  }
  room.on(RoomEvent.TrackSubscribed, (track) => document.body.append(track.attach()));
  room.on(RoomEvent.TrackUnsubscribed, (track) => track.detach().forEach((element) => element.remove()));
  guests[name] = made;
  return made;
}

// After a full reconnect the client says that it is there, and waits on for two seconds whether its connection is steady.
// What happens in them it knows of, but it keeps the events back for ever: whose track comes then is not told of.
function attachAll(room) {
  for (const participant of room.remoteParticipants.values()) {
    for (const { track } of participant.trackPublications.values()) {
      if (track?.attachedElements.length === 0) document.body.append(track.attach());
    }
  }
}

window.join = async (name, url, token, { key, connect, ...options }) => {
  const made = guest(name, options, key);
  if (key !== undefined) {
    await made.keys.setKey(key);
    await made.room.setE2EEEnabled(true);
  }
  await made.room.connect(url, token, connect);
  made.room.engine.on('restarted', () => attachAll(made.room));
};

window.leave = async () => {
  await Promise.all(Object.values(guests).map(({ room }) => room.disconnect()));
  for (const { worker } of Object.values(guests)) worker?.terminate();
};

const publicationOf = (participant, source) => participant?.getTrackPublication(source);

window.publication = (name, from, source) =>
  publicationOf(guests[name].room.remoteParticipants.get(from), source);

function codecOf(report, entry) {
  return report.get(entry.codecId)?.mimeType?.toLowerCase();
}

// What arrives of a track of somebody else (W3C webrtc-stats); null before it does.
window.arrives = async (name, from, source) => {
  const report = await publication(name, from, source)?.track?.getRTCStatsReport();
  for (const entry of report?.values() ?? []) {
    if (entry.type !== 'inbound-rtp') continue;
    return {
      codec: codecOf(report, entry),
      bytes: entry.bytesReceived,
      width: entry.frameWidth ?? 0,
      height: entry.frameHeight ?? 0,
      frames: entry.framesDecoded ?? 0,
      energy: entry.totalAudioEnergy ?? 0,
    };
  }
  return null;
};

// What carries a track of somebody else: "udp" or "tcp"; null before it is known.
window.protocol = async (name, from, source) => {
  const report = await publication(name, from, source)?.track?.getRTCStatsReport();
  const entries = [...(report?.values() ?? [])];
  const chosen = entries.find((entry) => entry.type === 'transport')?.selectedCandidatePairId;
  // Firefox has no entry for the transport, and marks the pair.
  const pair = chosen ? report.get(chosen) : entries.find((entry) => entry.type === 'candidate-pair' && entry.selected);
  return report?.get(pair?.remoteCandidateId)?.protocol ?? null;
};

// What leaves of the guest's own track: one entry for each encoding, the lowest first.
window.leaves = async (name, source) => {
  const report = await publicationOf(guests[name].room.localParticipant, source)?.track?.getRTCStatsReport();
  const found = [...(report?.values() ?? [])].filter((entry) => entry.type === 'outbound-rtp');
  return found
    .map((entry) => ({
      rid: entry.rid,
      codec: codecOf(report, entry),
      bytes: entry.bytesSent,
      height: entry.frameHeight ?? 0,
      frames: entry.framesEncoded ?? 0,
    }))
    .sort((one, other) => one.height - other.height);
};

// How an element shows a track: a small grey picture, for the eye of a test.
window.picture = (name, from, source) => {
  const [video] = publication(name, from, source)?.track?.attachedElements ?? [];
  if (!video) return [];
  const canvas = Object.assign(document.createElement('canvas'), { width: 32, height: 18 });
  const pen = canvas.getContext('2d');
  pen.drawImage(video, 0, 0, 32, 18);
  return Array.from(pen.getImageData(0, 0, 32, 18).data).filter((_, place) => place % 4 === 0);
};
