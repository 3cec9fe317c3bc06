/** Who speaks now: frames that come at once and don't flicker, and one active speaker that doesn't jump. */

/** A frame stays this long after the last sign of speech: longer than a breath between words. */
export const FRAME_HOLD = 700;
/** Someone has to speak this long before becoming the active speaker. */
export const PROMOTION = 1000;

export interface Speakers {
  /** Speaking or just silent: identity to the times (ms) of the first and the last sign of this speech. */
  readonly speech: ReadonlyMap<string, { readonly since: number; readonly last: number }>;
  /** Speaking by the latest report, loudest first. */
  readonly loud: readonly string[];
  readonly active: string | null;
}

export type SpeakersEvent =
  | { readonly type: "speakers-heard"; readonly identities: readonly string[] }
  | { readonly type: "speakers-passed" }
  | { readonly type: "person-left"; readonly identity: string };

export const SILENCE: Speakers = { speech: new Map(), loud: [], active: null };

/** Own voice frames the own tile, and never makes it the active speaker. */
export function reduceSpeakers(speakers: Speakers, event: SpeakersEvent, now: number, self: string | null): Speakers {
  const loud =
    event.type === "speakers-heard"
      ? event.identities
      : event.type === "person-left"
        ? speakers.loud.filter((identity) => identity !== event.identity)
        : speakers.loud;
  const speech = new Map(speakers.speech);
  if (event.type === "person-left") speech.delete(event.identity);
  for (const identity of new Set([...speakers.loud, ...loud])) {
    if (event.type === "person-left" && identity === event.identity) continue;
    speech.set(identity, { since: speech.get(identity)?.since ?? now, last: now });
  }
  for (const [identity, { last }] of speech) {
    if (!loud.includes(identity) && now - last >= FRAME_HOLD) speech.delete(identity);
  }
  const gone = event.type === "person-left" && speakers.active === event.identity;
  const active = nextActive(gone ? null : speakers.active, loud, speech, now, self);
  return { speech, loud, active };
}

/** When a frame goes out or somebody becomes the active speaker if nothing else happens; null if never. */
export function nextSpeakersTime(speakers: Speakers, self: string | null): number | null {
  const times: number[] = [];
  for (const [identity, { since, last }] of speakers.speech) {
    if (!speakers.loud.includes(identity)) times.push(last + FRAME_HOLD);
    else if (identity !== speakers.active && identity !== self) times.push(since + PROMOTION);
  }
  return times.length === 0 ? null : Math.min(...times);
}

function nextActive(
  active: string | null,
  loud: readonly string[],
  speech: Speakers["speech"],
  now: number,
  self: string | null,
): string | null {
  const ripe = loud.filter((identity) => identity !== self && now - (speech.get(identity)?.since ?? now) >= PROMOTION);
  const first = ripe[0];
  if (first === undefined) return active;
  return active !== null && loud.includes(active) ? active : first;
}
