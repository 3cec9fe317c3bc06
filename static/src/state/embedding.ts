/**
 * What a meeting in an iframe and the page around it say to each other by postMessage (PROTOCOL.md 11).
 *
 * Each message is an object with `veche: 1`, the version. The page sends commands and is answered; the meeting sends
 * events, which are what changed in its state.
 */

import { isInside, type EndReason, type WaitReason } from "./connection";
import type { Meeting, Panel } from "./meeting";
import { selfOf, type Person, type Role } from "./people";
import { LONGEST_NAME } from "./preferences";

export const VERSION = 1;

/** What the page around may ask for. */
export type Command =
  /** Comes in, or again after the end. What is left out stays as it was. */
  | { readonly command: "join"; readonly name: string; readonly ticket: string; readonly passcode: string }
  /** Goes, or stops waiting. */
  | { readonly command: "leave" }
  | { readonly command: "microphone"; readonly on: boolean }
  | { readonly command: "camera"; readonly on: boolean }
  | { readonly command: "rename"; readonly name: string }
  | { readonly command: "panel"; readonly panel: Panel | null }
  /** Ends the meeting for all: hosts alone. */
  | { readonly command: "end" };

export interface Asked {
  readonly id: number;
  /** Or why it is none. */
  readonly command: Command | string;
}

/** What the page around is told. `count` is how many are inside, this person among them. */
export type Told =
  | { readonly event: "ready" }
  | { readonly event: "waiting"; readonly reason: WaitReason }
  | { readonly event: "joined"; readonly identity: string; readonly name: string; readonly role: Role; readonly count: number }
  | { readonly event: "participant-joined"; readonly identity: string; readonly name: string; readonly count: number }
  | { readonly event: "participant-left"; readonly identity: string; readonly name: string; readonly count: number }
  | { readonly event: "microphone"; readonly on: boolean }
  | { readonly event: "camera"; readonly on: boolean }
  | { readonly event: "left"; readonly reason: EndReason }
  /** Did not come in: `code` as in the API, or `unreachable`. */
  | { readonly event: "error"; readonly code: string; readonly detail: string };

/** What became of a command; `error` says why not. */
export interface Answered {
  readonly answer: number;
  readonly error: string | null;
}

export type Message = { readonly veche: typeof VERSION } & (Told | Answered);

/** Reads what came by postMessage; null where it is no command of ours, such as what other scripts of the page say. */
export function readCommand(data: unknown): Asked | null {
  if (typeof data !== "object" || data === null) return null;
  const said = data as Record<string, unknown>;
  const id = said["id"];
  if (said["veche"] !== VERSION || typeof id !== "number") return null;
  return { id, command: commandIn(said) };
}

function commandIn(said: Record<string, unknown>): Command | string {
  switch (said["command"]) {
    case "join": {
      const [name, ticket, passcode] = [text(said, "name"), text(said, "ticket"), text(said, "passcode")];
      if (name === null || ticket === null || passcode === null) return "join: takes texts: name, ticket, passcode";
      return { command: "join", name: name.trim().slice(0, LONGEST_NAME), ticket, passcode };
    }
    case "microphone":
    case "camera": {
      const { command, on } = said;
      return typeof on === "boolean" ? { command, on } : `${command}: takes on: true or false`;
    }
    case "rename": {
      const name = text(said, "name")?.trim().slice(0, LONGEST_NAME);
      return name ? { command: "rename", name } : "rename: takes a name";
    }
    case "panel": {
      const { panel } = said;
      return panel === "chat" || panel === "people" || panel === null
        ? { command: "panel", panel }
        : 'panel: takes "chat", "people" or null';
    }
    case "leave":
    case "end":
      return { command: said["command"] };
    default:
      return "takes one of the commands: join, leave, microphone, camera, rename, panel, end";
  }
}

/** "" where it is left out, null where it is no text. */
function text(said: Record<string, unknown>, name: string): string | null {
  const value = said[name] ?? "";
  return typeof value === "string" ? value : null;
}

/** What is told of a change, in the order in which it happened. */
export function eventsBetween(before: Meeting, after: Meeting): Told[] {
  if (before === after) return [];
  const was = isInside(before.connection);
  if (isInside(after.connection)) return was ? insideEvents(before, after) : joinedEvents(after);
  return outsideEvents(before, after);
}

function joinedEvents(after: Meeting): Told[] {
  const self = selfOf(after.people);
  if (self === null) return [];
  const { identity, name, role } = self;
  return [{ event: "joined", identity, name, role, count: after.people.size }, ...deviceEvents(null, self)];
}

function insideEvents(before: Meeting, after: Meeting): Told[] {
  if (before.people === after.people) return [];
  const others = ({ self }: Person): boolean => !self;
  const gone = [...before.people.values()].filter(others).filter(({ identity }) => !after.people.has(identity));
  const come = [...after.people.values()].filter(others).filter(({ identity }) => !before.people.has(identity));
  const count = after.people.size;
  return [
    ...gone.map(({ identity, name }): Told => ({ event: "participant-left", identity, name, count })),
    ...come.map(({ identity, name }): Told => ({ event: "participant-joined", identity, name, count })),
    ...deviceEvents(selfOf(before.people), selfOf(after.people)),
  ];
}

function deviceEvents(before: Person | null, after: Person | null): Told[] {
  const events: Told[] = [];
  if (hears(before) !== hears(after)) events.push({ event: "microphone", on: hears(after) });
  if (sees(before) !== sees(after)) events.push({ event: "camera", on: sees(after) });
  return events;
}

function hears(person: Person | null): boolean {
  return person?.microphone === "on";
}

function sees(person: Person | null): boolean {
  return person !== null && person.camera !== null;
}

function outsideEvents({ connection: before }: Meeting, { connection: after }: Meeting): Told[] {
  switch (after.phase) {
    case "waiting":
      return before.phase === "waiting" && before.reason === after.reason ? [] : [{ event: "waiting", reason: after.reason }];
    case "ended":
      return before.phase === "ended" ? [] : [{ event: "left", reason: after.reason }];
    case "before":
      return after.problem === null || after === before ? [] : [{ event: "error", ...after.problem }];
    case "joining":
    case "connected":
    case "reconnecting":
      return [];
  }
}
