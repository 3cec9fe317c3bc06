import { expect, test } from "vitest";
import { readGiven } from "../../src/state/given";
import { piecesOf, signInAddress, withPasscode } from "../../src/state/links";

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

test.each([
  ["#p=4711", "4711"],
  ["#p=a%20b%23%26%25", "a b#&%"],
  ["#p=1+1", "1+1"],
  ["#other", ""],
  ["", ""],
])("the passcode in %s is %s", (fragment, passcode) => {
  expect(readGiven("", fragment).passcode).toBe(passcode);
});

test.each([
  ["", "https://veche.example/m/a"],
  ["123456", "https://veche.example/m/a#p=123456"],
  ["a b+c#&", "https://veche.example/m/a#p=a%20b%2Bc%23%26"],
])("a link with the passcode %s is %s, and is read as that", (passcode, link) => {
  expect(withPasscode("https://veche.example/m/a", passcode)).toBe(link);
  expect(withPasscode(link, "another")).toBe(passcode === "" ? `${link}#p=another` : link);
  expect(readGiven("", new URL(link).hash).passcode).toBe(passcode);
});

test("signing in leads back to the meeting", () => {
  expect(signInAddress("bcdf-ghjk-mnpq")).toBe("/sign-in?next=%2Fm%2Fbcdf-ghjk-mnpq");
});
