/** Who waits before meetings of the reader, as the stream of `/api/v1/lobby/events` tells it. */

import { peopleIn, textIn, type WaitingPerson } from "./lobby";

export interface Waited {
  /** Of the meeting. */
  readonly id: string;
  readonly code: string;
  readonly title: string;
  /** Those who wait for a host's word. */
  readonly waiting: readonly WaitingPerson[];
  /** Those who wait for a host to come. */
  readonly early: readonly WaitingPerson[];
}

/** Reads an event; null for what is none of ours. */
export function waitedIn(data: string): readonly Waited[] | null {
  let body: unknown;
  try {
    body = JSON.parse(data);
  } catch {
    return null;
  }
  const meetings: unknown = typeof body === "object" && body !== null ? Reflect.get(body, "meetings") : null;
  if (!Array.isArray(meetings)) return null;
  return meetings.map((one: unknown) => ({
    id: textIn(one, "id"),
    code: textIn(one, "code"),
    title: textIn(one, "title"),
    waiting: peopleIn(one, "waiting"),
    early: peopleIn(one, "early"),
  }));
}

export function countOf(all: readonly Waited[]): number {
  return all.reduce((sum, { waiting, early }) => sum + waiting.length + early.length, 0);
}

/** The page's title with how many wait in front of it, as mail programs have it. */
export function marked(title: string, count: number): string {
  const plain = title.replace(/^\(\d+\) /u, "");
  return count === 0 ? plain : `(${count}) ${plain}`;
}

/** A text of the page with what belongs into it; whatever the value, it stays text. */
export function filled(text: string, name: string, value: string | number): string {
  return text.split(`%(${name})s`).join(String(value));
}
