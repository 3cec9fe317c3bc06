/** The life of a visit's connection, from the first attempt to the page after it. */

/**
 * Why a visit ended. `lost` is the network or the server; the others are somebody's will. `refused`, `expired`,
 * `withdrawn` and, of a meeting that was ended or does not take place, `over` and `cancelled` end the waiting before it.
 */
export type EndReason =
  | "left"
  | "removed"
  | "ended"
  | "duplicate"
  | "lost"
  | "refused"
  | "expired"
  | "withdrawn"
  | "over"
  | "cancelled";

/** What somebody waits for: a host's word, or a host. */
export type WaitReason = "lobby" | "not_started";

/** What who waits is told of. */
export interface Wait {
  readonly reason: WaitReason;
  /** What hosts say to all who wait; "" for nothing. */
  readonly message: string;
  /** When the meeting is planned, Unix ms; null where it is not. */
  readonly startsAt: number | null;
}

/** Why the server did not let someone in, or `unreachable` where it gave no answer. */
export interface JoinProblem {
  readonly code: string;
  /** The server's own words, for codes that this client does not know. */
  readonly detail: string;
}

export type Connection =
  | { readonly phase: "before"; readonly problem: JoinProblem | null }
  | { readonly phase: "joining"; readonly letIn: boolean }
  /** `moved`: the planned time has changed meanwhile. */
  | ({ readonly phase: "waiting"; readonly shaken: boolean; readonly moved: boolean } & Wait)
  | { readonly phase: "connected"; readonly since: number }
  | { readonly phase: "reconnecting"; readonly since: number; readonly joinedAt: number }
  | { readonly phase: "ended"; readonly reason: EndReason };

export type ConnectionEvent =
  | { readonly type: "join-started" }
  | { readonly type: "join-refused"; readonly problem: JoinProblem }
  | { readonly type: "wait-begun"; readonly reason: WaitReason }
  | ({ readonly type: "wait-told" } & Wait)
  | { readonly type: "wait-shaken" }
  | { readonly type: "let-in" }
  | { readonly type: "connected" }
  | { readonly type: "connection-shaken" }
  | { readonly type: "connection-restored" }
  | { readonly type: "ended"; readonly reason: EndReason };

export const BEFORE: Connection = { phase: "before", problem: null };
/** After this long without a connection the banner offers to join anew, ms. */
export const OFFER_REJOIN = 30_000;

export function reduceConnection(connection: Connection, event: ConnectionEvent, now: number): Connection {
  switch (event.type) {
    case "join-started":
      return { phase: "joining", letIn: false };
    case "join-refused":
      return { phase: "before", problem: event.problem };
    case "wait-begun":
      // Whoever waits already and had to knock anew keeps what they were told.
      return connection.phase === "waiting"
        ? { ...connection, reason: event.reason, shaken: false }
        : { phase: "waiting", reason: event.reason, message: "", startsAt: null, shaken: false, moved: false };
    case "wait-told": {
      if (connection.phase !== "waiting") return connection;
      const { reason, message, startsAt } = event;
      // Before anything was told there is no time, which then does not change.
      const moved = connection.moved || (connection.startsAt !== null && connection.startsAt !== startsAt);
      return { phase: "waiting", reason, message, startsAt, shaken: false, moved };
    }
    case "wait-shaken":
      return connection.phase === "waiting" ? { ...connection, shaken: true } : connection;
    case "let-in":
      return connection.phase === "waiting" ? { phase: "joining", letIn: true } : connection;
    case "connected":
      return { phase: "connected", since: now };
    case "connection-shaken":
      return connection.phase === "connected"
        ? { phase: "reconnecting", since: now, joinedAt: connection.since }
        : connection;
    case "connection-restored":
      return connection.phase === "reconnecting" ? { phase: "connected", since: connection.joinedAt } : connection;
    case "ended":
      // The first reason is the true one: leaving closes the connection, which must not read as a loss.
      return connection.phase === "ended" || connection.phase === "before" ? connection : { phase: "ended", reason: event.reason };
  }
}

export function isInside(connection: Connection): boolean {
  return connection.phase === "connected" || connection.phase === "reconnecting";
}
