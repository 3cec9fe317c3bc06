/** The test sound of the speaker: three soft tones, made here, so that no file is loaded. */

import { sharedContext } from "./level";

const TONES = [523.25, 659.25, 783.99];
const TONE_SECONDS = 0.5;
const PEAK = 0.25;

/** Plays on the chosen speaker ("" is the system's choice); resolves when it is over. */
export async function playChime(speaker: string): Promise<void> {
  const context = sharedContext();
  await context.resume();
  const output = context.createMediaStreamDestination();
  const start = context.currentTime + 0.05;
  TONES.forEach((frequency, index) => {
    const tone = new OscillatorNode(context, { frequency });
    const gain = new GainNode(context, { gain: 0 });
    const at = start + index * TONE_SECONDS * 0.6;
    gain.gain.setValueAtTime(0, at);
    gain.gain.linearRampToValueAtTime(PEAK, at + 0.03);
    gain.gain.exponentialRampToValueAtTime(0.001, at + TONE_SECONDS * 1.5);
    tone.connect(gain).connect(output);
    tone.start(at);
    tone.stop(at + TONE_SECONDS * 1.5);
  });
  const element = new Audio();
  element.srcObject = output.stream;
  if (speaker !== "" && "setSinkId" in element) await element.setSinkId(speaker).catch(() => undefined);
  await element.play();
  await new Promise((resolve) => setTimeout(resolve, 2000));
  element.srcObject = null;
}
