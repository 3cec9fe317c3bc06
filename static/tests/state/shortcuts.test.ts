import { expect, test } from "vitest";
import { actionOf, SHOWN_KEYS, type Action, type Focus, type Key } from "../../src/state/shortcuts";

function key(text: string, typed = ""): Key {
  const parts = text.split("+");
  return {
    code: parts[parts.length - 1] ?? "",
    key: typed,
    alt: parts.includes("Alt"),
    control: parts.includes("Ctrl"),
    shift: parts.includes("Shift"),
    meta: parts.includes("Meta"),
  };
}

test.each([
  ["Alt+KeyA", "microphone"],
  ["Ctrl+KeyD", "microphone"],
  ["Alt+KeyV", "camera"],
  ["Ctrl+KeyE", "camera"],
  ["Alt+KeyS", "share"],
  ["Alt+KeyH", "chat"],
  ["Alt+KeyU", "people"],
  ["Alt+KeyF", "full-screen"],
  ["Alt+KeyQ", "leave"],
  ["Ctrl+Slash", "shortcuts"],
  ["F6", "next-area"],
] as const)("%s does %s, even while typing", (text, action) => {
  expect(actionOf(key(text), "nothing")).toBe(action);
  expect(actionOf(key(text), "typing")).toBe(action);
});

test("the letter on the key does not matter: Alt+Ф is Alt+A", () => {
  expect(actionOf(key("Alt+KeyA", "ф"), "nothing")).toBe("microphone");
});

test.each(["Ctrl+Alt+KeyA", "Alt+Shift+KeyA", "Meta+KeyA", "KeyA", "Ctrl+Shift+KeyD", "Shift+Space", "Alt+Space", "Shift+F6"])(
  "%s is not ours",
  (text) => {
    expect(actionOf(key(text), "nothing")).toBeNull();
  },
);

test.each([
  ["Space", "nothing", "talk"],
  ["Space", "interactive", null],
  ["Space", "typing", null],
  ["Ctrl+Space", "interactive", "talk"],
  ["Ctrl+Space", "typing", null],
] as readonly [string, Focus, Action | null][])("%s with the focus on %s: %s", (text, focus, action) => {
  expect(actionOf(key(text), focus)).toBe(action);
});

test("a question mark lists the keys, but not while typing", () => {
  expect(actionOf(key("Shift+Slash", "?"), "interactive")).toBe("shortcuts");
  expect(actionOf(key("Shift+Digit7", "?"), "nothing")).toBe("shortcuts");
  expect(actionOf(key("Shift+Slash", "?"), "typing")).toBeNull();
});

test("every key of the list does what the list says", () => {
  const codes: Record<string, string> = { "/": "Slash", "?": "Slash", Space: "Space", F6: "F6" };
  for (const { action, keys } of SHOWN_KEYS) {
    for (const shown of keys) {
      const parts = shown.split("+");
      const last = parts.pop() ?? "";
      const code = codes[last] ?? `Key${last}`;
      expect(actionOf(key([...parts, code].join("+"), last === "?" ? "?" : ""), "nothing")).toBe(action);
    }
  }
});
