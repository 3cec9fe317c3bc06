import { expect, test } from "vitest";
import { EMPTY_STAGE, inStrip, onPage, pageCount, reduceStage, type Stage } from "../../src/state/stage";

function names(count: number): string[] {
  return Array.from({ length: count }, (_, index) => `p${index}`);
}

function of(identities: readonly string[], pageSize = 49, self: string | null = "p0"): Stage {
  const sized = reduceStage(EMPTY_STAGE, { type: "stage-resized", pageSize }, 0);
  return reduceStage(sized, { type: "stage-people", identities, self }, 0);
}

test("arrivals come last and a gap closes", () => {
  const stage = reduceStage(of(["p0", "p1", "p2"]), { type: "stage-people", identities: ["p3", "p0", "p2"], self: "p0" }, 0);
  expect(stage.order).toEqual(["p0", "p2", "p3"]);
});

test("the same people in another order move nothing", () => {
  const stage = of(["p0", "p1"]);
  expect(reduceStage(stage, { type: "stage-people", identities: ["p1", "p0"], self: "p0" }, 0)).toBe(stage);
});

test("the own tile is on the first page", () => {
  expect(of(names(6), 3, "p5").order.slice(0, 3)).toContain("p5");
});

test("pages turn within their number, and shrink with it", () => {
  const stage = of(names(7), 3);
  expect(pageCount(stage)).toBe(3);
  const last = reduceStage(stage, { type: "page-turned", by: 9 }, 0);
  expect(onPage(last)).toEqual(["p6"]);
  expect(reduceStage(last, { type: "stage-people", identities: names(3), self: "p0" }, 0).page).toBe(0);
  expect(reduceStage(last, { type: "stage-resized", pageSize: 49 }, 0).page).toBe(0);
  expect(reduceStage(stage, { type: "page-turned", by: -1 }, 0).page).toBe(0);
});

test("who speaks on a later page changes places with the quietest of the first", () => {
  const busy = reduceStage(of(names(6), 3), { type: "stage-heard", identity: "p1", self: "p0" }, 10);
  const stage = reduceStage(busy, { type: "stage-heard", identity: "p5", self: "p0" }, 20);
  expect(stage.order).toEqual(["p0", "p1", "p5", "p3", "p4", "p2"]);
});

test("who speaks on the first page moves nobody", () => {
  const stage = of(names(6), 3);
  expect(reduceStage(stage, { type: "stage-heard", identity: "p2", self: "p0" }, 10).order).toEqual(stage.order);
});

test("a page of one tile holds oneself, and stays as it is", () => {
  const stage = of(names(3), 1);
  expect(reduceStage(stage, { type: "stage-heard", identity: "p2", self: "p0" }, 10).order).toEqual(stage.order);
});

test("the strip shows who spoke last, in the order of the gallery, and oneself", () => {
  const stage = reduceStage(of(names(6)), { type: "stage-heard", identity: "p4", self: "p0" }, 10);
  expect(inStrip(stage, 2, "p0")).toEqual(["p0", "p4"]);
  expect(inStrip(stage, 1, "p0")).toEqual(["p4"]);
  expect(inStrip(stage, 9, "p0")).toEqual(names(6));
});
