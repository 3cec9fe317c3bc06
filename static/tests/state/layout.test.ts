import { expect, test } from "vitest";
import { besidePager, gallery, MOST_TILES, pageSize, stripTiles, withStrip, type Box, type Size } from "../../src/state/layout";

const GAP = 8;
const DESK: Size = { width: 1416, height: 774 };
const PHONE: Size = { width: 378, height: 733 };
const WALL: Size = { width: 3800, height: 2000 };

function overlap(a: Box, b: Box): boolean {
  return a.left < b.left + b.width && b.left < a.left + a.width && a.top < b.top + b.height && b.top < a.top + a.height;
}

test.each([DESK, PHONE, WALL])("tiles of any number stay within %o, apart, and of one size", (container) => {
  for (let count = 1; count <= MOST_TILES; count += 1) {
    const boxes = gallery(count, container, GAP);
    expect(boxes).toHaveLength(count);
    for (const [index, box] of boxes.entries()) {
      expect(box.left).toBeGreaterThanOrEqual(0);
      expect(box.top).toBeGreaterThanOrEqual(0);
      // Rounding may cost a pixel.
      expect(box.left + box.width).toBeLessThanOrEqual(container.width + 1);
      expect(box.top + box.height).toBeLessThanOrEqual(container.height + 1);
      expect([box.width, box.height]).toEqual([boxes[0]?.width, boxes[0]?.height]);
      for (const other of boxes.slice(index + 1)) expect(overlap(box, other)).toBe(false);
    }
  }
});

test("two people share a desk side by side and a phone one above the other", () => {
  const [left, right] = gallery(2, DESK, GAP);
  expect(left?.top).toBe(right?.top);
  const [upper, lower] = gallery(2, PHONE, GAP);
  expect(upper?.left).toBe(lower?.left);
});

test("four are two and two at a desk, and fill its width", () => {
  const boxes = gallery(4, DESK, GAP);
  expect(new Set(boxes.map(({ left }) => left)).size).toBe(2);
  expect(boxes[0]?.left).toBe(0);
});

test("the last row is in the middle", () => {
  const boxes = gallery(5, DESK, GAP);
  const last = boxes[4];
  const before = boxes[3];
  if (!last || !before) throw new Error("no boxes");
  expect(Math.abs(before.left + last.left + last.width - DESK.width)).toBeLessThanOrEqual(2);
});

test("no tile is wider than 1.9 to 1 or taller than wide", () => {
  for (const container of [DESK, PHONE, { width: 2000, height: 100 }]) {
    for (const { width, height } of gallery(3, container, GAP)) {
      expect(width / height).toBeLessThan(1.95);
      expect(width / height).toBeGreaterThan(0.98);
    }
  }
});

test.each([
  [0, DESK],
  [3, { width: 0, height: 100 }],
  [3, { width: 100, height: 0 }],
])("nothing to place: %i in %o", (count, container) => {
  expect(gallery(count, container, GAP)).toEqual([]);
});

test("a page holds as many tiles as stay readable", () => {
  expect(pageSize(WALL, GAP)).toBe(MOST_TILES);
  expect(pageSize({ width: 100, height: 100 }, GAP)).toBe(1);
  expect(pageSize({ width: 0, height: 0 }, GAP)).toBe(MOST_TILES);
  const count = pageSize(PHONE, GAP);
  expect(count).toBeGreaterThan(4);
  expect(count).toBeLessThan(MOST_TILES);
  expect(gallery(count, PHONE, GAP)[0]?.width).toBeGreaterThanOrEqual(132);
});

test("the pager takes its room only where there are pages", () => {
  const fits = pageSize(PHONE, GAP);
  expect(besidePager(fits, PHONE, GAP)).toEqual(PHONE);
  expect(besidePager(fits + 1, PHONE, GAP).height).toBeLessThan(PHONE.height);
});

test.each([
  [DESK, "column"],
  [PHONE, "row"],
] as const)("a shared screen in %o leaves a strip in a %s", (container, along) => {
  const cut = withStrip(container, GAP);
  expect(cut.along).toBe(along);
  expect(overlap(cut.main, cut.strip)).toBe(false);
  expect(cut.main.width * cut.main.height).toBeGreaterThan(cut.strip.width * cut.strip.height * 2);
});

test("the strip shows as many as fit, at least one", () => {
  const { strip, along } = withStrip(DESK, GAP);
  const boxes = stripTiles(20, strip, along, GAP);
  expect(boxes.length).toBeLessThan(20);
  for (const box of boxes) expect(box.top + box.height).toBeLessThanOrEqual(strip.height);
  expect(stripTiles(2, strip, along, GAP)).toHaveLength(2);
  expect(stripTiles(3, { width: 10, height: 84 }, "row", GAP)).toHaveLength(1);
});
