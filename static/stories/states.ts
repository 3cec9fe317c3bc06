/** The states of the stories, each made by the events that make it in life. */

import type { Message } from "../src/state/chat";
import type { WaitReason } from "../src/state/connection";
import type { Fault } from "../src/state/devices";
import { NEW_MEETING, reduceMeeting, type Meeting, type MeetingEvent } from "../src/state/meeting";
import type { Person } from "../src/state/people";

const NAMES = {
  ru: ["Анна Петрова", "Борис Смирнов", "Вера Ким", "Григорий Орлов", "Дарья Лебедева", "Егор Константинопольский", "Жанна Ли", "Зоя Морозова", "Иван Грачёв", "Карина Белова", "Лев Соколов", "Мария Зайцева"],
  en: ["Anna Peters", "Boris Smith", "Vera Kim", "Gregory Eagle", "Daria Swan", "Edward Featherstonehaugh", "Jane Lee", "Zoe Frost", "John Rook", "Karen White", "Leo Falcon", "Mary Hare"],
} as const;

const TEXTS = {
  ru: ["Всем добрый день!", "Повестка: https://veche.localhost/docs/plan (первые два пункта обязательно)", "Спасибо, вижу", "Начнём через минуту, ждём Григория.", "Хорошо 👍"],
  en: ["Good afternoon everyone!", "Agenda: https://veche.localhost/docs/plan (the first two points are a must)", "Thanks, got it", "We start in a minute, waiting for Gregory.", "Fine 👍"],
} as const;

type Locale = keyof typeof NAMES;
type Story = (locale: Locale) => Meeting;

function person(locale: Locale, index: number, change: Partial<Person> = {}): Person {
  return {
    identity: `person-${index}`,
    name: NAMES[locale][index % 12] ?? "",
    self: index === 0,
    role: index === 0 ? "host" : "attendee",
    microphone: index % 3 === 1 ? "muted" : "on",
    camera: index % 4 === 3 ? null : `camera-${index}`,
    paused: index === 2,
    screen: null,
    quality: index === 2 ? "poor" : "good",
    joinedAt: index,
    ...change,
  };
}

function message(locale: Locale, index: number): Message {
  const from = [1, 0, 2, 1, 1][index] ?? 0;
  const { identity, name, self } = person(locale, from);
  return { id: `m${index}`, identity, name, own: self, text: TEXTS[locale][index] ?? "", at: 1_795_000_000_000 + index * 50_000, state: "sent" };
}

function after(...events: MeetingEvent[]): Meeting {
  return events.reduce((meeting, event) => reduceMeeting(meeting, event, Date.now()), NEW_MEETING);
}

const DEVICES: MeetingEvent[] = [
  { type: "devices-access", access: "granted" },
  {
    type: "devices-listed",
    choosableSpeaker: true,
    lists: {
      microphone: [{ id: "default", label: "Default" }, { id: "m1", label: "Jabra Evolve2 65 (0b0e:0c7d)" }],
      camera: [{ id: "c1", label: "Logitech BRIO (046d:085e)" }],
      speaker: [{ id: "default", label: "Default" }, { id: "s1", label: "Jabra Evolve2 65 (0b0e:0c7d)" }],
    },
  },
  { type: "device-opened", kind: "microphone", id: "m1" },
  { type: "device-opened", kind: "camera", id: "c1" },
];

function inside(people: readonly Person[], ...more: MeetingEvent[]): Meeting {
  return after(...DEVICES, { type: "join-started" }, { type: "people-replaced", people }, { type: "connected" }, ...more);
}

function people(locale: Locale, count: number): Person[] {
  return Array.from({ length: count }, (_, index) => person(locale, index));
}

function failed(fault: Fault): MeetingEvent[] {
  return (["microphone", "camera"] as const).map((kind) => ({ type: "device-failed", kind, fault }));
}

function chat(locale: Locale): MeetingEvent[] {
  return [0, 1, 2, 3, 4].map((index) => ({ type: "chat-received", message: message(locale, index) }));
}

