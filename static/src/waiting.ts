/** Waiting before a meeting: reads a knock's event stream, over losses, until something is decided. */

import { field, pathOf, type Knock } from "./api";
import type { Wait } from "./state/connection";
import { readEvents } from "./state/eventStream";

export type Told =
  | ({ readonly kind: "waiting" } & Wait)
  /** A host let this person in, or has come: ask to join again. */
  | { readonly kind: "let-in" }
  | { readonly kind: "refused" }
  | { readonly kind: "expired" }
  /** The meeting was ended for all. */
  | { readonly kind: "over" }
  /** The connection is gone and is being restored. */
  | { readonly kind: "shaken" }
  /** The server does not know the knock any more: knock anew. */
  | { readonly kind: "forgotten" };

/** Pauses before attempts to come back, ms. */
const PAUSES = [500, 1000, 2000, 4000];
/** The server sends something every fifteen seconds; after so long without it the connection is dead, ms. */
const SILENCE = 40_000;

/** Waits until the last of `tell`, or until what it answers is called. */
export function wait(code: string, knock: Knock, tell: (told: Told) => void): () => void {
  const stopped = new AbortController();
  void keepReading(code, knock, tell, stopped.signal);
  return () => stopped.abort();
}

/** Says that this person waits no longer, also while the page goes away. */
export function withdraw(code: string, knock: Knock): void {
  void fetch(`${pathOf(code)}/knocks/${knock.id}`, { method: "DELETE", headers: proofOf(knock), keepalive: true }).catch(() => undefined);
}

async function keepReading(code: string, knock: Knock, tell: (told: Told) => void, stopped: AbortSignal): Promise<void> {
  let losses = 0;
  const over = (): boolean => stopped.aborted;
  while (!over()) {
    const heard = await readOnce(code, knock, tell, stopped);
    if (heard === "over" || over()) return;
    losses = heard === "something" ? 0 : losses + 1;
    tell({ kind: "shaken" });
    await pause(PAUSES[Math.min(losses, PAUSES.length - 1)] ?? 0, stopped);
  }
}

/** One connection: whether all is said, or something was heard before it was lost. */
async function readOnce(code: string, knock: Knock, tell: (told: Told) => void, stopped: AbortSignal): Promise<"over" | "something" | "nothing"> {
  const silent = new AbortController();
  let timer = setTimeout(() => silent.abort(), SILENCE);
  let heard: "something" | "nothing" = "nothing";
  try {
    const response = await fetch(`${pathOf(code)}/knocks/${knock.id}/events`, {
      headers: { ...proofOf(knock), accept: "text/event-stream" },
      cache: "no-store",
      signal: AbortSignal.any([stopped, silent.signal]),
    });
    if (response.status === 404) {
      tell({ kind: "forgotten" });
      return "over";
    }
    if (!response.ok || response.body === null) return heard;
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return heard;
      clearTimeout(timer);
      timer = setTimeout(() => silent.abort(), SILENCE);
      const read = readEvents(rest + value);
      rest = read.rest;
      for (const data of read.events) {
        const told = toldBy(data);
        if (told === null || stopped.aborted) continue;
        heard = "something";
        tell(told);
        if (told.kind !== "waiting") return "over";
      }
    }
  } catch {
    return heard;
  } finally {
    clearTimeout(timer);
  }
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

function pause(time: number, stopped: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, time);
    stopped.addEventListener("abort", () => {
      clearTimeout(timer);
      resolve();
    });
  });
}
