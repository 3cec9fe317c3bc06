import { expect, test } from "vitest";
import { countOf, filled, marked, waitedIn } from "../../src/state/waited";

const BORIS = { id: "KN_1", name: "<b>Борис</b>", member: false };

test("reads who waits, and takes names as text", () => {
  const data = JSON.stringify({
    meetings: [{ id: "MT_1", code: "bcdf-ghjk-mnpq", title: "Weekly", waiting: [{ ...BORIS, since: "2030" }], early: [{ ...BORIS, id: "KN_2", member: true }] }],
  });
  const found = waitedIn(data);
  expect(found).toEqual([
    { id: "MT_1", code: "bcdf-ghjk-mnpq", title: "Weekly", waiting: [BORIS], early: [{ ...BORIS, id: "KN_2", member: true }] },
  ]);
  expect(countOf(found ?? [])).toBe(2);
});

test.each(["", "{", "null", "[]", '{"meetings": 3}'])("takes %s for nothing of ours", (data) => {
  expect(waitedIn(data)).toBeNull();
});

test("marks the title with how many wait", () => {
  expect(marked("Meetings – Veche", 2)).toBe("(2) Meetings – Veche");
  expect(marked("(2) Meetings – Veche", 11)).toBe("(11) Meetings – Veche");
  expect(marked("(2) Meetings – Veche", 0)).toBe("Meetings – Veche");
  expect(marked("Meetings (2) – Veche", 0)).toBe("Meetings (2) – Veche");
});

test("fills a text in, whatever the value looks like", () => {
  expect(filled("Waiting: %(names)s", "names", "$& %(names)s")).toBe("Waiting: $& %(names)s");
});
