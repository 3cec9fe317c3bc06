/** Who waits before other meetings of a host, as they see it inside one. */

import type { WaitingPerson } from "./lobby";
import type { Waited } from "./waited";

/** One who waits, and before what. */
export interface Caller extends WaitingPerson {
  readonly code: string;
  /** Of the meeting; "" for one that was never named. */
  readonly title: string;
  /** They wait for a host to come, and nobody decides about them. */
  readonly early: boolean;
}

export interface Elsewhere {
  /** Those of whom this page tells, meeting by meeting in the order in which they came. */
  readonly callers: readonly Caller[];
  /** Knocks that this page has decided and that the server has not confirmed yet. */
  readonly deciding: ReadonlySet<string>;
  /** Knocks of which the reader wants to hear no more. */
  readonly dismissed: ReadonlySet<string>;
  /** Who came last, for screen readers; [] where nobody is new. */
  readonly arrived: readonly Caller[];
}

export type ElsewhereEvent =
  | { readonly type: "elsewhere-found"; readonly meetings: readonly Waited[] }
  | { readonly type: "elsewhere-deciding"; readonly id: string }
  | { readonly type: "elsewhere-undecided"; readonly id: string }
  | { readonly type: "elsewhere-dismissed" };

export const NOBODY_ELSEWHERE: Elsewhere = { callers: [], deciding: new Set(), dismissed: new Set(), arrived: [] };
/** As many have a card each; more are a number: the meeting around them is what the reader is here for. */
export const MOST_CALLERS = 2;

export function reduceElsewhere(elsewhere: Elsewhere, event: ElsewhereEvent): Elsewhere {
  switch (event.type) {
    case "elsewhere-found": {
      const all = event.meetings.flatMap(callersOf);
      const present = new Set(all.map(({ id }) => id));
      const dismissed = both(elsewhere.dismissed, present);
      const callers = all.filter(({ id }) => !dismissed.has(id));
      const known = new Set(elsewhere.callers.map(({ id }) => id));
      const arrived = callers.filter(({ id }) => !known.has(id));
      return {
        callers,
        deciding: both(elsewhere.deciding, present),
        dismissed,
        arrived: arrived.length > 0 ? arrived : elsewhere.arrived.filter(({ id }) => present.has(id)),
      };
    }
    case "elsewhere-deciding":
      return { ...elsewhere, deciding: new Set([...elsewhere.deciding, event.id]) };
    case "elsewhere-undecided":
      return { ...elsewhere, deciding: new Set([...elsewhere.deciding].filter((id) => id !== event.id)) };
    case "elsewhere-dismissed":
      return {
        ...elsewhere,
        callers: [],
        dismissed: new Set([...elsewhere.dismissed, ...elsewhere.callers.map(({ id }) => id)]),
        arrived: [],
      };
  }
}

function callersOf({ code, title, waiting, early }: Waited): Caller[] {
  return [
    ...waiting.map((person) => ({ ...person, code, title, early: false })),
    ...early.map((person) => ({ ...person, code, title, early: true })),
  ];
}

function both(one: ReadonlySet<string>, other: ReadonlySet<string>): ReadonlySet<string> {
  return new Set([...one].filter((id) => other.has(id)));
}
