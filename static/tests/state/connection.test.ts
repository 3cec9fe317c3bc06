import { describe, expect, test } from "vitest";
import { BEFORE, isInside, reduceConnection, type Connection, type ConnectionEvent } from "../../src/state/connection";

function after(...events: ConnectionEvent[]): Connection {
  return events.reduce((connection, event, index) => reduceConnection(connection, event, index * 1000), BEFORE);
}

const START: ConnectionEvent = { type: "join-started" };
const CONNECTED: ConnectionEvent = { type: "connected" };
const SHAKEN: ConnectionEvent = { type: "connection-shaken" };

test("joins", () => {
  expect(after(START)).toEqual({ phase: "joining", letIn: false });
  expect(after(START, CONNECTED)).toEqual({ phase: "connected", since: 1000 });
});

test("a refusal leads back to the preview with its reason", () => {
  const problem = { code: "room_full", detail: "" };
  expect(after(START, { type: "join-refused", problem })).toEqual({ phase: "before", problem });
});

test("a loss and a return keep the time of joining", () => {
  expect(after(START, CONNECTED, SHAKEN)).toEqual({ phase: "reconnecting", since: 2000, joinedAt: 1000 });
  expect(after(START, CONNECTED, SHAKEN, SHAKEN)).toMatchObject({ since: 2000 });
  expect(after(START, CONNECTED, SHAKEN, { type: "connection-restored" })).toEqual({ phase: "connected", since: 1000 });
});

test.each([SHAKEN, { type: "connection-restored" } as const])("%o means nothing before the meeting", (event) => {
  expect(after(event)).toEqual(BEFORE);
  expect(after(START, event)).toEqual({ phase: "joining", letIn: false });
});

test("the first reason for the end is the true one", () => {
  expect(after(START, CONNECTED, { type: "ended", reason: "left" }, { type: "ended", reason: "lost" })).toEqual({
    phase: "ended",
    reason: "left",
  });
});

test("what never began does not end", () => {
  expect(after({ type: "ended", reason: "lost" })).toEqual(BEFORE);
});

test.each([
  [BEFORE, false],
  [after(START), false],
  [after(START, CONNECTED), true],
  [after(START, CONNECTED, SHAKEN), true],
  [after(START, { type: "ended", reason: "lost" }), false],
] as const)("inside: %o %s", (connection, inside) => {
  expect(isInside(connection)).toBe(inside);
});

describe("waiting", () => {
  const BEGUN = { type: "wait-begun", reason: "lobby" } as const;

  test("begins, is told, is shaken, and is let in", () => {
    expect(after(START, BEGUN)).toEqual({ phase: "waiting", reason: "lobby", message: "", startsAt: null, shaken: false, moved: false });
    const told = { type: "wait-told", reason: "lobby", message: "Soon", startsAt: 1000 } as const;
    expect(after(START, BEGUN, told, { type: "wait-shaken" })).toEqual({ phase: "waiting", reason: "lobby", message: "Soon", startsAt: 1000, shaken: true, moved: false });
    expect(after(START, BEGUN, { type: "wait-shaken" }, told)).toEqual({ phase: "waiting", reason: "lobby", message: "Soon", startsAt: 1000, shaken: false, moved: false });
    expect(after(START, BEGUN, { type: "let-in" })).toEqual({ phase: "joining", letIn: true });
    expect(after(START, BEGUN, { type: "let-in" }, CONNECTED)).toMatchObject({ phase: "connected" });
  });

  test("tells that the time has changed, once one was told, and for good", () => {
    const at = (startsAt: number | null): ConnectionEvent => ({ type: "wait-told", reason: "lobby", message: "", startsAt });
    expect(after(START, BEGUN, at(1000), at(1000))).toMatchObject({ startsAt: 1000, moved: false });
    expect(after(START, BEGUN, at(1000), at(2000))).toMatchObject({ startsAt: 2000, moved: true });
    expect(after(START, BEGUN, at(1000), at(2000), { type: "wait-shaken" }, BEGUN, at(2000))).toMatchObject({ moved: true });
    expect(after(START, BEGUN, at(1000), at(null))).toMatchObject({ startsAt: null, moved: true });
  });

  test("goes on for who had to knock anew, with what they were told", () => {
    const told = { type: "wait-told", reason: "not_started", message: "Soon", startsAt: 1000 } as const;
    expect(after(START, { ...BEGUN, reason: "not_started" }, told, { type: "wait-shaken" }, BEGUN)).toEqual({
      phase: "waiting",
      reason: "lobby",
      message: "Soon",
      startsAt: 1000,
      shaken: false,
      moved: false,
    });
  });

  test.each(["refused", "expired", "withdrawn", "over", "cancelled"] as const)("may end as %s", (reason) => {
    expect(after(START, BEGUN, { type: "ended", reason })).toEqual({ phase: "ended", reason });
  });

  test("is not told what comes too late", () => {
    const late = [{ type: "wait-told", reason: "lobby", message: "Soon", startsAt: 1000 }, { type: "wait-shaken" }, { type: "let-in" }] as const;
    for (const event of late) expect(after(START, CONNECTED, event)).toMatchObject({ phase: "connected" });
  });
});
