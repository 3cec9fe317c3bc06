/** Keys of the meeting. Matched by the key's place (`code`), so that they work on the Russian layout too. */

export type Action =
  | "microphone"
  | "camera"
  | "share"
  | "chat"
  | "people"
  | "mute-all"
  | "leave"
  | "full-screen"
  | "shortcuts"
  | "next-area"
  | "talk";

export interface Key {
  readonly code: string;
  readonly key: string;
  readonly alt: boolean;
  readonly control: boolean;
  readonly shift: boolean;
  readonly meta: boolean;
}

/** Where the focus is: in a text field, on something that a key presses, or on nothing. */
export type Focus = "typing" | "interactive" | "nothing";

const WITH_ALT: Readonly<Record<string, Action>> = {
  KeyA: "microphone",
  KeyV: "camera",
  KeyS: "share",
  KeyH: "chat",
  KeyU: "people",
  KeyM: "mute-all",
  KeyQ: "leave",
  KeyF: "full-screen",
};
const WITH_CONTROL: Readonly<Record<string, Action>> = {
  KeyD: "microphone",
  KeyE: "camera",
  Slash: "shortcuts",
  Space: "talk",
};

/** The keys to show for each action, as in the list of shortcuts. */
export const SHOWN_KEYS: readonly { readonly action: Action; readonly keys: readonly string[] }[] = [
  { action: "microphone", keys: ["Alt+A", "Ctrl+D"] },
  { action: "camera", keys: ["Alt+V", "Ctrl+E"] },
  { action: "talk", keys: ["Space", "Ctrl+Space"] },
  { action: "share", keys: ["Alt+S"] },
  { action: "chat", keys: ["Alt+H"] },
  { action: "people", keys: ["Alt+U"] },
  { action: "mute-all", keys: ["Alt+M"] },
  { action: "full-screen", keys: ["Alt+F"] },
  { action: "next-area", keys: ["F6"] },
  { action: "shortcuts", keys: ["Ctrl+/", "?"] },
  { action: "leave", keys: ["Alt+Q"] },
];

/** What a pressed key asks for; null if it is not ours. Keys with a modifier work while typing too, except talking. */
export function actionOf(key: Key, focus: Focus): Action | null {
  if (key.meta) return null;
  if (key.alt && !key.control && !key.shift) return WITH_ALT[key.code] ?? null;
  if (key.control && !key.alt && !key.shift) {
    const action = WITH_CONTROL[key.code] ?? null;
    return action === "talk" && focus === "typing" ? null : action;
  }
  if (key.alt || key.control) return null;
  if (key.code === "F6" && !key.shift) return "next-area";
  if (key.key === "?") return focus === "typing" ? null : "shortcuts";
  if (key.code === "Space" && !key.shift) return focus === "nothing" ? "talk" : null;
  return null;
}
