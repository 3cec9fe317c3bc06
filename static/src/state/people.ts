/** Who is in the meeting, as the client shows them. */

export type Role = "host" | "cohost" | "attendee";
export type Quality = "unknown" | "good" | "poor" | "lost";

/** One participant. Track ids change when a track is published anew, so that a view knows to attach again. */
export interface Person {
  readonly identity: string;
  readonly name: string;
  readonly self: boolean;
  readonly role: Role;
  readonly microphone: "on" | "muted" | "none";
  /** Id of the camera track, null while it is off. */
  readonly camera: string | null;
  /** The server has stopped sending the camera, for lack of room on our connection. */
  readonly paused: boolean;
  /** Id of the screen track, null while nothing is shared. */
  readonly screen: string | null;
  readonly quality: Quality;
  /** Milliseconds since the epoch. */
  readonly joinedAt: number;
}

/** By identity, in the order of arrival. */
export type People = ReadonlyMap<string, Person>;

export type PeopleEvent =
  | { readonly type: "people-replaced"; readonly people: readonly Person[] }
  | { readonly type: "person-changed"; readonly person: Person }
  | { readonly type: "person-left"; readonly identity: string };

export const NOBODY: People = new Map();

export function reducePeople(people: People, event: PeopleEvent): People {
  switch (event.type) {
    case "people-replaced":
      return new Map(event.people.map((person) => [person.identity, person]));
    case "person-changed": {
      const known = people.get(event.person.identity);
      if (known && sameAs(known, event.person)) return people;
      return new Map(people).set(event.person.identity, event.person);
    }
    case "person-left": {
      if (!people.has(event.identity)) return people;
      const rest = new Map(people);
      rest.delete(event.identity);
      return rest;
    }
  }
}

export function selfOf(people: People): Person | null {
  for (const person of people.values()) if (person.self) return person;
  return null;
}

/** Whether somebody runs the meeting, as its host or a co-host. */
export function runsMeeting(person: Person | null): boolean {
  return person !== null && person.role !== "attendee";
}

/** The participants list: you, hosts, then those who may be heard, then the rest, each by name. */
export function listOrder(people: People, locale: string): Person[] {
  const collator = new Intl.Collator(locale, { sensitivity: "base", numeric: true });
  return [...people.values()].sort(
    (a, b) => rank(a) - rank(b) || collator.compare(a.name, b.name) || collator.compare(a.identity, b.identity),
  );
}

/** Who shares a screen, first sharer first. */
export function sharers(people: People): Person[] {
  return [...people.values()].filter((person) => person.screen !== null);
}

function rank(person: Person): number {
  if (person.self) return 0;
  if (person.role !== "attendee") return person.role === "host" ? 1 : 2;
  return person.microphone === "on" ? 3 : 4;
}

function sameAs(a: Person, b: Person): boolean {
  return (
    a.name === b.name &&
    a.role === b.role &&
    a.microphone === b.microphone &&
    a.camera === b.camera &&
    a.paused === b.paused &&
    a.screen === b.screen &&
    a.quality === b.quality &&
    a.joinedAt === b.joinedAt
  );
}
