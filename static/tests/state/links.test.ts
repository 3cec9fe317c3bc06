import { expect, test } from "vitest";
import { piecesOf } from "../../src/state/links";

function links(text: string): (string | null)[] {
  return piecesOf(text).flatMap(({ href }) => (href === null ? [] : [href]));
}

test.each([
  ["see https://veche.example/a?b=c#d now", "https://veche.example/a?b=c#d"],
  ["(http://veche.example/wiki/Veche_(assembly))", "http://veche.example/wiki/Veche_(assembly)"],
  ["https://veche.example/end.", "https://veche.example/end"],
  ["«https://veche.example/кавычки»", "https://veche.example/кавычки"],
  ["HTTPS://VECHE.EXAMPLE", "HTTPS://VECHE.EXAMPLE"],
  ["https://veche.example/a), b", "https://veche.example/a"],
])("finds the address in %j", (text, address) => {
  expect(links(text)).toEqual([address]);
});

test.each(["javascript:alert(1)", "data:text/html,x", "veche.example", "xhttps://a.example", "https://", "http://[", "mailto:a@b.example"])(
  "%j is no link",
  (text) => {
    expect(links(text)).toEqual([]);
  },
);

test.each(["", "plain", "a https://a.example/b, https://c.example! d", "<https://a.example>", "ссылка https://a.example…"])(
  "the pieces of %j are the text again",
  (text) => {
    expect(piecesOf(text).map((piece) => piece.text).join("")).toBe(text);
  },
);

test("a long text of brackets is read quickly", () => {
  const text = `https://a.example/${"(".repeat(2000)}${")".repeat(2000)}`;
  expect(piecesOf(text).map((piece) => piece.text).join("")).toBe(text);
});
