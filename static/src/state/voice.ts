/** Notices that somebody speaks although the microphone is off: syllables with pauses between them, not a door. */

export interface Voice {
  /** How much voice there was lately, ms. */
  readonly heard: number;
  /** When the level was last measured, ms. */
  readonly at: number;
}

/** A level from 0 to 1 above which it is a voice at a desk, about -38 dB of full scale. */
const VOICE = 0.45;
/** So much voice is speech, ms: a slammed door is shorter. */
const SPEECH = 500;
/** A pause takes away half as fast as a voice adds: people breathe and words have gaps. */
const FADE = 0.5;
/** A page that slept in the background must not count its sleep, ms. */
const LONGEST_STEP = 200;

export const NO_VOICE: Voice = { heard: 0, at: 0 };

export function reduceVoice(voice: Voice, level: number, now: number): Voice {
  const step = Math.min(Math.max(0, now - voice.at), LONGEST_STEP);
  const heard = level >= VOICE ? Math.min(voice.heard + step, 2 * SPEECH) : Math.max(0, voice.heard - step * FADE);
  return { heard, at: now };
}

export function isSpeech(voice: Voice): boolean {
  return voice.heard >= SPEECH;
}
