import { expect, test } from "vitest";
import { nextNoticesTime, NO_NOTICES, reduceNotices, type NoticeBody, type Notices } from "../../src/state/notices";

function shown(now: number, ...bodies: NoticeBody[]): Notices {
  return bodies.reduce((notices, body) => reduceNotices(notices, { type: "notice", body }, now), NO_NOTICES);
}

test("joins collapse into one, and so do leaves", () => {
  const notices = shown(0, { kind: "joined", names: ["Anna"] }, { kind: "left", names: ["Vera"] }, { kind: "joined", names: ["Boris"] });
  expect(notices.shown).toMatchObject([
    { kind: "joined", names: ["Anna", "Boris"] },
    { kind: "left", names: ["Vera"] },
  ]);
});

test("of other kinds the latest stands alone", () => {
  const notices = shown(0, { kind: "chat", name: "A", text: "1" }, { kind: "copied" }, { kind: "chat", name: "B", text: "2" });
  expect(notices.shown).toMatchObject([{ kind: "copied" }, { kind: "chat", text: "2" }]);
});

test("no more than three at once", () => {
  const notices = shown(0, { kind: "copied" }, { kind: "share-failed" }, { kind: "muted-by-host" }, { kind: "joined", names: ["A"] });
  expect(notices.shown.map(({ kind }) => kind)).toEqual(["share-failed", "muted-by-host", "joined"]);
});

test("they go by themselves, those with something to do later", () => {
  const notices = shown(0, { kind: "copied" }, { kind: "device-arrived", device: "camera", deviceId: "c", label: "C" });
  expect(nextNoticesTime(notices)).toBe(5000);
  const later = reduceNotices(notices, { type: "notices-passed" }, 5000);
  expect(later.shown.map(({ kind }) => kind)).toEqual(["device-arrived"]);
  expect(nextNoticesTime(later)).toBe(12_000);
  expect(nextNoticesTime(reduceNotices(later, { type: "notices-passed" }, 12_000))).toBeNull();
});

test("held by the pointer they stay, and two seconds more after it", () => {
  const held = reduceNotices(shown(0, { kind: "copied" }), { type: "notices-held", held: true }, 1000);
  expect(nextNoticesTime(held)).toBeNull();
  expect(reduceNotices(held, { type: "notices-passed" }, 60_000).shown).toHaveLength(1);
  const let_go = reduceNotices(held, { type: "notices-held", held: false }, 60_000);
  expect(nextNoticesTime(let_go)).toBe(62_000);
});

test("one is dismissed by its id", () => {
  const notices = shown(0, { kind: "copied" }, { kind: "share-failed" });
  const rest = reduceNotices(notices, { type: "notice-dismissed", id: notices.shown[0]?.id ?? 0 }, 0);
  expect(rest.shown.map(({ kind }) => kind)).toEqual(["share-failed"]);
});
