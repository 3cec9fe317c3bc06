import { expect, test } from "vitest";
import { NEW_MEETING, reduceMeeting, type Meeting, type MeetingEvent } from "../../src/state/meeting";
import { ALLOWANCES, mayDo, NO_RULES, readAsk, readRules } from "../../src/state/rules";
import { person } from "../person";

function after(...events: readonly MeetingEvent[]): Meeting {
  return events.reduce((meeting, event) => reduceMeeting(meeting, event, 0), NEW_MEETING);
}

const INSIDE: readonly MeetingEvent[] = [
  { type: "join-started" },
  { type: "people-replaced", people: [person("me", { self: true }), person("b")] },
  { type: "connected" },
];

test("rules stand in the room's metadata, beside what an application keeps there", () => {
  const metadata = { agenda: 1, veche: { locked: true, muteOnEntry: true, allow: ["chat", "unmute"], spotlight: ["b"] } };
  expect(readRules(JSON.stringify(metadata))).toEqual({
    locked: true,
    muteOnEntry: true,
    allow: new Set(["unmute", "chat"]),
    spotlight: ["b"],
  });
});

test.each([undefined, "", "{", "[]", "null", '"text"', "7", '{"other": 1}'])("a room whose metadata is %s has no rules", (metadata) => {
  expect(readRules(metadata)).toEqual(NO_RULES);
});

test("what no rules can be is left out", () => {
  const odd = { veche: { locked: "yes", allow: ["chat", "fly", 7], spotlight: ["b", 7, null] } };
  expect(readRules(JSON.stringify(odd))).toEqual({ ...NO_RULES, allow: new Set(["chat"]), spotlight: ["b"] });
  expect(readRules('{"veche": {"allow": "chat", "spotlight": {}}}')).toEqual(NO_RULES);
});

test("rules bind attendees alone", () => {
  const closed = { ...NO_RULES, allow: new Set<never>() };
  for (const name of ALLOWANCES) {
    expect(mayDo(closed, person("a"), name)).toBe(false);
    expect(mayDo(closed, null, name)).toBe(false);
    for (const role of ["host", "cohost"] as const) expect(mayDo(closed, person("a", { role }), name)).toBe(true);
    expect(mayDo(NO_RULES, person("a"), name)).toBe(true);
  }
});

test("a host's wish waits for an answer, or until it is done anyway", () => {
  expect([readAsk('{"ask":"unmute"}'), readAsk('{"ask":"video"}'), readAsk('{"ask":"dance"}'), readAsk("{")]).toEqual(["unmute", "video", null, null]);
  const asked = after(...INSIDE, { type: "person-changed", person: person("me", { self: true, microphone: "muted" }) }, { type: "asked", ask: "unmute" });
  expect(asked.ask).toBe("unmute");
  expect(reduceMeeting(asked, { type: "ask-answered" }, 0).ask).toBeNull();
  const other = reduceMeeting(asked, { type: "person-changed", person: person("b", { microphone: "on", camera: "c" }) }, 0);
  expect(other.ask).toBe("unmute");
  const done = reduceMeeting(asked, { type: "person-changed", person: person("me", { self: true, microphone: "on" }) }, 0);
  expect(done.ask).toBeNull();
});

test("who becomes a host, or is one no longer, is told", () => {
  const given = after(...INSIDE, { type: "person-changed", person: person("me", { self: true, role: "cohost" }) });
  expect(given.notices.shown.at(-1)).toMatchObject({ kind: "role", role: "cohost" });
  const others = after(...INSIDE, { type: "person-changed", person: person("b", { role: "host" }) });
  expect(others.notices.shown).toEqual([]);
});

test("after the meeting nothing of its rules is left", () => {
  const rules = { ...NO_RULES, locked: true };
  const permitted = { microphone: false, camera: false, screen: false };
  const gone = after(...INSIDE, { type: "rules-changed", rules }, { type: "permitted", permitted }, { type: "asked", ask: "video" }, { type: "ended", reason: "left" });
  expect([gone.rules, gone.permitted, gone.ask]).toEqual([NEW_MEETING.rules, NEW_MEETING.permitted, null]);
});
