import { expect, test } from "vitest";
import { DEFAULTS, LONGEST_NAME, parsePreferences, type Preferences } from "../../src/state/preferences";

test("reads what was written", () => {
  const written: Preferences = {
    name: "Анна",
    wanted: { microphone: false, camera: true },
    chosen: { microphone: "m", camera: "c", speaker: "s" },
    theme: "dark",
    mirror: false,
    shortcuts: false,
  };
  expect(parsePreferences(JSON.stringify(written))).toEqual(written);
});

test.each([null, "", "nonsense", "[]", "7", '"text"', "null", '{"name":7,"wanted":"no","chosen":[1],"theme":"pink","mirror":"yes"}'])(
  "falls back to the defaults for %j",
  (text) => {
    expect(parsePreferences(text)).toEqual(DEFAULTS);
  },
);

test("one unreadable part does not spoil the others", () => {
  expect(parsePreferences('{"name":"Анна","wanted":{"camera":false,"microphone":7}}')).toMatchObject({
    name: "Анна",
    wanted: { microphone: true, camera: false },
  });
});

test("cuts a name that the server would refuse", () => {
  expect(parsePreferences(JSON.stringify({ name: "x".repeat(500) })).name).toHaveLength(LONGEST_NAME);
});
