/** What this device and this tab remember. Storage may be forbidden or full: then nothing is remembered. */

import { parsePreferences, type Preferences } from "./state/preferences";

const PREFERENCES = "veche.preferences";
const TAB = "veche.tab";
const INSIDE = "veche.inside";
const PASSCODE = "veche.passcode";
const TICKET = "veche.ticket";
/** A secret of 128 bits can't be guessed. */
const TAB_BYTES = 16;

export function readPreferences(): Preferences {
  return parsePreferences(attempt(() => localStorage.getItem(PREFERENCES)));
}

export function writePreferences(preferences: Preferences): void {
  attempt(() => {
    localStorage.setItem(PREFERENCES, JSON.stringify(preferences));
    return null;
  });
}

/** For where storage is forbidden: who waits must be the same person when they are let in. */
let madeSecret = "";

/** This tab's secret, base64url: the same after a reload, another one in another tab. */
export function tabSecret(): string {
  const known = attempt(() => sessionStorage.getItem(TAB)) ?? madeSecret;
  if (known !== "") return known;
  const bytes = crypto.getRandomValues(new Uint8Array(TAB_BYTES));
  const secret = btoa(String.fromCharCode(...bytes))
    .replaceAll("+", "-")
    .replaceAll("/", "_")
    .replaceAll("=", "");
  madeSecret = secret;
  attempt(() => {
    sessionStorage.setItem(TAB, secret);
    return null;
  });
  return secret;
}

/** Whether this tab was inside the meeting when it was reloaded; a link that is opened anew leads to the preview. */
export function wasInside(code: string): boolean {
  const [loading] = performance.getEntriesByType("navigation") as PerformanceNavigationTiming[];
  return loading !== undefined && loading.type !== "navigate" && attempt(() => sessionStorage.getItem(INSIDE)) === code;
}

/** Remembers the meeting that this tab is in; null when it has left. */
export function rememberInside(code: string | null): void {
  attempt(() => {
    if (code === null) sessionStorage.removeItem(INSIDE);
    else sessionStorage.setItem(INSIDE, code);
    return null;
  });
}

/** The passcode that was typed for this meeting in this tab, so that a reload does not ask for it again. */
export function rememberedPasscode(code: string): string {
  return rememberedOf(PASSCODE, code);
}

export function rememberPasscode(code: string, passcode: string): void {
  rememberOf(PASSCODE, code, passcode);
}

/** The ticket by which this tab came to the meeting, as it was taken out of the address. */
export function rememberedTicket(code: string): string {
  return rememberedOf(TICKET, code);
}

export function rememberTicket(code: string, ticket: string): void {
  rememberOf(TICKET, code, ticket);
}

/** What this tab knows for one meeting. */
function rememberedOf(key: string, code: string): string {
  const [of, ...value] = attempt(() => sessionStorage.getItem(key))?.split(" ") ?? [];
  return of === code ? value.join(" ") : "";
}

function rememberOf(key: string, code: string, value: string): void {
  attempt(() => {
    sessionStorage.setItem(key, `${code} ${value}`);
    return null;
  });
}

function attempt(action: () => string | null): string | null {
  try {
    return action();
  } catch {
    return null;
  }
}
