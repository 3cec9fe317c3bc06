/** What the client asks of the product: may I come in? */

import type { JoinProblem, WaitReason } from "./state/connection";

export interface Entry {
  readonly url: string;
  readonly token: string;
}

/** A request to come in that a host has to answer. The secret opens its event stream. */
export interface Knock {
  readonly id: string;
  readonly secret: string;
  readonly reason: WaitReason;
}

export type JoinAnswer = { readonly entry: Entry } | { readonly knock: Knock } | { readonly problem: JoinProblem };

export interface JoinRequest {
  readonly name: string;
  /** This tab's secret, so that a reload replaces itself instead of coming twice. */
  readonly tab: string;
  /** "" where none was typed. */
  readonly passcode: string;
  /** "" without a link for one person. */
  readonly ticket: string;
  /** Whether it counts who is signed in with this browser. */
  readonly cookies: boolean;
}

/** A server that has not answered by now will not be believed later, ms. */
const PATIENCE = 15_000;

/** Asks to enter. */
export async function askToJoin(code: string, { name, tab, passcode, ticket, cookies }: JoinRequest): Promise<JoinAnswer> {
  let response: Response;
  try {
    response = await fetch(`${pathOf(code)}/join`, {
      method: "POST",
      headers: { "content-type": "application/json", accept: "application/json" },
      credentials: cookies ? "same-origin" : "omit",
      body: JSON.stringify({ name, tab, ...(passcode === "" ? {} : { passcode }), ...(ticket === "" ? {} : { ticket }) }),
      signal: AbortSignal.timeout(PATIENCE),
    });
  } catch {
    return { problem: { code: "unreachable", detail: "" } };
  }
  const body: unknown = await response.json().catch(() => null);
  if (response.ok) {
    const [decision, url, token] = [field(body, "decision"), field(body, "url"), field(body, "token")];
    if (decision === "enter" && url !== "" && token !== "") return { entry: { url, token } };
    const [id, secret, reason] = [field(body, "knock"), field(body, "secret"), field(body, "reason")];
    if (decision === "wait" && id !== "") return { knock: { id, secret, reason: reason === "not_started" ? reason : "lobby" } };
  }
  return {
    problem: {
      code: field(body, "code") || `http-${response.status}`,
      detail: field(body, "detail") || field(body, "title"),
    },
  };
}

/** Asks for something about a meeting as who is inside, by their access token. Rejects where no answer comes. */
export async function askInside(method: string, path: string, token: string, body?: object): Promise<Response> {
  return fetch(path, {
    method,
    headers: {
      accept: "application/json",
      authorization: `Bearer ${token}`,
      ...(body && { "content-type": "application/json" }),
    },
    signal: AbortSignal.timeout(PATIENCE),
    ...(body && { body: JSON.stringify(body) }),
  });
}

/** The API's path of a meeting. */
export function pathOf(code: string): string {
  return `/api/v1/meetings/${encodeURIComponent(code)}`;
}

/** A text in an answer, "" where it is not there. */
export function field(body: unknown, name: string): string {
  if (typeof body !== "object" || body === null) return "";
  const value: unknown = Reflect.get(body, name);
  return typeof value === "string" ? value : "";
}
