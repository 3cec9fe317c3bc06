/** People for tests: named by their identity, with camera and microphone on. */

import type { Person } from "../src/state/people";

export function person(identity: string, change: Partial<Person> = {}): Person {
  return {
    identity,
    name: identity,
    self: false,
    role: "attendee",
    microphone: "on",
    camera: "camera",
    paused: false,
    screen: null,
    quality: "good",
    joinedAt: 0,
    ...change,
  };
}
