import { expect, test } from "vitest";
import { isSpeech, NO_VOICE, reduceVoice } from "../../src/state/voice";

/** Measures a level every 50 ms; each figure is one measurement. */
function hears(levels: readonly number[], step = 50): boolean {
  let voice = reduceVoice(NO_VOICE, 0, 1000);
  let speech = false;
  levels.forEach((level, index) => {
    voice = reduceVoice(voice, level, 1000 + (index + 1) * step);
    speech ||= isSpeech(voice);
  });
  return speech;
}

function times<Value>(count: number, ...values: Value[]): Value[] {
  return Array.from({ length: count }, () => values).flat();
}

test("half a second of voice is speech", () => {
  expect(hears(times(10, 0.6))).toBe(true);
});

test("syllables with gaps are speech too", () => {
  expect(hears(times(8, 0.6, 0.6, 0.6, 0.2))).toBe(true);
});

test.each([
  ["silence", times(100, 0)],
  ["a quiet room", times(100, 0.3)],
  ["a slammed door", [...times(4, 0.9), ...times(40, 0.1)]],
  ["a keyboard", times(40, 0.7, 0.1, 0.1, 0.1)],
])("%s is not", (_, levels) => {
  expect(hears(levels)).toBe(false);
});

test("a page that slept counts no sleep", () => {
  expect(hears([0.9], 60_000)).toBe(false);
});
