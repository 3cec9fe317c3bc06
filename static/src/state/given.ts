/**
 * What the address of a meeting's page asks for: `/embed/CODE?audio=off&preview=off#name=Anna&t=TICKET`.
 *
 * What says something of a person stands in the fragment, which browsers send to nobody: no log has it, no referrer.
 */

import { LONGEST_NAME, type Theme } from "./preferences";

export interface Given {
  /** As others are to see this person; "" leaves it to them. A ticket's name goes before it. */
  readonly name: string;
  /** A host's signed word for this one person, "" for none. */
  readonly ticket: string;
  readonly passcode: string;
  /** Null leaves it to the person. */
  readonly theme: Theme | null;
  /** Whether the preview starts with them. */
  readonly microphone: boolean;
  readonly camera: boolean;
  /** False comes in at once, where a name is known. */
  readonly preview: boolean;
}

export const NOTHING_GIVEN: Given = { name: "", ticket: "", passcode: "", theme: null, microphone: true, camera: true, preview: true };

/** Reads the query and the fragment of an address. */
export function readGiven(query: string, fragment: string): Given {
  const open = new URLSearchParams(query);
  const personal = valuesOf(fragment);
  const ticket = personal.get("t") ?? "";
  const theme = open.get("theme");
  return {
    name: nameIn(ticket) || (personal.get("name") ?? "").trim().slice(0, LONGEST_NAME),
    ticket,
    passcode: personal.get("p") ?? "",
    theme: theme === "light" || theme === "dark" ? theme : null,
    microphone: open.get("audio") !== "off",
    camera: open.get("video") !== "off",
    preview: open.get("preview") !== "off",
  };
}

/** Whether a fragment holds what is nobody else's business. */
export function isPersonal(fragment: string): boolean {
  const values = valuesOf(fragment);
  return ["name", "t", "p"].some((name) => values.has(name));
}

/** The name in a ticket, to be shown; "" in what is none. Whether the ticket is good only the server can tell. */
export function nameIn(ticket: string): string {
  const [, payload = ""] = ticket.split(".");
  try {
    const bytes = Uint8Array.from(atob(payload.replaceAll("-", "+").replaceAll("_", "/")), (character) => character.charCodeAt(0));
    const claims: unknown = JSON.parse(new TextDecoder().decode(bytes));
    const name = at(at(at(claims, "veche"), "ticket"), "name");
    return typeof name === "string" ? name : "";
  } catch {
    return "";
  }
}

function at(value: unknown, name: string): unknown {
  return typeof value === "object" && value !== null ? Reflect.get(value, name) : undefined;
}

/** A plus is a plus: links were made with encodeURIComponent. */
function valuesOf(fragment: string): URLSearchParams {
  return new URLSearchParams(fragment.replace(/^#/u, "").replaceAll("+", "%2B"));
}
