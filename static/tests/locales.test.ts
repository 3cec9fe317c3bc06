/** Both languages are complete, and every text is used. */

import { expect, test } from "vitest";
import en from "../src/locales/en.json";
import ru from "../src/locales/ru.json";

const LOCALES = { en, ru } as const;
const PLURAL = /_(zero|one|two|few|many|other)$/u;

function texts(tree: object, prefix = ""): Map<string, string> {
  const found = new Map<string, string>();
  for (const [name, value] of Object.entries(tree) as [string, unknown][]) {
    const key = prefix + name;
    if (typeof value === "string") found.set(key, value);
    else if (typeof value === "object" && value !== null) texts(value, `${key}.`).forEach((text, inner) => found.set(inner, text));
  }
  return found;
}

/** Keys without the endings of plurals. */
function keys(tree: object): Set<string> {
  return new Set([...texts(tree).keys()].map((key) => key.replace(PLURAL, "")));
}

function placeholders(text: string): string[] {
  return [...text.matchAll(/\{\{(\w+)\}\}/gu)].map((match) => match[1] ?? "").sort();
}

/** Keys as the sources write them; what stands in a template for a part of a key may be any word. */
function used(): { readonly pattern: RegExp; readonly written: string }[] {
  const sources = import.meta.glob<string>("../src/**/*.{ts,tsx}", { query: "?raw", import: "default", eager: true });
  const groups = Object.keys(en).join("|");
  const literal = new RegExp(`["\`]((?:${groups})(?:\\.(?:[\\w-]|\\$\\{[^}]*\\})+)+)["\`]`, "gu");
  return Object.values(sources).flatMap((source) =>
    [...source.matchAll(literal)].map(([, written = ""]) => ({
      written,
      pattern: new RegExp(`^${written.replaceAll(".", "\\.").replaceAll(/\$\{[^}]*\}/gu, "[\\w-]+")}$`, "u"),
    })),
  );
}

test("both languages have the same keys", () => {
  expect([...keys(ru)].sort()).toEqual([...keys(en)].sort());
});

test.each(Object.entries(LOCALES))("no text of %s is empty or has blanks around it", (_, tree) => {
  for (const [key, text] of texts(tree)) expect(text, key).toMatch(/^\S(?:.*\S)?$/u);
});

test("the languages fill in the same values", () => {
  const english = texts(en);
  for (const [key, text] of texts(ru)) {
    const other = english.get(key) ?? english.get(key.replace(PLURAL, "_other")) ?? "";
    expect(placeholders(text), key).toEqual(placeholders(other));
  }
});

test.each(Object.entries(LOCALES))("plurals of %s are complete", (locale, tree) => {
  const categories = new Intl.PluralRules(locale).resolvedOptions().pluralCategories;
  const all = texts(tree);
  const counted = [...all.keys()].filter((key) => PLURAL.test(key)).map((key) => key.replace(PLURAL, ""));
  expect(counted.length).toBeGreaterThan(0);
  for (const key of new Set(counted)) {
    const forms = [...all.keys()].filter((other) => other.replace(PLURAL, "") === key).map((other) => other.slice(key.length + 1));
    expect(forms.sort(), key).toEqual([...categories].sort());
  }
});

test("nothing is left untranslated", () => {
  for (const [key, text] of texts(ru)) expect(text.replaceAll(/\{\{\w+\}\}|Alt\+A|https:\/\//gu, ""), key).not.toMatch(/[a-z]/iu);
  for (const [key, text] of texts(en)) expect(text, key).not.toMatch(/[а-яё]/iu);
});

test("every key in the sources has a text", () => {
  const found = used();
  expect(found.length).toBeGreaterThan(80);
  for (const { pattern, written } of found) expect([...keys(en)].some((key) => pattern.test(key)), written).toBe(true);
});

test("every text is used", () => {
  const patterns = used().map(({ pattern }) => pattern);
  expect([...keys(en)].filter((key) => !patterns.some((pattern) => pattern.test(key)))).toEqual([]);
});
