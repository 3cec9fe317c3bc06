/** What attendees may do, as the room's own metadata says it, and what the server lets this person publish. */

import type { Person } from "./people";

export const ALLOWANCES = ["unmute", "video", "share", "chat", "rename"] as const;
export type Allowance = (typeof ALLOWANCES)[number];

export interface Rules {
  readonly locked: boolean;
  readonly muteOnEntry: boolean;
  readonly allow: ReadonlySet<Allowance>;
  /** Identities that everybody sees large. */
  readonly spotlight: readonly string[];
}

/** What this person may publish now: a host may have let one person alone unmute. */
export interface Permitted {
  readonly microphone: boolean;
  readonly camera: boolean;
  readonly screen: boolean;
}

/** What a host asks this person for; nothing happens without their word. */
export type Ask = "unmute" | "video";

export type RulesEvent =
  | { readonly type: "rules-changed"; readonly rules: Rules }
  | { readonly type: "permitted"; readonly permitted: Permitted }
  | { readonly type: "asked"; readonly ask: Ask }
  | { readonly type: "ask-answered" };

export const NO_RULES: Rules = { locked: false, muteOnEntry: false, allow: new Set(ALLOWANCES), spotlight: [] };
export const ALL_PERMITTED: Permitted = { microphone: true, camera: true, screen: true };

/** The rules in a room's metadata; a room without any allows everything. The server enforces them, whatever is read here. */
export function readRules(metadata: string | undefined): Rules {
  const found = property(parsed(metadata ?? ""), "veche");
  if (found === undefined) return NO_RULES;
  const allow = property(found, "allow");
  const spotlight = property(found, "spotlight");
  return {
    locked: property(found, "locked") === true,
    muteOnEntry: property(found, "muteOnEntry") === true,
    allow: Array.isArray(allow) ? new Set(ALLOWANCES.filter((name) => allow.includes(name))) : NO_RULES.allow,
    spotlight: Array.isArray(spotlight) ? spotlight.filter((one): one is string => typeof one === "string") : [],
  };
}

/** What a host's request asks for; null for what we do not know. */
export function readAsk(text: string): Ask | null {
  const ask = property(parsed(text), "ask");
  return ask === "unmute" || ask === "video" ? ask : null;
}

/** Whether this person may do what the rules leave to attendees. */
export function mayDo(rules: Rules, self: Person | null, allowance: Allowance): boolean {
  return rules.allow.has(allowance) || (self !== null && self.role !== "attendee");
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

function property(of: unknown, name: string): unknown {
  return typeof of === "object" && of !== null ? (Reflect.get(of, name) as unknown) : undefined;
}
