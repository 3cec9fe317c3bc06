/** Waiting before a meeting: reads a knock's event stream, over losses, until something is decided. */

import { field, pathOf, type Knock } from "./api";
import { follow, type Stream } from "./follow";
import type { Wait } from "./state/connection";

export type Told =
  | ({ readonly kind: "waiting" } & Wait)
  /** A host let this person in, or has come: ask to join again. */
  | { readonly kind: "let-in" }
  | { readonly kind: "refused" }
  | { readonly kind: "expired" }
  /** The meeting was ended for all. */
  | { readonly kind: "over" }
  /** The meeting does not take place. */
  | { readonly kind: "cancelled" }
  /** The connection is gone and is being restored. */
  | { readonly kind: "shaken" }
  /** The server does not know the knock any more: knock anew. */
  | { readonly kind: "forgotten" };

/** Waits until the last of `tell`, or until what it answers is called. */
export function wait(code: string, knock: Knock, tell: (told: Told) => void): () => void {
  const stopped = new AbortController();
  const stream: Stream = {
    address: `${pathOf(code)}/knocks/${knock.id}/events`,
    headers: proofOf(knock),
    take: (data) => {
      const told = toldBy(data);
      if (told === null) return false;
      tell(told);
      return told.kind !== "waiting";
    },
    refused: (status) => {
      if (status === 404) tell({ kind: "forgotten" });
      return status === 404;
    },
    lost: () => tell({ kind: "shaken" }),
  };
  void follow(stream, stopped.signal);
  return () => stopped.abort();
}

/** Says that this person waits no longer, also while the page goes away. */
export function withdraw(code: string, knock: Knock): void {
  void fetch(`${pathOf(code)}/knocks/${knock.id}`, { method: "DELETE", headers: proofOf(knock), keepalive: true }).catch(() => undefined);
}

function toldBy(data: string): Told | null {
  let body: unknown;
  try {
    body = JSON.parse(data);
  } catch {
    return null;
  }
  switch (field(body, "event")) {
    case "waiting":
      return {
        kind: "waiting",
        reason: field(body, "reason") === "not_started" ? "not_started" : "lobby",
        message: field(body, "message"),
        startsAt: timeIn(field(body, "starts_at")),
      };
    case "admitted":
    case "started":
      return { kind: "let-in" };
    case "refused":
      return { kind: "refused" };
    case "expired":
      return { kind: "expired" };
    case "ended":
      return { kind: "over" };
    case "cancelled":
      return { kind: "cancelled" };
    default:
      return null;
  }
}

/** Unix ms of an RFC 3339 time; null where there is none. */
function timeIn(text: string): number | null {
  const time = Date.parse(text);
  return Number.isNaN(time) ? null : time;
}

/** Never in the address: that stands in logs and histories. */
function proofOf(knock: Knock): Record<string, string> {
  return { authorization: `Knock ${knock.secret}` };
}
