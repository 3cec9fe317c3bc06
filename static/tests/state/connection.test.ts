import { expect, test } from "vitest";
import { BEFORE, isInside, reduceConnection, type Connection, type ConnectionEvent } from "../../src/state/connection";

function after(...events: ConnectionEvent[]): Connection {
  return events.reduce((connection, event, index) => reduceConnection(connection, event, index * 1000), BEFORE);
}

const START: ConnectionEvent = { type: "join-started" };
const CONNECTED: ConnectionEvent = { type: "connected" };
const SHAKEN: ConnectionEvent = { type: "connection-shaken" };

test("joins", () => {
  expect(after(START)).toEqual({ phase: "joining" });
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
  expect(after(START, event)).toEqual({ phase: "joining" });
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
