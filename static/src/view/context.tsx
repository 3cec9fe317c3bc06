/** Gives views the visit and the parts of its state that they ask for. */

import { createContext, use, useSyncExternalStore } from "react";
import type { Meeting } from "../state/meeting";
import { selfOf, type Person } from "../state/people";
import type { Visit } from "../visit";

export const VisitContext = createContext<Visit | null>(null);

export function useVisit(): Visit {
  const visit = use(VisitContext);
  if (!visit) throw new Error("a view stands outside VisitContext");
  return visit;
}

/** A part of the state; `select` answers the same object while nothing changed. */
export function useMeeting<Part>(select: (meeting: Meeting) => Part): Part {
  const { store } = useVisit();
  return useSyncExternalStore(store.subscribe, () => select(store.state()));
}

export function useSelf(): Person | null {
  return useMeeting((meeting) => selfOf(meeting.people));
}
