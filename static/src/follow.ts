/** Follows a stream of server-sent events over losses. */

import { readEvents } from "./state/eventStream";

/** Pauses before attempts to come back, ms. */
const PAUSES = [500, 1000, 2000, 4000];
/** The server sends something every fifteen seconds; after so long without it the connection is dead, ms. */
const SILENCE = 40_000;

export interface Stream {
  readonly address: string;
  readonly headers: Readonly<Record<string, string>>;
  /** Takes the data of an event; whether it was the last one. */
  take(data: string): boolean;
  /** The server answers with another status than 200; whether to ask no more. */
  refused(status: number): boolean;
  /** The connection is gone and is being restored. */
  lost(): void;
}

/** Reads until the stream says that it is over, or until `stopped`. */
export async function follow(stream: Stream, stopped: AbortSignal): Promise<void> {
  let losses = 0;
  const over = (): boolean => stopped.aborted;
  while (!over()) {
    const heard = await readOnce(stream, stopped);
    if (heard === "over" || over()) return;
    losses = heard === "something" ? 0 : losses + 1;
    stream.lost();
    await pause(PAUSES[Math.min(losses, PAUSES.length - 1)] ?? 0, stopped);
  }
}

/** One connection: whether all is said, or something was heard before it was lost. */
async function readOnce(stream: Stream, stopped: AbortSignal): Promise<"over" | "something" | "nothing"> {
  const silent = new AbortController();
  let timer = setTimeout(() => silent.abort(), SILENCE);
  let heard: "something" | "nothing" = "nothing";
  try {
    const response = await fetch(stream.address, {
      headers: { ...stream.headers, accept: "text/event-stream" },
      cache: "no-store",
      signal: AbortSignal.any([stopped, silent.signal]),
    });
    if (!response.ok && stream.refused(response.status)) return "over";
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
        if (stopped.aborted) return "over";
        heard = "something";
        if (stream.take(data)) return "over";
      }
    }
  } catch {
    return heard;
  } finally {
    clearTimeout(timer);
  }
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
