import { expect, test } from "vitest";
import { isPersonal, nameIn, NOTHING_GIVEN, readGiven } from "../../src/state/given";

function ticket(claims: object): string {
  const payload = btoa(String.fromCharCode(...new TextEncoder().encode(JSON.stringify(claims))));
  return `e30.${payload.replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "")}.signature`;
}

const ANNA = ticket({ veche: { ticket: { name: "Анна" } } });

test("an address without anything gives nothing", () => {
  expect(readGiven("", "")).toEqual(NOTHING_GIVEN);
  expect(readGiven("?audio=on&video=1&preview=&theme=blue&what=else", "#other")).toEqual(NOTHING_GIVEN);
});

test("the query says how the meeting starts, the fragment who comes", () => {
  expect(readGiven("?audio=off&video=off&preview=off&theme=dark", "#name=Anna%20B&p=1+1&t=x")).toEqual({
    name: "Anna B",
    ticket: "x",
    passcode: "1+1",
    theme: "dark",
    microphone: false,
    camera: false,
    preview: false,
  });
});

test("a person in the query is nobody: it stands in logs", () => {
  expect(readGiven("?name=Anna&p=4711&t=x", "")).toEqual(NOTHING_GIVEN);
});

test("the ticket's name goes before another", () => {
  expect(readGiven("", `#name=Boris&t=${ANNA}`).name).toBe("Анна");
});

test.each(["", "x", "a.b.c", "a.%.c", ticket({}), ticket({ veche: 1 }), ticket({ veche: { ticket: { name: 7 } } }), "e.".repeat(99)])(
  "in %s is no name",
  (text) => {
    expect(nameIn(text)).toBe("");
  },
);

test.each([
  ["#t=x", true],
  ["#p=4711", true],
  ["#name=", true],
  ["#other", false],
  ["", false],
])("whether %s is personal: %s", (fragment, personal) => {
  expect(isPersonal(fragment)).toBe(personal);
});
