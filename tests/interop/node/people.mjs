// What the scripts here share: waiting, a camera, a microphone, and what a client sees of another.

import { AudioFrame, AudioSource, LocalAudioTrack, LocalVideoTrack, VideoBufferType, VideoFrame, VideoSource, VideoStream } from '@livekit/rtc-node';

const DEADLINE = 60_000; // milliseconds
const [WIDTH, HEIGHT] = [640, 360];
const BLACK = 8; // pixels: the size of the black pictures that the server sends of a track that has ended
export const RATE = 48_000;

export const pause = (ms) => new Promise((done) => setTimeout(done, ms));

export async function until(condition, what) {
  for (const end = Date.now() + DEADLINE; !condition(); await pause(20)) {
    if (Date.now() > end) throw new Error(`not within ${DEADLINE} ms: ${what}`);
  }
}

/** A camera that films until `stop`: its track, and a stop that waits for the end. */
export function newCamera() {
  const source = new VideoSource(WIDTH, HEIGHT);
  let running = true;
  const filming = (async () => {
    for (let number = 0; running; number += 1) {
      const picture = new Uint8Array((WIDTH * HEIGHT * 3) / 2).fill((number * 8) % 256);
      source.captureFrame(new VideoFrame(picture, WIDTH, HEIGHT, VideoBufferType.I420));
      await pause(50);
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
