/** Colours keep the contrast that WCAG 2.2 asks for: 4.5 for words, 3 for marks. */

import { expect, test } from "vitest";
import tokens from "../src/view/styles/tokens.css?raw";

const LIGHT = colours(0);
const DARK = { ...LIGHT, ...colours(1) };
const THEMES = [
  ["light", LIGHT],
  ["dark", DARK],
] as const;

const WORDS: readonly (readonly [string, readonly string[]])[] = [
  ["words", ["page", "surface", "raised", "sunken", "stage", "tile", "danger-soft", "accent-soft"]],
  ["words-quiet", ["page", "surface", "raised", "sunken", "stage"]],
  ["accent-words", ["accent", "accent-strong", "danger", "danger-strong", "share"]],
  ["accent-on-surface", ["surface", "raised", "sunken", "accent-soft"]],
  ["danger-on-surface", ["page", "surface", "stage"]],
  ["warning-words", ["warning-soft"]],
  ["surface", ["words", "words-quiet"]],
];
const MARKS: readonly (readonly [string, readonly string[]])[] = [
  ["line-strong", ["page", "surface"]],
  ["accent", ["page", "surface", "stage"]],
  ["share", ["stage", "surface"]],
  ["speaking", ["stage", "tile", "surface"]],
  ["danger", ["page"]],
];

/** The colours of a block of the file, by name. */
function colours(block: number): Record<string, string> {
  const text = [...tokens.matchAll(/:root[^{]*\{([^}]*)\}/gu)][block]?.[1] ?? "";
  return Object.fromEntries([...text.matchAll(/--([\w-]+):\s*(#[0-9a-f]{6});/gu)].map(([, name = "", value = ""]) => [name, value]));
}

/** Relative luminance (WCAG 2.2). */
function luminance(colour: string): number {
  const [red = 0, green = 0, blue = 0] = [1, 3, 5].map((at) => {
    const part = Number.parseInt(colour.slice(at, at + 2), 16) / 255;
    return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

function contrast(one: string, other: string): number {
  const [dark = 0, light = 0] = [luminance(one), luminance(other)].sort((a, b) => a - b);
  return (light + 0.05) / (dark + 0.05);
}

function expectContrast(theme: Record<string, string>, pairs: typeof WORDS, least: number): void {
  for (const [front, backs] of pairs) {
    for (const back of backs) {
      const [one, other] = [theme[front], theme[back]];
      if (one === undefined || other === undefined) throw new Error(`no colour ${front} or ${back}`);
      expect(contrast(one, other), `${front} on ${back}`).toBeGreaterThanOrEqual(least);
    }
  }
}

test.each(THEMES)("words can be read in the %s theme", (_, theme) => expectContrast(theme, WORDS, 4.5));
test.each(THEMES)("marks can be seen in the %s theme", (_, theme) => expectContrast(theme, MARKS, 3));

test("dark by the system is dark by choice", () => {
  expect(colours(2)).toEqual(colours(1));
  expect(Object.keys(colours(1)).length).toBeGreaterThan(20);
});
