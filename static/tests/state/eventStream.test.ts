import { expect, test } from "vitest";
import { readEvents } from "../../src/state/eventStream";

test("reads whole events and keeps the rest", () => {
  expect(readEvents("retry: 2000\n\ndata: {}\n\n:\n\ndata: {\"a\":1}\n\nda")).toEqual({ events: ["{}", '{"a":1}'], rest: "da" });
});

test("reads what comes in any pieces as what comes at once", () => {
  const text = ":\n\ndata: one\n\nevent: x\ndata: two\ndata:three\n\n";
  for (let first = 0; first <= text.length; first += 1) {
    const before = readEvents(text.slice(0, first));
    const after = readEvents(before.rest + text.slice(first));
    expect([...before.events, ...after.events]).toEqual(["one", "two\nthree"]);
  }
});

test("takes line ends of other systems", () => {
  expect(readEvents("data: one\r\n\r\n:\r\n\r\n")).toEqual({ events: ["one"], rest: "" });
});
