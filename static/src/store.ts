/** Holds the meeting's state, applies events to it, and lets time pass for it. */

import { nextTime, reduceMeeting, type Meeting, type MeetingEvent } from "./state/meeting";

export interface Store {
  readonly state: () => Meeting;
  readonly dispatch: (event: MeetingEvent) => void;
  readonly subscribe: (listener: () => void) => () => void;
}

export function createStore(initial: Meeting, now: () => number = Date.now): Store {
  let state = initial;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const listeners = new Set<() => void>();

  function schedule(): void {
    clearTimeout(timer);
    const next = nextTime(state, now());
    if (next !== null) timer = setTimeout(() => dispatch({ type: "time-passed" }), Math.max(0, next - now()) + 1);
  }

  function dispatch(event: MeetingEvent): void {
    const before = state;
    state = reduceMeeting(state, event, now());
    schedule();
    if (state !== before) for (const listener of listeners) listener();
  }

  return {
    state: () => state,
    dispatch,
    subscribe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}
