/** Server-sent events as they come in pieces (HTML standard, 9.2). Of ours only `data` is used. */

export interface Read {
  /** The data of each event that is whole by now. */
  readonly events: readonly string[];
  /** What belongs to the next one. */
  readonly rest: string;
}

/** Reads what has come so far: `rest` of the last time with the new piece behind it. */
export function readEvents(text: string): Read {
  const parts = text.replaceAll("\r\n", "\n").split("\n\n");
  const rest = parts.pop() ?? "";
  const events = parts
    .map((part) => part.split("\n").filter((line) => line.startsWith("data:")).map((line) => line.slice(5).replace(/^ /u, "")).join("\n"))
    .filter((data) => data !== "");
  return { events, rest };
}
