import { expect, test } from "vitest";
import type { Message } from "../../src/state/chat";
import { NEW_MEETING, nextTime, reduceMeeting, type Meeting, type MeetingEvent } from "../../src/state/meeting";
import { person } from "../person";

const ME = person("me", { self: true });

function after(start: Meeting, now: number, ...events: MeetingEvent[]): Meeting {
  return events.reduce((meeting, event) => reduceMeeting(meeting, event, now), start);
}

function inside(...others: string[]): Meeting {
  return after(
    NEW_MEETING,
    0,
    { type: "join-started" },
    { type: "people-replaced", people: [ME, ...others.map((identity) => person(identity))] },
    { type: "connected" },
  );
}

function message(id: string, own = false): Message {
  return { id, identity: "b", name: "Boris", own, text: "hello", at: 0, state: "sent" };
}

function kinds(meeting: Meeting): string[] {
  return meeting.notices.shown.map(({ kind }) => kind);
}

test("who is there already is no news, who comes and goes is", () => {
  const meeting = inside("a");
  expect(kinds(meeting)).toEqual([]);
  const joined = after(meeting, 10, { type: "person-changed", person: person("b") });
  expect(joined.notices.shown).toMatchObject([{ kind: "joined", names: ["b"] }]);
  expect(joined.stage.order).toEqual(["me", "a", "b"]);
  const left = after(joined, 20, { type: "person-left", identity: "a" });
  expect(left.notices.shown).toMatchObject([{ kind: "joined" }, { kind: "left", names: ["a"] }]);
  expect(left.stage.order).toEqual(["me", "b"]);
});

test("a change of somebody present, or of oneself, is no news", () => {
  const meeting = after(inside("a"), 10, { type: "person-changed", person: person("a", { camera: null }) }, { type: "person-changed", person: { ...ME, name: "I" } });
  expect(kinds(meeting)).toEqual([]);
});

test("while the connection comes back nobody joins or leaves", () => {
  const meeting = after(
    inside("a"),
    10,
    { type: "connection-shaken" },
    { type: "person-left", identity: "a" },
    { type: "person-changed", person: person("a") },
    { type: "connection-restored" },
  );
  expect(kinds(meeting)).toEqual([]);
});

test("the end forgets who was there, and keeps the chat", () => {
  const meeting = after(
    inside("a"),
    10,
    { type: "chat-received", message: message("1") },
    { type: "sound-blocked", blocked: true },
    { type: "talking", talking: true },
    { type: "ended", reason: "lost" },
  );
  expect(meeting).toMatchObject({ connection: { phase: "ended", reason: "lost" }, soundBlocked: false, talking: false });
  expect(meeting.people.size).toBe(0);
  expect(meeting.stage.order).toEqual([]);
  expect(meeting.chat.messages).toHaveLength(1);
});

test("a message shows over the stage while the chat is closed, and opening the chat takes it away", () => {
  const closed = after(inside(), 10, { type: "chat-received", message: message("1") });
  expect(kinds(closed)).toEqual(["chat"]);
  const open = after(closed, 20, { type: "panel-toggled", panel: "chat" });
  expect(kinds(open)).toEqual([]);
  expect(open.chat).toMatchObject({ open: true, unread: 0 });
  expect(kinds(after(open, 30, { type: "chat-received", message: message("2") }))).toEqual([]);
});

test("own messages and repeated ones show nothing", () => {
  const meeting = after(inside(), 10, { type: "chat-received", message: message("1", true) }, { type: "chat-received", message: message("1", true) });
  expect(kinds(meeting)).toEqual([]);
});

test("one panel at a time: another one closes the chat", () => {
  const chat = after(inside(), 10, { type: "panel-toggled", panel: "chat" });
  const people = after(chat, 20, { type: "panel-toggled", panel: "people" });
  expect(people).toMatchObject({ panel: "people", chat: { open: false } });
  expect(after(people, 30, { type: "panel-toggled", panel: "people" }).panel).toBeNull();
  expect(after(chat, 30, { type: "panel-closed" })).toMatchObject({ panel: null, chat: { open: false } });
});

test("the hint to unmute shows five seconds, at most once a minute, and goes at once on unmuting", () => {
  const muted = after(inside(), 0, { type: "person-changed", person: { ...ME, microphone: "muted" } });
  const hinted = after(muted, 1000, { type: "spoke-while-muted" });
  expect(hinted.mutedHint.until).toBe(6000);
  expect(nextTime(hinted, 1000)).toBe(6000);
  expect(after(hinted, 6000, { type: "time-passed" }).mutedHint.until).toBe(0);
  expect(after(hinted, 60_999, { type: "spoke-while-muted" }).mutedHint.until).toBe(6000);
  expect(after(hinted, 61_000, { type: "spoke-while-muted" }).mutedHint.until).toBe(66_000);
  expect(after(hinted, 2000, { type: "person-changed", person: ME }).mutedHint.until).toBe(0);
});

test("reports about people who are gone frame nobody", () => {
  expect(after(inside("a"), 10, { type: "speakers-heard", identities: ["ghost", "a"] }).speakers.loud).toEqual(["a"]);
});

test("time lets frames and notices go", () => {
  const meeting = after(inside("a"), 0, { type: "speakers-heard", identities: ["a"] }, { type: "notice", body: { kind: "copied" } });
  const silent = after(meeting, 100, { type: "speakers-heard", identities: [] });
  expect(nextTime(silent, 100)).toBe(800);
  const later = after(silent, 5000, { type: "time-passed" });
  expect(later.speakers.speech.size).toBe(0);
  expect(kinds(later)).toEqual([]);
  expect(nextTime(later, 5000)).toBeNull();
});
