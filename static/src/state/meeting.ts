/** Everything that the client knows of a visit, and how each event changes it. */

import { NO_CHAT, reduceChat, type Chat, type ChatEvent } from "./chat";
import { BEFORE, isInside, reduceConnection, type Connection, type ConnectionEvent } from "./connection";
import { NO_DEVICES, reduceDevices, type Devices, type DevicesEvent } from "./devices";
import { NOBODY_ELSEWHERE, reduceElsewhere, type Elsewhere, type ElsewhereEvent } from "./elsewhere";
import { NO_LOBBY, reduceLobby, type Lobby, type LobbyEvent } from "./lobby";
import { NO_NOTICES, nextNoticesTime, reduceNotices, type NoticeBody, type Notices, type NoticesEvent } from "./notices";
import { NOBODY, reducePeople, selfOf, type People, type PeopleEvent } from "./people";
import { ALL_PERMITTED, NO_RULES, type Ask, type Permitted, type Rules, type RulesEvent } from "./rules";
import { SILENCE, nextSpeakersTime, reduceSpeakers, type Speakers } from "./speakers";
import { EMPTY_STAGE, reduceStage, type Stage } from "./stage";

export type Panel = "chat" | "people";

export interface Meeting {
  readonly connection: Connection;
  readonly people: People;
  readonly speakers: Speakers;
  readonly stage: Stage;
  readonly chat: Chat;
  readonly devices: Devices;
  readonly notices: Notices;
  readonly lobby: Lobby;
  readonly elsewhere: Elsewhere;
  readonly rules: Rules;
  readonly permitted: Permitted;
  readonly ask: Ask | null;
  readonly panel: Panel | null;
  /** The browser holds the sound back until a click. */
  readonly soundBlocked: boolean;
  /** Time (ms) until which the hint "you are speaking while muted" shows, and when it came last. */
  readonly mutedHint: { readonly until: number; readonly last: number };
  /** The microphone is open because a key is held. */
  readonly talking: boolean;
}

export type MeetingEvent =
  | PeopleEvent
  | ConnectionEvent
  | ChatEvent
  | DevicesEvent
  | NoticesEvent
  | LobbyEvent
  | ElsewhereEvent
  | RulesEvent
  | { readonly type: "speakers-heard"; readonly identities: readonly string[] }
  | { readonly type: "stage-resized"; readonly pageSize: number }
  | { readonly type: "page-turned"; readonly by: number }
  | { readonly type: "panel-toggled"; readonly panel: Panel }
  | { readonly type: "panel-closed" }
  | { readonly type: "sound-blocked"; readonly blocked: boolean }
  | { readonly type: "spoke-while-muted" }
  | { readonly type: "talking"; readonly talking: boolean }
  | { readonly type: "time-passed" };

/** The hint shows this long, and at most once a minute. */
const HINT_STAY = 5000;
const HINT_PAUSE = 60_000;

export const NEW_MEETING: Meeting = {
  connection: BEFORE,
  people: NOBODY,
  speakers: SILENCE,
  stage: EMPTY_STAGE,
  chat: NO_CHAT,
  devices: NO_DEVICES,
  notices: NO_NOTICES,
  lobby: NO_LOBBY,
  elsewhere: NOBODY_ELSEWHERE,
  rules: NO_RULES,
  permitted: ALL_PERMITTED,
  ask: null,
  panel: null,
  soundBlocked: false,
  mutedHint: { until: 0, last: -HINT_PAUSE },
  talking: false,
};

export function reduceMeeting(meeting: Meeting, event: MeetingEvent, now: number): Meeting {
  switch (event.type) {
    case "people-replaced":
    case "person-changed":
    case "person-left":
      return withPeople(meeting, event, now);
    case "join-started":
    case "join-refused":
    case "wait-begun":
    case "wait-told":
    case "wait-shaken":
    case "let-in":
    case "connected":
    case "connection-shaken":
    case "connection-restored":
    case "ended":
      return withConnection(meeting, event, now);
    case "chat-received": {
      const chat = reduceChat(meeting.chat, event);
      const { own, name, text } = event.message;
      const next = { ...meeting, chat };
      return own || chat === meeting.chat || chat.open ? next : noticed(next, { kind: "chat", name, text }, now);
    }
    case "chat-sent":
    case "chat-opened":
    case "chat-closed":
      return { ...meeting, chat: reduceChat(meeting.chat, event) };
    case "devices-remembered":
    case "devices-access":
    case "devices-listed":
    case "device-wanted":
    case "device-opening":
    case "device-opened":
    case "device-failed":
    case "device-chosen":
      return { ...meeting, devices: reduceDevices(meeting.devices, event) };
    case "notice":
    case "notice-dismissed":
    case "notices-held":
    case "notices-passed":
      return { ...meeting, notices: reduceNotices(meeting.notices, event, now) };
    case "lobby-found":
    case "lobby-deciding":
    case "lobby-undecided":
      return { ...meeting, lobby: reduceLobby(meeting.lobby, event) };
    case "elsewhere-found":
    case "elsewhere-deciding":
    case "elsewhere-undecided":
    case "elsewhere-dismissed":
      return { ...meeting, elsewhere: reduceElsewhere(meeting.elsewhere, event) };
    case "rules-changed":
      return { ...meeting, rules: event.rules };
    case "permitted":
      return { ...meeting, permitted: event.permitted };
    case "asked":
      return { ...meeting, ask: event.ask };
    case "ask-answered":
      return { ...meeting, ask: null };
    case "speakers-heard":
      return heard(meeting, event.identities, now);
    case "stage-resized":
    case "page-turned":
      return { ...meeting, stage: reduceStage(meeting.stage, event, now) };
    case "panel-toggled":
      return withPanel(meeting, meeting.panel === event.panel ? null : event.panel);
    case "panel-closed":
      return withPanel(meeting, null);
    case "sound-blocked":
      return { ...meeting, soundBlocked: event.blocked };
    case "spoke-while-muted":
      return now - meeting.mutedHint.last < HINT_PAUSE
        ? meeting
        : { ...meeting, mutedHint: { until: now + HINT_STAY, last: now } };
    case "talking":
      return { ...meeting, talking: event.talking };
    case "time-passed":
      return passed(meeting, now);
  }
}