function waiting(reason: WaitReason, ...more: MeetingEvent[]): Meeting {
  return after(...DEVICES, { type: "join-started" }, { type: "wait-begun", reason }, ...more);
}

/** The longest day and month that there are, and of another year. */
const START = Date.UTC(2031, 8, 24, 16, 30);
const MESSAGES = {
  ru: "Совет ещё совещается. Начнём через десять минут, спасибо за терпение!",
  en: "The board is still in session. We start in ten minutes, thank you for your patience!",
} as const;

function lobby(locale: Locale, count: number): MeetingEvent {
  const people = Array.from({ length: count }, (_, index) => ({
    id: `knock-${index}`,
    name: NAMES[locale][(index + 5) % 12] ?? "",
    member: index % 3 === 1,
  }));
  return { type: "lobby-found", waiting: people, message: "" };
}

/** People before other meetings of the host; in the last of them they wait for a host to come. */
function elsewhere(locale: Locale, ...counts: number[]): MeetingEvent {
  const titles = { ru: ["Собеседование: ведущий разработчик", "Совет"], en: ["Interview for the post of a lead developer", "Board"] }[locale];
  const meetings = counts.map((count, meeting) => {
    const all = Array.from({ length: count }, (_, index) => ({
      id: `elsewhere-${meeting}-${index}`,
      name: NAMES[locale][(meeting * 3 + index + 7) % 12] ?? "",
      member: index % 2 === 1,
    }));
    const early = meeting > 0;
    return { id: `m${meeting}`, code: `code-${meeting}`, title: titles[meeting] ?? "", waiting: early ? [] : all, early: early ? all : [] };
  });
  return { type: "elsewhere-found", meetings };
}

const CLOSED: MeetingEvent[] = [
  {
    type: "rules-changed",
    rules: { locked: true, muteOnEntry: false, allow: new Set(["video", "share"]), spotlight: ["person-1", "person-4"] },
  },
  { type: "permitted", permitted: { microphone: false, camera: true, screen: true } },
];

const SPEAKING: MeetingEvent = { type: "speakers-heard", identities: ["person-2"] };

