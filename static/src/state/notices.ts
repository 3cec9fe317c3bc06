/** Short notices over the stage: joins and leaves collapse, chat shows while it is closed. */

import type { Role } from "./people";

export type NoticeBody =
  | { readonly kind: "joined"; readonly names: readonly string[] }
  | { readonly kind: "left"; readonly names: readonly string[] }
  | { readonly kind: "chat"; readonly name: string; readonly text: string }
  | { readonly kind: "muted-by-host" }
  | { readonly kind: "device-arrived"; readonly device: "microphone" | "camera" | "speaker"; readonly deviceId: string; readonly label: string }
  | { readonly kind: "device-gone"; readonly device: "microphone" | "camera" | "speaker" }
  | { readonly kind: "role"; readonly role: Role }
  | { readonly kind: "not-permitted"; readonly what: "microphone" | "camera" | "screen" }
  | { readonly kind: "host-failed" }
  | { readonly kind: "share-failed" }
  | { readonly kind: "copied" }
  | { readonly kind: "not-copied"; readonly link: string };

export type Notice = NoticeBody & { readonly id: number; readonly until: number };

export interface Notices {
  readonly shown: readonly Notice[];
  readonly next: number;
  /** Notices that the pointer or the focus holds don't vanish. */
  readonly held: boolean;
}

export type NoticesEvent =
  | { readonly type: "notice"; readonly body: NoticeBody }
  | { readonly type: "notice-dismissed"; readonly id: number }
  | { readonly type: "notices-held"; readonly held: boolean }
  | { readonly type: "notices-passed" };

/** How long a notice stays, ms; those that ask for something to be done stay longer. */
const STAY = 5000;
const STAY_WITH_ACTION = 12_000;
/** No more at once: the rest would hide the meeting. */
const MOST = 3;

export const NO_NOTICES: Notices = { shown: [], next: 1, held: false };

export function reduceNotices(notices: Notices, event: NoticesEvent, now: number): Notices {
  switch (event.type) {
    case "notice":
      return added(notices, event.body, now);
    case "notice-dismissed":
      return { ...notices, shown: notices.shown.filter((notice) => notice.id !== event.id) };
    case "notices-held":
      return {
        ...notices,
        held: event.held,
        shown: event.held ? notices.shown : notices.shown.map((notice) => ({ ...notice, until: Math.max(notice.until, now + 2000) })),
      };
    case "notices-passed":
      return notices.held ? notices : { ...notices, shown: notices.shown.filter((notice) => notice.until > now) };
  }
}

export function nextNoticesTime(notices: Notices): number | null {
  if (notices.held || notices.shown.length === 0) return null;
  return Math.min(...notices.shown.map((notice) => notice.until));
}

function added(notices: Notices, body: NoticeBody, now: number): Notices {
  const until = now + (body.kind === "device-arrived" || body.kind === "not-copied" ? STAY_WITH_ACTION : STAY);
  const same = notices.shown.find((notice) => notice.kind === body.kind);
  if (same && (body.kind === "joined" || body.kind === "left") && "names" in same) {
    const merged: Notice = { ...body, names: [...same.names, ...body.names], id: same.id, until };
    return { ...notices, shown: notices.shown.map((notice) => (notice.id === same.id ? merged : notice)) };
  }
  // Of each kind only the latest: three messages would hide a face.
  const others = notices.shown.filter((notice) => notice.kind !== body.kind);
  return { ...notices, next: notices.next + 1, shown: [...others, { ...body, id: notices.next, until }].slice(-MOST) };
}
