import { expect, test } from "vitest";
import { FRAME_HOLD, nextSpeakersTime, PROMOTION, reduceSpeakers, SILENCE, type Speakers } from "../../src/state/speakers";

const ME = "me";

function heard(speakers: Speakers, now: number, ...identities: string[]): Speakers {
  return reduceSpeakers(speakers, { type: "speakers-heard", identities }, now, ME);
}

function passed(speakers: Speakers, now: number): Speakers {
  return reduceSpeakers(speakers, { type: "speakers-passed" }, now, ME);
}

test("the frame comes at once and outlasts a breath", () => {
  const speaking = heard(SILENCE, 0, "a");
  expect(speaking.speech.has("a")).toBe(true);
  const paused = heard(speaking, 500);
  expect(paused.speech.has("a")).toBe(true);
  expect(nextSpeakersTime(paused, ME)).toBe(500 + FRAME_HOLD);
  expect(passed(paused, 500 + FRAME_HOLD - 1).speech.has("a")).toBe(true);
  expect(passed(paused, 500 + FRAME_HOLD).speech.has("a")).toBe(false);
});

test("who goes on after a breath goes on with the same speech", () => {
  const again = heard(heard(heard(SILENCE, 0, "a"), 400), 600, "a");
  expect(again.speech.get("a")).toEqual({ since: 0, last: 600 });
});

test("a second of speech makes the active speaker, without another report", () => {
  const speaking = heard(SILENCE, 0, "a");
  expect(speaking.active).toBeNull();
  expect(nextSpeakersTime(speaking, ME)).toBe(PROMOTION);
  expect(passed(speaking, PROMOTION).active).toBe("a");
});

test("the active speaker stays while speaking, and while nobody else does", () => {
  const a = passed(heard(SILENCE, 0, "a"), PROMOTION);
  expect(passed(heard(a, 1100, "b", "a"), 3000).active).toBe("a");
  expect(passed(heard(a, 1100), 9000).active).toBe("a");
  expect(passed(heard(a, 1100, "b"), 2100).active).toBe("b");
});

test("the own voice frames the own tile and promotes nobody", () => {
  const speaking = heard(SILENCE, 0, ME);
  expect(speaking.speech.has(ME)).toBe(true);
  expect(passed(speaking, 5000).active).toBeNull();
  expect(nextSpeakersTime(speaking, ME)).toBeNull();
});

test("who leaves is neither framed nor active", () => {
  const gone = reduceSpeakers(passed(heard(SILENCE, 0, "a"), PROMOTION), { type: "person-left", identity: "a" }, 1200, ME);
  expect(gone).toEqual({ speech: new Map(), loud: [], active: null });
  expect(nextSpeakersTime(gone, ME)).toBeNull();
});
