/** Sounds of the page: made here, so that no file is loaded. */

import { sharedContext } from "./level";

const PEAK = 0.25;

interface Tones {
  /** Hz, one after the other. */
  readonly pitches: readonly number[];
  /** Seconds from one to the next, and how long each takes to fade. */
  readonly step: number;
  readonly fade: number;
}

const CHIME: Tones = { pitches: [523.25, 659.25, 783.99], step: 0.3, fade: 0.75 };
const KNOCK: Tones = { pitches: [659.25, 880], step: 0.16, fade: 0.4 };

/** The test sound of the speaker: three soft tones. Resolves when it is over; "" is the system's speaker. */
export async function playChime(speaker: string): Promise<void> {
  await play(CHIME, speaker);
}

/** Somebody waits to be let in: two short tones. */
export async function playKnock(speaker: string): Promise<void> {
  await play(KNOCK, speaker);
}

async function play({ pitches, step, fade }: Tones, speaker: string): Promise<void> {
  const context = sharedContext();
  await context.resume();
  const output = context.createMediaStreamDestination();
  const start = context.currentTime + 0.05;
  pitches.forEach((frequency, index) => {
    const tone = new OscillatorNode(context, { frequency });
    const gain = new GainNode(context, { gain: 0 });
    const at = start + index * step;
    gain.gain.setValueAtTime(0, at);
    gain.gain.linearRampToValueAtTime(PEAK, at + 0.03);
    gain.gain.exponentialRampToValueAtTime(0.001, at + fade);
    tone.connect(gain).connect(output);
    tone.start(at);
    tone.stop(at + fade);
  });
  const element = new Audio();
  element.srcObject = output.stream;
  if (speaker !== "" && "setSinkId" in element) await element.setSinkId(speaker).catch(() => undefined);
  await element.play();
  await new Promise((resolve) => setTimeout(resolve, 1000 * (pitches.length * step + fade) + 300));
  element.srcObject = null;
}
