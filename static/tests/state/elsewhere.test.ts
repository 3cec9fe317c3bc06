import { describe, expect, test } from "vitest";
import { NOBODY_ELSEWHERE, reduceElsewhere, type Elsewhere } from "../../src/state/elsewhere";
import type { Waited } from "../../src/state/waited";

const person = (id: string) => ({ id, name: id, member: false });
const meeting = (code: string, waiting: string[], early: string[] = []): Waited => ({
  id: code,
  code,
  title: `About ${code}`,
  waiting: waiting.map(person),
  early: early.map(person),
});
const found = (elsewhere: Elsewhere, ...meetings: Waited[]): Elsewhere => reduceElsewhere(elsewhere, { type: "elsewhere-found", meetings });
const ids = (elsewhere: Elsewhere): string[] => elsewhere.callers.map(({ id }) => id);

describe("who waits before other meetings", () => {
  test("stands meeting by meeting, and who waits for a host to come is told apart", () => {
    const now = found(NOBODY_ELSEWHERE, meeting("a", ["anna"], ["boris"]), meeting("b", ["vera"]));
    expect(now.callers.map(({ id, code, early }) => [id, code, early])).toEqual([
      ["anna", "a", false],
      ["boris", "a", true],
      ["vera", "b", false],
    ]);
    expect(now.arrived).toEqual(now.callers);
  });

  test("is said once: who is there already is no news", () => {
    const first = found(NOBODY_ELSEWHERE, meeting("a", ["anna"]));
    const both = found(first, meeting("a", ["anna", "boris"]));
    expect(both.arrived.map(({ id }) => id)).toEqual(["boris"]);
    expect(found(both, meeting("a", ["anna"])).arrived).toEqual([]);
  });

  test("is not shown again once dismissed, but who comes later is", () => {
    const dismissed = reduceElsewhere(found(NOBODY_ELSEWHERE, meeting("a", ["anna"])), { type: "elsewhere-dismissed" });
    expect(ids(dismissed)).toEqual([]);
    expect(ids(found(dismissed, meeting("a", ["anna", "boris"])))).toEqual(["boris"]);
    const gone = found(dismissed, meeting("a", []));
    expect(ids(found(gone, meeting("a", ["anna"])))).toEqual(["anna"]);
  });

  test("can't be decided twice, and again where the server did not take it", () => {
    const start = found(NOBODY_ELSEWHERE, meeting("a", ["anna"]));
    const deciding = reduceElsewhere(start, { type: "elsewhere-deciding", id: "anna" });
    expect([...deciding.deciding]).toEqual(["anna"]);
    expect([...reduceElsewhere(deciding, { type: "elsewhere-undecided", id: "anna" }).deciding]).toEqual([]);
    expect([...found(deciding).deciding]).toEqual([]);
  });
});
