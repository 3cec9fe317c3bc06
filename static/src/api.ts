/** The one request that the client makes of the product: may I come in? */

import type { JoinProblem } from "./state/connection";

export interface Entry {
  readonly url: string;
  readonly token: string;
}

export type JoinAnswer = { readonly entry: Entry } | { readonly problem: JoinProblem };

/** A server that has not answered by now will not be believed later, ms. */
const PATIENCE = 15_000;

/** Asks to enter; `tab` is this tab's secret, so that a reload replaces itself instead of coming twice. */
export async function askToJoin(code: string, name: string, tab: string): Promise<JoinAnswer> {
  let response: Response;
  try {
    response = await fetch(`/api/v1/meetings/${encodeURIComponent(code)}/join`, {
      method: "POST",
      headers: { "content-type": "application/json", accept: "application/json" },
      credentials: "same-origin",
      body: JSON.stringify({ name, tab }),
      signal: AbortSignal.timeout(PATIENCE),
    });
  } catch {
    return { problem: { code: "unreachable", detail: "" } };
  }
  const body: unknown = await response.json().catch(() => null);
  const url = field(body, "url");
  const token = field(body, "token");
  if (response.ok && field(body, "decision") === "enter" && url !== "" && token !== "") return { entry: { url, token } };
  return {
    problem: {
      code: field(body, "code") || `http-${response.status}`,
      detail: field(body, "detail") || field(body, "title"),
    },
  };
}

function field(body: unknown, name: string): string {
  if (typeof body !== "object" || body === null) return "";
  const value: unknown = Reflect.get(body, name);
  return typeof value === "string" ? value : "";
}
