import { expect, test } from "vitest";
import { eventsBetween, readCommand, type Told } from "../../src/state/embedding";
import { NEW_MEETING, reduceMeeting, type MeetingEvent } from "../../src/state/meeting";
import { person } from "../person";

const ME = person("me", { self: true, role: "host", microphone: "none", camera: null });

/** What is told while these happen, one after another. */
function told(...events: MeetingEvent[]): Told[] {
  let meeting = NEW_MEETING;
  return events.flatMap((event) => {
    const before = meeting;
    meeting = reduceMeeting(before, event, 0);
    return eventsBetween(before, meeting);
  });
}

const COMES: MeetingEvent[] = [{ type: "join-started" }, { type: "people-replaced", people: [ME, person("a")] }, { type: "connected" }];
const JOINED: Told = { event: "joined", identity: "me", name: "me", role: "host", count: 2 };

test("a visit from the door to the end", () => {
  const events = told(
    ...COMES,
    { type: "person-changed", person: { ...ME, microphone: "on" } },
    { type: "person-changed", person: { ...ME, microphone: "on", camera: "camera" } },
    { type: "person-changed", person: person("b") },
    { type: "person-changed", person: person("b", { microphone: "muted" }) },
    { type: "person-changed", person: { ...ME, microphone: "muted", camera: "camera" } },
    { type: "person-left", identity: "a" },
    { type: "ended", reason: "left" },
    { type: "ended", reason: "lost" },
  );
  expect(events).toEqual([
    JOINED,
    { event: "microphone", on: true },
    { event: "camera", on: true },
    { event: "participant-joined", identity: "b", name: "b", count: 3 },
    { event: "microphone", on: false },
    { event: "participant-left", identity: "a", name: "a", count: 2 },
    { event: "left", reason: "left" },
  ]);
});

test("who comes in with an open microphone is told of it", () => {
  const events = told({ type: "join-started" }, { type: "people-replaced", people: [{ ...ME, microphone: "on" }] }, { type: "connected" });
  expect(events).toEqual([{ ...JOINED, count: 1 }, { event: "microphone", on: true }]);
});

test("a loss that is mended tells only what changed meanwhile", () => {
  const events = told(
    ...COMES,
    { type: "connection-shaken" },
    { type: "people-replaced", people: [ME, person("c")] },
    { type: "connection-restored" },
  );
  expect(events).toEqual([
    JOINED,
    { event: "participant-left", identity: "a", name: "a", count: 2 },
    { event: "participant-joined", identity: "c", name: "c", count: 2 },
  ]);
});

test("waiting is told once for each reason, and how it ends", () => {
  const events = told(
    { type: "join-started" },
    { type: "wait-begun", reason: "not_started" },
    { type: "wait-shaken" },
    { type: "wait-told", reason: "lobby", message: "soon", startsAt: null },
    { type: "ended", reason: "refused" },
  );
  expect(events).toEqual([
    { event: "waiting", reason: "not_started" },
    { event: "waiting", reason: "lobby" },
    { event: "left", reason: "refused" },
  ]);
});

test("each refusal at the entrance is told, the same twice too", () => {
  const problem = { code: "meeting_locked", detail: "locked" };
  const tries: MeetingEvent[] = [{ type: "join-started" }, { type: "join-refused", problem }];
  expect(told(...tries, ...tries)).toEqual([{ event: "error", ...problem }, { event: "error", ...problem }]);
});

test.each([
  [{ command: "join" }, { command: "join", name: "", ticket: "", passcode: "" }],
  [{ command: "join", name: " Anna ", ticket: "t", passcode: "p" }, { command: "join", name: "Anna", ticket: "t", passcode: "p" }],
  [{ command: "leave", more: 1 }, { command: "leave" }],
  [{ command: "microphone", on: true }, { command: "microphone", on: true }],
  [{ command: "camera", on: false }, { command: "camera", on: false }],
  [{ command: "rename", name: "x".repeat(99) }, { command: "rename", name: "x".repeat(64) }],
  [{ command: "panel", panel: null }, { command: "panel", panel: null }],
  [{ command: "panel", panel: "chat" }, { command: "panel", panel: "chat" }],
  [{ command: "end" }, { command: "end" }],
])("%j is a command", (said, command) => {
  expect(readCommand({ veche: 1, id: 7, ...said })).toEqual({ id: 7, command });
});

test.each([
  {},
  { command: "share" },
  { command: "toString" },
  { command: "join", name: 7 },
  { command: "microphone" },
  { command: "camera", on: "true" },
  { command: "rename", name: "  " },
  { command: "panel", panel: "people " },
  { command: "panel" },
])("%j is answered with what is taken", (said) => {
  const asked = readCommand({ veche: 1, id: 7, ...said });
  expect(asked?.id).toBe(7);
  expect(asked?.command).toMatch(/takes/u);
});

test.each([null, undefined, "join", 7, [], { command: "join" }, { veche: 2, id: 1, command: "join" }, { veche: 1, command: "join" }])(
  "%j is none of our business",
  (data) => {
    expect(readCommand(data)).toBeNull();
  },
);