export const STORIES: Record<string, Story> = {
  ask: () => after({ type: "devices-access", access: "prompt" }),
  insecure: () => after({ type: "devices-access", access: "insecure" }, ...failed("insecure")),
  prejoin: () => after(...DEVICES),
  "microphone-only": () => after(...DEVICES, { type: "device-wanted", kind: "camera", wanted: false }),
  refused: () => after({ type: "devices-access", access: "prompt" }, ...failed("refused")),
  missing: () => after(...DEVICES, { type: "device-failed", kind: "camera", fault: "missing" }),
  faults: () =>
    after(
      ...DEVICES,
      { type: "device-failed", kind: "camera", fault: "busy" },
      { type: "device-failed", kind: "microphone", fault: "system" },
      { type: "join-refused", problem: { code: "unreachable", detail: "" } },
    ),
  passcode: () => after(...DEVICES, { type: "join-refused", problem: { code: "passcode_required", detail: "" } }),
  "passcode-wrong": () => after(...DEVICES, { type: "join-refused", problem: { code: "wrong_passcode", detail: "" } }),
  "sign-in-required": () => after(...DEVICES, { type: "join-refused", problem: { code: "sign_in_required", detail: "" } }),
  waiting: () => waiting("lobby"),
  "waiting-message": (locale) => waiting("lobby", { type: "wait-told", reason: "lobby", message: MESSAGES[locale], startsAt: START }),
  "waiting-moved": () =>
    waiting(
      "not_started",
      { type: "wait-told", reason: "not_started", message: "", startsAt: START },
      { type: "wait-told", reason: "not_started", message: "", startsAt: START + 26 * 3_600_000 },
    ),
  "waiting-shaken": () => waiting("lobby", { type: "wait-shaken" }),
  "not-started": () => waiting("not_started", { type: "wait-told", reason: "not_started", message: "", startsAt: START }),
  "let-in": () => waiting("lobby", { type: "let-in" }),
  "waiting-refused": () => waiting("lobby", { type: "ended", reason: "refused" }),
  "waiting-expired": () => waiting("lobby", { type: "ended", reason: "expired" }),
  "waiting-over": () => waiting("lobby", { type: "ended", reason: "over" }),
  "waiting-cancelled": () => waiting("not_started", { type: "ended", reason: "cancelled" }),
  "waiting-withdrawn": () => waiting("lobby", { type: "ended", reason: "withdrawn" }),
  knock: (locale) => inside(people(locale, 4), SPEAKING, lobby(locale, 1)),
  knocks: (locale) => inside(people(locale, 4), SPEAKING, lobby(locale, 3), { type: "panel-toggled", panel: "chat" }),
  "knocks-many": (locale) => inside(people(locale, 9), SPEAKING, lobby(locale, 5)),
  "knock-elsewhere": (locale) => inside(people(locale, 4), SPEAKING, elsewhere(locale, 1)),
  "knocks-elsewhere": (locale) => inside(people(locale, 9), SPEAKING, elsewhere(locale, 1, 1), { type: "panel-toggled", panel: "chat" }),
  "knocks-elsewhere-many": (locale) => inside(people(locale, 4), SPEAKING, elsewhere(locale, 4, 2)),
  "knocks-everywhere": (locale) => inside(people(locale, 4), SPEAKING, lobby(locale, 1), elsewhere(locale, 1)),
  "lobby-panel": (locale) => inside(people(locale, 9), SPEAKING, lobby(locale, 7), { type: "panel-toggled", panel: "people" }),
  spotlight: (locale) => inside(people(locale, 9), SPEAKING, ...CLOSED),
  closed: (locale) =>
    inside(
      [person(locale, 0, { role: "attendee", microphone: "muted" }), person(locale, 1, { role: "host" }), ...people(locale, 6).slice(2)],
      ...CLOSED,
      { type: "panel-toggled", panel: "chat" },
    ),
  asked: (locale) => inside([person(locale, 0, { role: "attendee", microphone: "muted" }), ...people(locale, 4).slice(1)], { type: "asked", ask: "unmute" }),
  "co-host": (locale) =>
    inside([person(locale, 0), person(locale, 1, { role: "cohost" }), ...people(locale, 9).slice(2)], { type: "panel-toggled", panel: "people" }),
  alone: (locale) => inside(people(locale, 1)),
  two: (locale) => inside(people(locale, 2), SPEAKING),
  four: (locale) => inside(people(locale, 4), SPEAKING, { type: "person-changed", person: person(locale, 4, { identity: "late", camera: null }) }, { type: "person-left", identity: "late" }),
  nine: (locale) => inside(people(locale, 9), SPEAKING),
  "twenty-five": (locale) => inside(people(locale, 25), SPEAKING),
  many: (locale) => inside(people(locale, 60), SPEAKING),
  chat: (locale) => inside(people(locale, 4), SPEAKING, ...chat(locale).slice(0, 3), { type: "panel-toggled", panel: "chat" }, ...chat(locale).slice(3)),
  "chat-empty": (locale) => inside(people(locale, 4), { type: "panel-toggled", panel: "chat" }),
  unread: (locale) => inside(people(locale, 5), ...chat(locale)),
  people: (locale) => inside(people(locale, 9), SPEAKING, { type: "panel-toggled", panel: "people" }),
  screen: (locale) => inside([...people(locale, 3), person(locale, 3, { screen: "screen-3" }), ...people(locale, 7).slice(4)], SPEAKING),
  sharing: (locale) => inside([person(locale, 0, { screen: "screen-0", microphone: "muted" }), ...people(locale, 3).slice(1)], SPEAKING, { type: "spoke-while-muted" }),
  reconnecting: (locale) => inside(people(locale, 4), { type: "sound-blocked", blocked: true }, { type: "connection-shaken" }),
  "camera-busy": (locale) => inside(people(locale, 2), { type: "device-failed", kind: "camera", fault: "busy" }),
  left: () => after({ type: "join-started" }, { type: "ended", reason: "left" }),
  lost: () => after({ type: "join-started" }, { type: "ended", reason: "lost" }),
  duplicate: () => after({ type: "join-started" }, { type: "ended", reason: "duplicate" }),
};
