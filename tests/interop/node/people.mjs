// What the scripts here share: waiting, coming in, a camera, a microphone, and what a client sees of another.

import { AudioFrame, AudioSource, AudioStream, LocalAudioTrack, LocalVideoTrack, Room, RoomEvent, TrackKind, VideoBufferType, VideoFrame, VideoSource, VideoStream } from '@livekit/rtc-node';
import { AccessToken } from 'livekit-server-sdk';

const DEADLINE = 60_000; // milliseconds
const FRAME = 50; // milliseconds
const BLACK = 8; // pixels: the size of the black pictures that the server sends of a track that has ended
export const RATE = 48_000;

export const pause = (ms) => new Promise((done) => setTimeout(done, ms));

export async function until(condition, what) {
  for (const end = Date.now() + DEADLINE; !condition(); await pause(20)) {
    if (Date.now() > end) throw new Error(`not within ${DEADLINE} ms: ${what}`);
  }
}

const HANG = 20_000; // milliseconds

/**
 * Plays a story, which returns what then comes true, again where its client hangs; says how often that was.
 *
 * At times a client of rtc-node 1.1 that publishes just after it has joined anew offers nothing ever again, and heeds
 * neither `media_sections_requirement` nor `leave`. Its source looks as if it waited for a lock that it holds.
 */
export async function despiteHanging(story, what) {
  for (let hung = 0; hung < 3; hung += 1) {
    const condition = await story();
    for (const end = Date.now() + HANG; Date.now() < end; await pause(20)) if (condition()) return hung;
  }
  throw new Error(`not in three times ${HANG} ms: ${what}`);
}

/** Who may come in: by their name and room, with what their token grants besides, and with options of the client. */
export const doorOf = (url, key, secret, single) => async (identity, room, { grant, ...options } = {}) => {
  const token = new AccessToken(key, secret, { identity });
  token.addGrant({ roomJoin: true, room, ...grant });
  const client = new Room();
  client.setMaxListeners(100); // every stream that is read hears of new tokens: Node takes more than ten for a leak
  await client.connect(url, await token.toJwt(), { autoSubscribe: true, dynacast: false, singlePeerConnection: single, ...options });
  return client;
};

/** A camera that films until `stop`: its track, and a stop that waits for the end. */
export function newCamera(width = 640, height = 360) {
  const source = new VideoSource(width, height);
  let running = true;
  const filming = (async () => {
    for (let number = 0; running; number += 1) {
      const picture = new Uint8Array((width * height * 3) / 2).fill((number * 8) % 256);
      source.captureFrame(new VideoFrame(picture, width, height, VideoBufferType.I420));
      await pause(FRAME);
    }
  })();
  const track = LocalVideoTrack.createVideoTrack('camera', source);
  return { track, stop: () => ((running = false), filming) };
}

/** A microphone that hums at 440 Hz until `stop`. */
export function newMicrophone() {
  const source = new AudioSource(RATE, 1);
  let running = true;
  const humming = (async () => {
    for (let position = 0; running; position += RATE / 100) {
      const wave = Int16Array.from({ length: RATE / 100 }, (_, at) => 9000 * Math.sin(((position + at) / RATE) * 2 * Math.PI * 440));
      await source.captureFrame(new AudioFrame(wave, RATE, 1, wave.length));
    }
  })();
  const track = LocalAudioTrack.createAudioTrack('microphone', source);
  return { track, stop: () => ((running = false), humming) };
}

/** Counts the pictures of a track, as `frames`; `width` is that of the last one. */
export function watch(track, seen = { frames: 0, width: 0 }) {
  void (async () => {
    for await (const { frame } of new VideoStream(track)) {
      if (frame.width <= BLACK) continue;
      seen.frames += 1;
      seen.width = frame.width;
    }
  })();
  return seen;
}

/** The pictures of whatever video a client gets, by the sid of its track. */
export function watchAll(client) {
  const bySid = new Map();
  client.on(RoomEvent.TrackSubscribed, (track, { sid }) => track.kind === TrackKind.KIND_VIDEO && bySid.set(sid, watch(track)));
  return bySid;
}

/** The loudest sample of whatever sound a client gets, by the sid of its track. */
export function listenAll(client) {
  const bySid = new Map();
  client.on(RoomEvent.TrackSubscribed, async (track, { sid }) => {
    if (track.kind !== TrackKind.KIND_AUDIO) return;
    bySid.set(sid, 0);
    for await (const { data } of new AudioStream(track, RATE, 1)) bySid.set(sid, data.reduce((most, sample) => Math.max(most, sample), bySid.get(sid)));
  });
  return bySid;
}
