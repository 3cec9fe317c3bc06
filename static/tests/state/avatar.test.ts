import { expect, test } from "vitest";
import { hue, initials } from "../../src/state/avatar";

test.each([
  ["Анна Петрова", "АП"],
  ["анна", "А"],
  ["Ludwig van Beethoven", "LB"],
  ["anna.peters", "AP"],
  ["  ", "?"],
  ["🙂 Boris", "B"],
  ["𝒜nna", "𝒜"],
  ["42", "4"],
])("%j is %s", (name, letters) => {
  expect(initials(name)).toBe(letters);
});

test("a person keeps the colour, and people have many", () => {
  const hues = Array.from({ length: 60 }, (_, index) => hue(`person-${index}`));
  expect(hue("person-0")).toBe(hues[0]);
  expect(new Set(hues).size).toBe(12);
  for (const degrees of hues) expect(degrees % 30).toBe(0);
});
