/** What is remembered on this device. Anything unreadable falls back to the defaults. */

import type { DeviceKind, InputKind } from "./devices";

export type Theme = "auto" | "light" | "dark";

export interface Preferences {
  readonly name: string;
  readonly wanted: Readonly<Record<InputKind, boolean>>;
  readonly chosen: Readonly<Record<DeviceKind, string>>;
  readonly theme: Theme;
  /** Show the own picture as a mirror does. */
  readonly mirror: boolean;
  readonly shortcuts: boolean;
}

export const DEFAULTS: Preferences = {
  name: "",
  wanted: { microphone: true, camera: true },
  chosen: { microphone: "", camera: "", speaker: "" },
  theme: "auto",
  mirror: true,
  shortcuts: true,
};

/** Longest name that the server takes, in characters. */
export const LONGEST_NAME = 64;

export function parsePreferences(text: string | null): Preferences {
  const found = record(parsed(text));
  const wanted = record(found["wanted"]);
  const chosen = record(found["chosen"]);
  return {
    name: string(found["name"], DEFAULTS.name).slice(0, LONGEST_NAME),
    wanted: { microphone: flag(wanted["microphone"], true), camera: flag(wanted["camera"], true) },
    chosen: {
      microphone: string(chosen["microphone"], ""),
      camera: string(chosen["camera"], ""),
      speaker: string(chosen["speaker"], ""),
    },
    theme: found["theme"] === "light" || found["theme"] === "dark" ? found["theme"] : "auto",
    mirror: flag(found["mirror"], DEFAULTS.mirror),
    shortcuts: flag(found["shortcuts"], DEFAULTS.shortcuts),
  };
}

function parsed(text: string | null): unknown {
  try {
    return JSON.parse(text ?? "null");
  } catch {
    return null;
  }
}

function record(value: unknown): Record<string, unknown> {
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
}

function string(value: unknown, otherwise: string): string {
  return typeof value === "string" ? value : otherwise;
}

function flag(value: unknown, otherwise: boolean): boolean {
  return typeof value === "boolean" ? value : otherwise;
}