/** When the state changes by itself, ms; null if it does not. */
export function nextTime(meeting: Meeting, now: number): number | null {
  const times = [
    nextNoticesTime(meeting.notices),
    nextSpeakersTime(meeting.speakers, selfOf(meeting.people)?.identity ?? null),
    meeting.mutedHint.until > now ? meeting.mutedHint.until : null,
  ].filter((time) => time !== null);
  return times.length === 0 ? null : Math.min(...times);
}

function withPeople(meeting: Meeting, event: PeopleEvent, now: number): Meeting {
  const people = reducePeople(meeting.people, event);
  if (people === meeting.people) return meeting;
  const self = selfOf(people);
  const stage = reduceStage(
    meeting.stage,
    { type: "stage-people", identities: [...people.keys()], self: self?.identity ?? null },
    now,
  );
  let next: Meeting = { ...meeting, people, stage };
  if (event.type === "person-left") {
    next = { ...next, speakers: reduceSpeakers(meeting.speakers, event, now, self?.identity ?? null) };
    const name = meeting.people.get(event.identity)?.name;
    if (name !== undefined && meeting.connection.phase === "connected") next = noticed(next, { kind: "left", names: [name] }, now);
  }
  // While the connection comes back everybody seems to leave and to join: that is no news.
  if (
    event.type === "person-changed" &&
    meeting.connection.phase === "connected" &&
    !event.person.self &&
    !meeting.people.has(event.person.identity)
  ) {
    next = noticed(next, { kind: "joined", names: [event.person.name] }, now);
  }
  if (self?.microphone === "on") next = { ...next, mutedHint: { ...next.mutedHint, until: 0 } };
  const before = selfOf(meeting.people);
  if (self && before && self.role !== before.role) next = noticed(next, { kind: "role", role: self.role }, now);
  // Who has done what was asked for need not answer.
  if ((next.ask === "unmute" && self?.microphone === "on") || (next.ask === "video" && self?.camera)) next = { ...next, ask: null };
  return next;
}

function withConnection(meeting: Meeting, event: ConnectionEvent, now: number): Meeting {
  const connection = reduceConnection(meeting.connection, event, now);
  const next = { ...meeting, connection };
  if (isInside(connection) || event.type === "join-started") return next;
  return { ...next, lobby: NO_LOBBY, rules: NO_RULES, permitted: ALL_PERMITTED, ask: null, people: NOBODY, speakers: SILENCE, stage: EMPTY_STAGE, soundBlocked: false, talking: false };
}

function heard(meeting: Meeting, identities: readonly string[], now: number): Meeting {
  const self = selfOf(meeting.people)?.identity ?? null;
  const present = identities.filter((identity) => meeting.people.has(identity));
  const speakers = reduceSpeakers(meeting.speakers, { type: "speakers-heard", identities: present }, now, self);
  let stage = meeting.stage;
  for (const identity of present) {
    if (identity !== self) stage = reduceStage(stage, { type: "stage-heard", identity, self }, now);
  }
  return { ...meeting, speakers, stage };
}

function withPanel(meeting: Meeting, panel: Panel | null): Meeting {
  const chat =
    panel === "chat"
      ? reduceChat(meeting.chat, { type: "chat-opened" })
      : meeting.chat.open
        ? reduceChat(meeting.chat, { type: "chat-closed" })
        : meeting.chat;
  const shown = panel === "chat" ? meeting.notices.shown.filter((notice) => notice.kind !== "chat") : meeting.notices.shown;
  return { ...meeting, panel, chat, notices: { ...meeting.notices, shown } };
}

function noticed(meeting: Meeting, body: NoticeBody, now: number): Meeting {
  return { ...meeting, notices: reduceNotices(meeting.notices, { type: "notice", body }, now) };
}

function passed(meeting: Meeting, now: number): Meeting {
  const self = selfOf(meeting.people)?.identity ?? null;
  return {
    ...meeting,
    notices: reduceNotices(meeting.notices, { type: "notices-passed" }, now),
    speakers: reduceSpeakers(meeting.speakers, { type: "speakers-passed" }, now, self),
    mutedHint: meeting.mutedHint.until <= now ? { ...meeting.mutedHint, until: 0 } : meeting.mutedHint,
  };
}
